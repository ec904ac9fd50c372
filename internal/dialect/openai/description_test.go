package openai_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/dialect/openai"
)

func TestDescriptionNamesEveryRouteAndHasNoLooseEnds(t *testing.T) {
	t.Parallel()
	raw := openai.New(openai.Options{}).Description()
	if diff := cmp.Diff(string(indented(t, raw)), string(raw)); diff != "" {
		t.Errorf("openapi.json is not laid out like JSON with two spaces (-want +got):\n%s", diff)
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"DELETE /files/{id}", "GET /batches", "GET /batches/{id}", "GET /files", "GET /files/{id}", "GET /files/{id}/content",
		"GET /openapi.json", "POST /batches", "POST /batches/{id}/cancel", "POST /batches/{id}/retry", "POST /files", "POST /uploads",
		"POST /uploads/{id}/cancel", "POST /uploads/{id}/complete", "POST /uploads/{id}/parts",
	}
	if diff := cmp.Diff(want, operations(t, doc)); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
	if loose := looseReferences(doc, doc); len(loose) > 0 {
		t.Errorf("references to nothing: %q", loose)
	}
}

func TestStrictDescriptionHasNothingOfOurs(t *testing.T) {
	t.Parallel()
	raw := openai.New(openai.Options{Strict: true}).Description()
	for _, ours := range []string{`"x-batchd-extension":`, "/retry", "callback_url", "created_after", "continued_from"} {
		if strings.Contains(string(raw), ours) {
			t.Errorf("it has %q", ours)
		}
	}
	if !strings.Contains(string(raw), `"/batches/{id}/cancel"`) {
		t.Error("it lacks what the vendor has")
	}
}

// operations lists the methods and paths of an OpenAPI document.
func operations(t *testing.T, doc map[string]any) []string {
	t.Helper()
	var all []string
	paths, ok := doc["paths"].(map[string]any)
	if !ok {
		t.Fatal("no paths")
	}
	for path, item := range paths {
		methods, ok := item.(map[string]any)
		if !ok {
			t.Fatalf("%s is no object", path)
		}
		for method := range maps.Keys(methods) {
			if method != "parameters" {
				all = append(all, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(all)
	return all
}

// looseReferences lists the $refs in v that lead nowhere in doc.
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

// leads reports whether a reference into the same document finds something there.
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
