package linescan

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"batchd/internal/badline"
	"batchd/internal/batch"
)

func TestLineScanDoesNotDependOnHowTheBytesArrive(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		content string
		lines   int64
		fault   badline.Reason
	}{
		"empty":             {"", 0, badline.Empty},
		"only a mark":       {"\ufeff", 1, badline.Empty},
		"mark split up":     {"\ufeff{\"a\":1}\r\n\r\n{}\n \n{}", 3, ""},
		"no line break":     {`{"a":[1,2,3]}`, 1, ""},
		"blank first":       {"\n{}", 1, badline.Blank},
		"only line breaks":  {"\n\r\n\n", 0, badline.Blank},
		"key twice":         {`{"a":1,"a":2}` + "\n{}", 2, badline.DuplicateKey},
		"first line longer": {`{"a":"` + strings.Repeat("x", MaxFirst) + "\"}\n{}\n", 2, ""},
		"longer, no object": {`["` + strings.Repeat("x", MaxFirst) + "\"]\n{}\n", 2, badline.NotObject},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 2, 7, 4096, len(tc.content) + 1} {
				if size < 4096 && len(tc.content) > 1000 {
					continue
				}
				var s Scan
				for rest := []byte(tc.content); len(rest) > 0; {
					n := min(size, len(rest))
					s.Write(rest[:n])
					rest = rest[n:]
				}
				if fault, bad := s.FirstFault(); s.Count() != tc.lines || fault.Reason != tc.fault || bad != (tc.fault != "") {
					t.Errorf("by %d: %d lines, fault %q, %v; want %d, %q", size, s.Count(), fault.Reason, bad, tc.lines, tc.fault)
				}
				if len(s.first) > MaxFirst {
					t.Errorf("%d bytes are kept", len(s.first))
				}
			}
		})
	}
}

// TestSpansOfPartsJoinToTheSpanOfTheWhole cuts bytes anywhere, as clients cut files into parts, and joins the spans of
// the pieces in any grouping.
func TestSpansOfPartsJoinToTheSpanOfTheWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		content := []byte(rapid.StringMatching(`[ab \t\r\n]{0,40}`).Draw(t, "content"))
		var spans []batch.LineSpan
		for rest := content; len(rest) > 0; {
			n := rapid.IntRange(0, len(rest)).Draw(t, "piece")
			spans = append(spans, spanOf(rest[:n]))
			rest = rest[n:]
			if n == 0 && rapid.Bool().Draw(t, "last") {
				spans = append(spans, spanOf(rest))
				break
			}
		}
		for len(spans) > 1 {
			i := rapid.IntRange(0, len(spans)-2).Draw(t, "pair")
			spans[i] = spans[i].Join(spans[i+1])
			spans = append(spans[:i+1], spans[i+2:]...)
		}
		var joined batch.LineSpan
		if len(spans) == 1 {
			joined = spans[0]
		}
		if diff := cmp.Diff(spanOf(content), joined); diff != "" {
			t.Fatalf("span of %q (-whole +joined):\n%s", content, diff)
		}
		if got, want := joined.Lines(), linesOf(content); got != want {
			t.Fatalf("%d lines in %q, want %d", got, content, want)
		}
	})
}

// linesOf counts the lines that are not blank in the plainest way.
func linesOf(content []byte) int64 {
	var n int64
	for line := range bytes.SplitSeq(content, []byte("\n")) {
		if len(bytes.Trim(line, " \t\r")) > 0 {
			n++
		}
	}
	return n
}

func BenchmarkLineScan(b *testing.B) {
	chunk := bytes.Repeat([]byte(`{"custom_id":"a","body":{"content":"`+strings.Repeat("x", 1000)+"\"}}\n"), 32)
	b.SetBytes(int64(len(chunk)))
	var s Scan
	for b.Loop() {
		s.Write(chunk)
	}
}
