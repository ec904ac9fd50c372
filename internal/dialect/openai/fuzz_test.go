package openai_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect/openai"
)

// FuzzMetadata holds both rules to the same promise: what is accepted is compact JSON within the bounds, and is accepted
// again as it is.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, ` { "a" : "b" } `, `{"a":"\ud83d\ude00","é":""}`, `{"a":1.50,"b":[null,{"c":true}]}`, `{"a":"\u0000"}`,
		`{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `{"\ud800":"x"}`, "{\"a\":\"\xff\"}", `[]`, `"x"`, `{"a":"b"},"x":{}`, `{`, ``,
	} {
		f.Add([]byte(seed))
	}
	const limit = 1000
	variants := map[*openai.Dialect]bool{openai.New(openai.Options{}): false, like(openai.Variant{MetadataBytes: limit}): true}
	f.Fuzz(func(t *testing.T, metadata []byte) {
		for d, anyValues := range variants {
			parse := func(metadata []byte) ([]byte, error) {
				c, err := d.ParseCreateBatch([]byte(create(`,"metadata":`+string(metadata))), rules())
				return c.Metadata, err
			}
			got, err := parse(metadata)
			if err != nil {
				var fault *batch.Error
				if !errors.As(err, &fault) || fault.Message == "" || len(fault.Message) > 2000 {
					t.Fatalf("not a short fault of the client: %v", err)
				}
				continue
			}
			if got == nil {
				continue
			}
			checkMetadata(t, got, anyValues, limit)
			if again, err := parse(got); err != nil || !bytes.Equal(again, got) {
				t.Fatalf("%q came back as %q, %v", got, again, err)
			}
		}
	})
}

// checkMetadata checks accepted metadata against the rule it was accepted by.
func checkMetadata(t *testing.T, got []byte, anyValues bool, limit int) {
	t.Helper()
	compact := jsontext.Value(slices.Clone(got))
	if err := compact.Compact(); err != nil || !bytes.Equal(compact, got) || got[0] != '{' {
		t.Fatalf("%q is not a compact object: %v", got, err)
	}
	if anyValues {
		if len(got) > limit {
			t.Fatalf("%d bytes were accepted", len(got))
		}
		return
	}
	d := jsontext.NewDecoder(bytes.NewReader(got))
	for n := 0; ; n++ {
		token, err := d.ReadToken()
		if err != nil {
			if n > 2+2*16 {
				t.Fatalf("%q has more than 16 pairs", got)
			}
			return
		}
		if token.Kind() != jsontext.KindString && n > 0 && d.StackDepth() > 0 {
			t.Fatalf("%q has a value that is no string", got)
		}
		if token.Kind() == jsontext.KindString && utf8.RuneCountInString(token.String()) > 512 {
			t.Fatalf("%q has a string that is too long", got)
		}
	}
}

// FuzzWindow says which windows are accepted: those that the server lists, or all whole minutes of the grammar.
func FuzzWindow(f *testing.F) {
	for _, seed := range []string{"24h", "7d", "1s", "120s", "90s", "background", "30d", "31d", "0h", "024h", "24H", "1e3h", "-1h", "9223372036854775807s", "24h ", "", "２4h", "1", "h"} {
		f.Add(seed)
	}
	d := openai.New(openai.Options{})
	f.Fuzz(func(t *testing.T, window string) {
		if !utf8.ValidString(window) {
			t.Skip("not what a JSON document can hold")
		}
		quoted, err := jsontext.AppendQuote(nil, window)
		if err != nil {
			t.Fatal(err)
		}
		body := []byte(`{"input_file_id":"f","endpoint":"/v1/a","completion_window":` + string(quoted) + `}`)
		length, faulty := batch.ParseWindow(window)
		for anyWindow, want := range map[bool]bool{true: faulty == nil && length%time.Minute == 0, false: window == "24h" || window == "7d"} {
			r := rules()
			r.AnyWindow = anyWindow
			got, err := d.ParseCreateBatch(body, r)
			if (err == nil) != want || err == nil && got.Window != window {
				t.Fatalf("any %v: %q gives %q, %v; want it accepted: %v", anyWindow, window, got.Window, err, want)
			}
			retry, err := d.ParseRetryBatch(body, r)
			if (err == nil) != want || err == nil && retry.Window != window {
				t.Fatalf("any %v: a retry with %q gives %q, %v; want it accepted: %v", anyWindow, window, retry.Window, err, want)
			}
		}
	})
}
