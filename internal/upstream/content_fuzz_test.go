package upstream

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"batchd/internal/batch"
)

func text(t testing.TB, b batch.Body) string {
	t.Helper()
	raw, err := io.ReadAll(io.NewSectionReader(b, 0, b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func FuzzClassifyBody(f *testing.F) {
	for _, s := range []string{
		"", "null", "[]", "{}", "<html>", "{\"a\":\r\n1}", "\"\xff\xfe\"", `{"error":{"code":429}}`, `{"error":null,"object":"response"}`,
		`{"choices":[{"finish_reason":"error"}],"usage":{"prompt_tokens":5,"completion_tokens_details":{"reasoning_tokens":1}}}`,
		`{"a":"\ud800","b":[1.5e-7,true,false,null,-0]}`, "[1,2", "0123", "\xef\xbb\xbf{}", `[NaN,-Infinity,"NaN",Infinity]`, "[-I", "{\"a\":\"\u2028\u0085\"}", `{"error":"\ud83d`, "\"\xe2\x82",
	} {
		f.Add(200, []byte(s), 3)
		f.Add(500, []byte(s), 1)
	}
	in := newBodyReader(Options{SpoolDir: f.TempDir(), MaxResponseBytes: 1 << 20}.withDefaults())
	f.Fuzz(func(t *testing.T, status int, body []byte, piece int) {
		c, err := in.read(bytes.NewReader(body))
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		body = bytes.TrimPrefix(body, byteOrderMark)
		if c.isJSON != json.Valid(body) && c.notFinite == 0 {
			t.Fatalf("isJSON %v, json.Valid %v", c.isJSON, !c.isJSON)
		}
		out := text(t, c.body)
		if !json.Valid([]byte(out)) || strings.ContainsAny(out, "\r\n\u0085\u2028\u2029") || !utf8.ValidString(out) {
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
