package dialecttest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Description checks an OpenAPI document: it is laid out like JSON with two spaces, has exactly the operations that are
// named, like "GET /files", in order, and refers to nothing that it does not have.
func Description(t *testing.T, raw []byte, operations ...string) {
	t.Helper()
	if diff := cmp.Diff(string(Indented(t, raw)), string(raw)); diff != "" {
		t.Errorf("openapi.json is not laid out like JSON with two spaces (-want +got):\n%s", diff)
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	paths, ok := doc["paths"].(map[string]any)
	if !ok {
		t.Fatal("no paths")
	}
	var found []string
	for path, item := range paths {
		methods, ok := item.(map[string]any)
		if !ok {
			t.Fatalf("%s is no object", path)
		}
		// Beside the methods stand the parameters that all of them have.
		for method := range maps.Keys(methods) {
			if method != "parameters" {
				found = append(found, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(found)
	// Exactly those: an operation that no route has is a promise that is not kept.
	if diff := cmp.Diff(operations, found); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
	if loose := looseReferences(doc, doc); len(loose) > 0 {
		t.Errorf("references to nothing: %q", loose)
	}
}

// StrictDescription checks that the document of a strict dialect has nothing that batchd adds, and still has what the
// vendor has.
func StrictDescription(t *testing.T, raw []byte) {
	t.Helper()
	// The mark of an addition, and the names of some that would show if one were not marked.
	for _, ours := range []string{`"x-batchd-extension":`, "/retry", "callback_url", "created_after", "continued_from", "waiting_for"} {
		if strings.Contains(string(raw), ours) {
			t.Errorf("it has %q", ours)
		}
	}
	if !strings.Contains(string(raw), `"/batches/{id}/cancel"`) {
		t.Error("it lacks what the vendor has")
	}
}

// looseReferences lists the $refs in v that lead nowhere in doc. A strict document is made by taking things out, which is how
// they come about.
func looseReferences(doc map[string]any, v any) []string {
	var loose []string
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			loose = append(loose, looseReferences(doc, element)...)
		}
	case map[string]any:
		if target, ok := v["$ref"].(string); ok && !leads(doc, target) {
			loose = append(loose, target)
		}
		for _, member := range v {
			loose = append(loose, looseReferences(doc, member)...)
		}
	}
	return loose
}

// leads reports whether a reference into the same document finds something there. No name in ours has the characters that
// JSON pointers escape.
func leads(doc map[string]any, target string) bool {
	path, ok := strings.CutPrefix(target, "#/")
	if !ok {
		return false
	}
	var at any = doc
	for name := range strings.SplitSeq(path, "/") {
		object, isObject := at.(map[string]any)
		if !isObject {
			return false
		}
		if at, ok = object[name]; !ok {
			return false
		}
	}
	return true
}
