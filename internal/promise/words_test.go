//go:build !failpoint

package promise

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// TestFieldWords has files with one fault each uploaded, made a batch, and given to run. Whoever finds the fault says what and
// where it is.
func TestFieldWords(t *testing.T) {
	t.Parallel()
	n := newNode(t, newEngine(t, steady(0)), 8)
	n.start()
	a, b := line(`"a"`, ask)+"\n", line(`"b"`, ask)+"\n"
	with := func(members string) string { return strings.Replace(ask, `"model"`, members+`,"model"`, 1) }
	emoji := line(`"b"`, strings.Replace(ask, `"x"`, `"cut \ud83d"`, 1)) + "\n"
	nan := line(`"b"`, with(`"score":NaN`)) + "\n"
	twice := line(`"b"`, with(`"temperature":0,"temperature":1`)) + "\n"
	latin := line(`"b"`, strings.Replace(ask, `"x"`, "\"caf\xe9\"", 1)) + "\n"
	for name, c := range map[string]struct {
		file string
		// line is that of the fault, 0 for one that is told at upload; run says it of the first line.
		line int
		told []string
	}{
		"F2-27 half an emoji":        {emoji, 0, []string{`\ud83d is a lone surrogate`, "body.messages[0].content"}},
		"F2-27 half an emoji, later": {a + emoji, 2, []string{`\ud83d is a lone surrogate`, "body.messages[0].content"}},
		"F2-28 NaN":                  {nan, 0, []string{"NaN is no JSON value", "in body.score"}},
		"F2-28 NaN, later":           {a + nan, 2, []string{"NaN is no JSON value", "in body.score"}},
		"F2-29 a key twice":          {twice, 0, []string{"the key 'temperature' appears twice", "in body"}},
		"F2-29 a key twice, later":   {a + twice, 2, []string{"the key 'temperature' appears twice", "in body"}},
		"F2-30 UTF-16":               {wideText(a + b), 0, []string{"not UTF-8", "looks like UTF-16"}},
		"F2-30 Latin-1, later":       {a + latin, 2, []string{"not UTF-8", "looks like Latin-1"}},
		"F2-33 empty":                {"", 0, []string{"is empty"}},
		"F2-33 array":                {"[" + a + "," + b + "]", 0, []string{"a JSON object"}},
		"F2-33 pretty-printed":       {"{\n  \"custom_id\": \"a\",\n  \"body\": {}\n}\n", 0, []string{"over several lines", "pretty-printed"}},
		"F2-34 a blank line":         {a + "\n" + b, 2, []string{"It is blank"}},
		"F2-40 an absolute url":      {a + strings.Replace(b, `"/v1`, `"https://api.openai.com/v1`, 1), 2, []string{"'https://api.openai.com/v1/chat/completions'", "'/v1/chat/completions'"}},
		"F2-40 a slash at the end":   {a + strings.Replace(b, `completions"`, `completions/"`, 1), 2, []string{"'/v1/chat/completions/'", "'/v1/chat/completions'"}},
		"F2-42 two models":           {a + strings.Replace(b, `"m"`, `"m2"`, 1), 2, []string{"allow_mixed_models"}},
		"F2-54 a line of 17 MiB":     {line(`"a"`, strings.Replace(ask, `"x"`, `"`+strings.Repeat("A", 17<<20)+`"`, 1)), 1, []string{"limits.max_line_bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := n.words(t, c.file, c.line); !hasAll(got, c.told...) || c.line == 0 && strings.Contains(got, "not a JSON object") != strings.Contains(name, "array") {
				t.Errorf("the server says %q, want %q", got, c.told)
			}
			path := filepath.Join(t.TempDir(), "in.jsonl")
			if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			run := command(t, "run", path, "--upstream", n.engine.url(0))
			if code, text := run.code(t, endWithin), run.text(); code != 1 || !hasAll(text, c.told...) {
				t.Errorf("run ended with %d and says %q, want %q", code, text, c.told)
			}
		})
	}
	if calls := n.engine.count(); calls != 0 {
		t.Errorf("%d calls were made for files that are refused", calls)
	}
}

// words are those by which a file is refused: at upload, or about the given line when a batch is made of it.
func (n *node) words(t *testing.T, text string, line int) string {
	t.Helper()
	uploaded, err := n.uploadText(text)
	var refused *refusal
	if line == 0 {
		if !errors.As(err, &refused) || refused.status != 400 {
			t.Fatalf("upload: %v, want 400", err)
		}
		return refused.body
	}
	if err != nil {
		t.Fatal(err)
	}
	created, err := n.create(uploaded.ID, "24h")
	if err != nil {
		t.Fatal(err)
	}
	s := n.watch(created.ID)
	j := s.await(t, endWithin)
	if err := s.finish(); err != nil {
		t.Error(err)
	}
	if j.Errors == nil || len(j.Errors.Data) != 1 || j.Errors.Data[0].Line == nil || int(*j.Errors.Data[0].Line) != line {
		t.Fatalf("%s with errors %+v, want one about line %d", j.Status, j.Errors, line)
	}
	return j.Errors.Data[0].Message
}

// wideText is text as PowerShell writes it to a file: UTF-16 with its byte order mark.
func wideText(text string) string {
	raw := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		raw = binary.LittleEndian.AppendUint16(raw, unit)
	}
	return string(raw)
}

// TestF2_36 uploads a good file under names that programs give it.
func TestF2_36(t *testing.T) {
	t.Parallel()
	for setting, refused := range map[string][]string{"false": nil, "true": {"in.ndjson", "in.jsonl "}} {
		n := newNode(t, newEngine(t, steady(0)), 8, "BATCHD_OPENAI_STRICT="+setting)
		n.start()
		for _, name := range []string{"IN.JSONL", "upload", "in.ndjson", "in.jsonl "} {
			_, err := n.upload(name, func(w io.Writer) error {
				_, err := io.WriteString(w, line(`"a"`, ask)+"\n")
				return err
			})
			var fault *refusal
			switch want := slices.Contains(refused, name); {
			case !want && err != nil:
				t.Errorf("strict %s: %q: %v", setting, name, err)
			case want && (!errors.As(err, &fault) || fault.status != 400 || !hasAll(fault.body, "'"+name+"'", ".jsonl")):
				t.Errorf("strict %s: %q: %v, want 400 with the name", setting, name, err)
			}
		}
	}
}
