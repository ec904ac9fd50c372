// Package dialecttest is what the tests of every vendor's dialect check alike: renderings against golden files, and the
// OpenAPI document. It knows the contract and no vendor: what a vendor's objects look like is in the golden files beside its
// own tests.
package dialecttest

import (
	"bytes"
	"os"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// Golden compares got with a file, or rewrites the file if update is set. Nothing is normalized: the order of keys and the
// white space are part of a wire shape.
func Golden(t *testing.T, name string, got *txtar.Archive, update bool) {
	t.Helper()
	if update {
		if err := os.WriteFile(name, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(txtar.Format(got))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// Indented lays JSON out over lines without changing the order of its keys, nor its strings.
func Indented(t *testing.T, raw []byte) []byte {
	t.Helper()
	v := jsontext.Value(bytes.Clone(raw))
	if err := v.Indent(jsontext.WithIndent("  ")); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return append(v, '\n')
}
