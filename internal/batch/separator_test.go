package batch_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"batchd/internal/batch"
)

func TestSeparatorsAreEscapedAndTheTextStaysEqual(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                          ``,
		`"plain"`:                   `"plain"`,
		"\"a\u2028b\"":              `"a\u2028b"`,
		"\"\u2029\u0085\u2028\"":    `"\u2029\u0085\u2028"`,
		"\"“quoted” \u00e9\u0084\"": "\"“quoted” \u00e9\u0084\"",
		"\"\u2027\u202a\"":          "\"\u2027\u202a\"",
		"\"x\xE2\x80":               "\"x\xE2\x80",
	} {
		if got := string(batch.EscapeSeparators([]byte(text))); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func FuzzEscapeSeparators(f *testing.F) {
	f.Add("a\u2028\u0085b\u2029")
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		text := `"` + strings.NewReplacer(`\`, ``, `"`, ``, "\n", "", "\r", "").Replace(s) + `"`
		escaped := batch.EscapeSeparators([]byte(text))
		if strings.ContainsAny(string(escaped), "\u0085\u2028\u2029") {
			t.Fatalf("%q still holds one", escaped)
		}
		var before, after any
		if json.Unmarshal([]byte(text), &before) != nil {
			return
		}
		if err := json.Unmarshal(escaped, &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q, %v", text, escaped, err)
		}
	})
}

func BenchmarkEscapeSeparators(b *testing.B) {
	text := []byte(strings.Repeat("An answer of some words, “quoted”, as models write them. ", 40))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		batch.EscapeSeparators(text)
	}
}
