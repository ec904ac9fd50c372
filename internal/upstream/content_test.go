package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"batchd/internal/batch"
	"batchd/internal/limit"
)

func testReader(t testing.TB, limit int64) *bodyReader {
	t.Helper()
	return newBodyReader(Options{SpoolDir: t.TempDir(), MaxResponseBytes: limit}.withDefaults())
}

func text(t testing.TB, b batch.Body) string {
	t.Helper()
	raw, err := io.ReadAll(io.NewSectionReader(b, 0, b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// object returns a JSON object of n bytes with line breaks and a bad byte in it, and what must become of it.
func object(n int) (raw, want string) {
	const head, tail = "{\"a\":\n\"", "\"\r}"
	fill := strings.Repeat("é", (n-len(head)-len(tail))/2)
	if (n-len(head)-len(tail))%2 == 1 {
		fill += "x"
	}
	return head + fill + tail, strings.NewReplacer("\n", " ", "\r", " ").Replace(head + fill + tail)
}

func TestBodyReaderReadsAnswersOfAnyLength(t *testing.T) {
	t.Parallel()
	sizes := []int{
		16, 1000, chunk - 1, chunk, chunk + 1, 2*chunk + 1, 4*chunk - 1, 4 * chunk, 4*chunk + 1,
		maxLargeBody - 1, maxLargeBody, maxLargeBody + 1, maxLargeBody + chunk, 5<<20 + 3,
	}
	for _, n := range sizes {
		in := testReader(t, 64<<20)
		raw, want := object(n)
		for _, taken := range []bool{false, true} {
			if taken && !in.budget.tryAcquire() {
				t.Fatal("the permit was not given back")
			}
			c, err := in.read(iotest.HalfReader(strings.NewReader(raw)))
			if err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if got := text(t, c.body); !c.isJSON || got != want || c.body.Len() != int64(len(want)) {
				t.Errorf("%d bytes: got %d bytes, JSON %v", n, len(got), c.isJSON)
			}
			inMemory := n < chunk || n < maxLargeBody && !taken
			if (c.body.Bytes() != nil) != inMemory {
				t.Errorf("%d bytes, permit taken %v: in memory %v", n, taken, !inMemory)
			}
			if err := errors.Join(c.body.Close(), c.body.Close()); err != nil {
				t.Errorf("%d bytes: close twice: %v", n, err)
			}
		}
		if in.budget.InUse() != 1 {
			t.Errorf("%d bytes: %d permits in use, want the test's own", n, in.budget.InUse())
		}
		if left, _ := os.ReadDir(in.spoolDir); len(left) > 0 {
			t.Errorf("%d bytes: %d files left", n, len(left))
		}
	}
}

func TestBodyReaderHoldsThePermitUntilTheBodyIsClosed(t *testing.T) {
	t.Parallel()
	in := testReader(t, 64<<20)
	raw, _ := object(chunk * 3)
	first, err := in.read(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	second, err := in.read(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if first.body.Bytes() == nil || second.body.Bytes() != nil {
		t.Error("want the first body in memory and the second in a file")
	}
	_, _ = first.body.Close(), second.body.Close()
	third, err := in.read(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = third.body.Close() }()
	if third.body.Bytes() == nil {
		t.Error("want the third body in memory: the permit was free again")
	}
}

func TestBodyReaderGivesThePermitBackOnEveryFailure(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, n := range []int{10, chunk, chunk + 10, maxLargeBody, maxLargeBody + 10} {
		in := testReader(t, 64<<20)
		raw, _ := object(n + 10)
		_, err := in.read(io.MultiReader(strings.NewReader(raw[:n]), iotest.ErrReader(boom)))
		if !errors.Is(err, boom) || in.budget.InUse() != 0 {
			t.Errorf("failed after %d bytes: error %v, permits in use %d", n, err, in.budget.InUse())
		}
	}
}

func TestBodyReaderRepairsInvalidUTF8(t *testing.T) {
	t.Parallel()
	for _, n := range []int{100, chunk + 5, maxLargeBody + 5} {
		// The bad bytes stand at the seams of pieces, too: a character cut by a seam must survive, and one
		// cut for ever must not.
		body := "[\"" + strings.Repeat("€", n/3) + "\xe2\x82" + strings.Repeat("é", n/2) + "\xff\"]"
		want := strings.ToValidUTF8(body, "\uFFFD")
		in := testReader(t, 64<<20)
		c, err := in.read(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, c.body); got != want {
			t.Errorf("%d bytes: got %d bytes, want %d; valid UTF-8 %v", n, len(got), len(want), utf8.ValidString(got))
		}
		_ = c.body.Close()
	}
}

func TestU19LongAndDeepAnswers(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{10, chunk, chunk + 1, 1 << 20, maxLargeBody + 1, 8 << 20} {
		in := testReader(t, limit)
		endless := io.MultiReader(strings.NewReader(`["`), zeros('a'))
		if _, err := in.read(endless); !errors.Is(err, errTooLarge) {
			t.Errorf("limit %d: error %v", limit, err)
		}
		exact, _ := object(int(max(limit, 16)))
		in.max = int64(len(exact))
		c, err := in.read(strings.NewReader(exact))
		if err != nil {
			t.Errorf("limit %d, and an answer of just that length: %v", limit, err)
			continue
		}
		_ = c.body.Close()
	}
	deep := strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000)
	c, err := testReader(t, 64<<20).read(strings.NewReader(deep))
	if err != nil || c.isJSON {
		t.Errorf("deep nesting: JSON %v, error %v", c.isJSON, err)
	}
	_ = c.body.Close()
}

func TestBodyReaderDoesNotReadOnWhatIsTooLongToQuote(t *testing.T) {
	t.Parallel()
	src := &counter{r: zeros('<')}
	c, err := testReader(t, 64<<20).read(src)
	if err != nil || c.isJSON || c.body != nil {
		t.Errorf("content %+v, error %v", c, err)
	}
	if src.n > maxLargeBody+chunk {
		t.Errorf("read %d bytes", src.n)
	}
	for status, want := range map[int]limit.Kind{200: limit.Broken, 400: limit.Answered, 500: limit.Broken} {
		if v := answered(status, c, "m"); v.signal.Kind != want || v.code == "" {
			t.Errorf("%d: %+v", status, v)
		}
	}
}

func TestBodyReaderSaysSoWhenTheDiskFails(t *testing.T) {
	t.Parallel()
	in := testReader(t, 64<<20)
	in.spoolDir += "/absent"
	raw, _ := object(maxLargeBody * 2)
	if _, err := in.read(strings.NewReader(raw)); !errors.Is(err, errSpool) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if in.budget.InUse() != 0 {
		t.Error("the permit was not given back")
	}
}

// zeros is an endless reader of one byte.
type zeros byte

func (z zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(z)
	}
	return len(p), nil
}

func FuzzClassifyBody(f *testing.F) {
	for _, s := range []string{
		"", "null", "[]", "{}", "<html>", "{\"a\":\r\n1}", "\"\xff\xfe\"", `{"error":{"code":429}}`, `{"error":null,"object":"response"}`,
		`{"choices":[{"finish_reason":"error"}],"usage":{"prompt_tokens":5,"completion_tokens_details":{"reasoning_tokens":1}}}`,
		`{"a":"\ud800","b":[1.5e-7,true,false,null,-0]}`, "[1,2", "0123", "\xef\xbb\xbf{}", `{"error":"\ud83d`, "\"\xe2\x82",
	} {
		f.Add(200, []byte(s), 3)
		f.Add(500, []byte(s), 1)
	}
	in := testReader(f, 1<<20)
	f.Fuzz(func(t *testing.T, status int, body []byte, piece int) {
		c, err := in.read(bytes.NewReader(body))
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if c.isJSON != json.Valid(body) {
			t.Fatalf("isJSON %v, json.Valid %v", c.isJSON, !c.isJSON)
		}
		out := text(t, c.body)
		if !json.Valid([]byte(out)) || strings.ContainsAny(out, "\r\n") || !utf8.ValidString(out) {
			t.Fatalf("not fit for a line: %q", out)
		}
		v := answered(status, c, "m")
		if (v.status == 0) == (v.code == "") || (v.code == "") != (v.message == "") || !utf8.ValidString(v.message) || !utf8.ValidString(v.signal.Message) || len(v.signal.Code) > 4*maxCode {
			t.Fatalf("verdict %+v", v)
		}
		got := spool(t, in, body, piece)
		if got.isJSON != c.isJSON || got.isJSON && got.found != c.found {
			t.Fatalf("spooled %+v, in memory %+v", got, c)
		}
		if got.isJSON {
			sameText(t, body, got.body, out)
		}
	})
}

// spool sends a body through a file, in two pieces.
func spool(t *testing.T, in *bodyReader, body []byte, piece int) content {
	t.Helper()
	seam := len(body)
	if piece > 0 {
		seam = min(piece, len(body))
	}
	w := in.startSpool(new(scanner), bytes.Clone(body[:seam]))
	c, err := w.drain(bytes.NewReader(body[seam:]), new([chunk]byte))
	if err != nil {
		t.Fatalf("spool: %v", err)
	}
	return c
}

// sameText checks that the way through a file came to the same as the way through memory; only a run of bad bytes that a
// seam divides is replaced piece by piece.
func sameText(t *testing.T, body []byte, spooled batch.Body, inMemory string) {
	t.Helper()
	defer func() { _ = spooled.Close() }()
	got := text(t, spooled)
	if got != inMemory && utf8.Valid(body) || !json.Valid([]byte(got)) || !utf8.ValidString(got) {
		t.Fatalf("spooled %q, in memory %q", got, inMemory)
	}
}
