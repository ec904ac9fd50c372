package httpapi

import (
	"bytes"
	"strings"
	"testing"
)

func TestLineScanDoesNotDependOnHowTheBytesArrive(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		content string
		lines   int64
		object  bool
	}{
		"empty":             {"", 0, false},
		"mark split up":     {"\ufeff{\"a\":1}\r\n\r\n{}\n \n{}", 3, true},
		"no line break":     {`{"a":[1,2,3]}`, 1, true},
		"blank first":       {"\n{}", 1, false},
		"first line longer": {`{"a":"` + strings.Repeat("x", maxFirstLine) + "\"}\n{}\n", 2, true},
		"longer, no object": {`["` + strings.Repeat("x", maxFirstLine) + "\"]\n{}\n", 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 2, 7, 4096, len(tc.content) + 1} {
				if size < 4096 && len(tc.content) > 1000 {
					continue
				}
				var s lineScan
				for rest := []byte(tc.content); len(rest) > 0; {
					n := min(size, len(rest))
					s.write(rest[:n])
					rest = rest[n:]
				}
				s.end()
				if s.count() != tc.lines || s.firstIsObject() != tc.object {
					t.Errorf("by %d: %d lines, object %v; want %d, %v", size, s.count(), s.firstIsObject(), tc.lines, tc.object)
				}
				if len(s.first) > maxFirstLine {
					t.Errorf("%d bytes are kept", len(s.first))
				}
			}
		})
	}
}

func BenchmarkLineScan(b *testing.B) {
	chunk := bytes.Repeat([]byte(`{"custom_id":"a","body":{"content":"`+strings.Repeat("x", 1000)+"\"}}\n"), 32)
	b.SetBytes(int64(len(chunk)))
	var s lineScan
	for b.Loop() {
		s.write(chunk)
	}
}
