package novita_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"batchd/internal/dialect/novita"
)

// document is a decoded OpenAPI document.
type document map[string]any

func describe(t *testing.T, d *novita.Dialect) document {
	t.Helper()
	var doc document
	decode(t, d.Description(), &doc)
	return doc
}

// at returns what a JSON pointer without escapes points to, nil for nothing.
func (doc document) at(pointer string) any {
	var v any = map[string]any(doc)
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

// operations lists the document's operations, like "GET /files".
func (doc document) operations() []string {
	var all []string
	paths, _ := doc["paths"].(map[string]any)
	for path, item := range paths {
		methods, _ := item.(map[string]any)
		for _, method := range []string{"get", "post", "patch", "put", "delete"} {
			if methods[method] != nil {
				all = append(all, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(all)
	return all
}

// check lists how v is not as a schema says. It knows what the schemas of the description use.
func (doc document) check(schema map[string]any, v any, where string) []string {
	if ref, ok := schema["$ref"].(string); ok {
		target, ok := doc.at(strings.TrimPrefix(ref, "#")).(map[string]any)
		if !ok {
			return []string{where + ": no " + ref}
		}
		return doc.check(target, v, where)
	}
	var faults []string
	if !slices.Contains(typesOf(schema), typeOf(v)) {
		faults = append(faults, fmt.Sprintf("%s is %v, want %v", where, v, schema["type"]))
	}
	if allowed, ok := schema["enum"].([]any); ok && !slices.Contains(allowed, v) {
		faults = append(faults, fmt.Sprintf("%s is %v, want one of %v", where, v, allowed))
	}
	switch v := v.(type) {
	case string:
		if most, ok := schema["maxLength"].(float64); ok && utf8.RuneCountInString(v) > int(most) {
			faults = append(faults, where+" is too long")
		}
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, item := range v {
			faults = append(faults, doc.check(items, item, fmt.Sprintf("%s/%d", where, i))...)
		}
	case map[string]any:
		faults = append(faults, doc.checkObject(schema, v, where)...)
	}
	return faults
}

func (doc document) checkObject(schema, v map[string]any, where string) []string {
	var faults []string
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := v[fmt.Sprint(name)]; !ok {
			faults = append(faults, fmt.Sprintf("%s has no %v", where, name))
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, value := range v {
		property, known := properties[name].(map[string]any)
		switch {
		case known:
			faults = append(faults, doc.check(property, value, where+"/"+name)...)
		case schema["additionalProperties"] == false:
			faults = append(faults, where+" has an unknown "+name)
		}
	}
	return faults
}

// typesOf returns the types that a schema allows.
func typesOf(schema map[string]any) []string {
	var all []string
	switch types := schema["type"].(type) {
	case string:
		all = append(all, types)
	case []any:
		for _, name := range types {
			all = append(all, fmt.Sprint(name))
		}
	}
	return all
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
	}
	return "number"
}

func TestDescriptionListsNovitasRoutesAndOursOutsideStrict(t *testing.T) {
	t.Parallel()
	theirs := []string{
		"DELETE /files/{file_id}", "GET /batches", "GET /batches/{batch_id}", "GET /files", "GET /files/{file_id}",
		"GET /files/{file_id}/content", "GET /models", "GET /models/{id}", "POST /batches", "POST /batches/{batch_id}/cancel", "POST /files",
	}
	ours := []string{"GET /openapi.json", "PATCH /batches/{batch_id}", "POST /batches/{batch_id}/retry"}
	both := slices.Sorted(slices.Values(slices.Concat(theirs, ours)))
	for name, d := range dialects() {
		want := both
		if name == "strict" {
			want = theirs
		}
		if got := describe(t, d).operations(); !slices.Equal(got, want) {
			t.Errorf("%s: operations\ngot  %q\nwant %q", name, got, want)
		}
	}
}

func TestRenderingsAreAsTheDescriptionSays(t *testing.T) {
	t.Parallel()
	lower := novita.New(novita.Options{StatusCase: novita.LowerCase})
	all := dialects()
	all["lower case"] = lower
	for mode, d := range all {
		doc := describe(t, d)
		for name, r := range renderings() {
			var got any
			decode(t, r.render(d), &got)
			schema := map[string]any{"$ref": "#/components/schemas/" + r.schema}
			for _, fault := range doc.check(schema, got, name) {
				t.Errorf("%s: %s", mode, fault)
			}
		}
	}
}

// What a strict server renders has no more members than its own description has.
func TestStrictRenderingsHaveNoneOfOurMembers(t *testing.T) {
	t.Parallel()
	all := dialects()
	doc := describe(t, all["strict"])
	for name, r := range renderings() {
		schema := map[string]any{"$ref": "#/components/schemas/" + r.schema}
		var strict, full any
		decode(t, r.render(all["strict"]), &strict)
		decode(t, r.render(all["default"]), &full)
		if faults := doc.check(schema, strict, name); len(faults) > 0 {
			t.Errorf("strict: %q", faults)
		}
		ours := strings.HasPrefix(name, "error-") || strings.HasPrefix(name, "files") || name == "batch-continued" ||
			name == "batches" || strings.HasPrefix(name, "file-") && name != "file-deleted"
		if faults := doc.check(schema, full, name); len(faults) > 0 != ours {
			t.Errorf("%s shows additions of ours: %t, want %t: %q", name, len(faults) > 0, ours, faults)
		}
	}
}

func TestDescriptionsHangTogether(t *testing.T) {
	t.Parallel()
	for name, d := range dialects() {
		doc := describe(t, d)
		if doc["openapi"] != "3.1.0" {
			t.Errorf("%s: version %v", name, doc["openapi"])
		}
		if strict, ours := name == "strict", strings.Contains(string(d.Description()), `"x-batchd-extension": true`); strict == ours {
			t.Errorf("%s: marks additions: %t", name, ours)
		}
		used := map[string]bool{}
		ids := map[string]bool{}
		walk(map[string]any(doc), name, func(object map[string]any, where string) {
			if ref, ok := object["$ref"].(string); ok {
				used[ref] = true
				if doc.at(strings.TrimPrefix(ref, "#")) == nil {
					t.Errorf("%s: %s is not there", where, ref)
				}
			}
			if id, ok := object["operationId"].(string); ok {
				if ids[id] {
					t.Errorf("%s: operation %s is there twice", where, id)
				}
				ids[id] = true
			}
			checkSchemaItself(t, object, where)
		})
		for _, kind := range []string{"parameters", "responses", "schemas"} {
			parts, _ := doc.at("/components/" + kind).(map[string]any)
			for part := range parts {
				if ref := "#/components/" + kind + "/" + part; !used[ref] {
					t.Errorf("%s: nothing refers to %s", name, ref)
				}
			}
		}
	}
}

// checkSchemaItself fails the test if a schema requires what it does not have, or lets an answer of ours have members
// that are not listed.
func checkSchemaItself(t *testing.T, object map[string]any, where string) {
	t.Helper()
	properties, ok := object["properties"].(map[string]any)
	if !ok {
		return
	}
	required, _ := object["required"].([]any)
	for _, name := range required {
		if properties[fmt.Sprint(name)] == nil {
			t.Errorf("%s requires %v, which is no property", where, name)
		}
	}
	asked := strings.Contains(where, "/UploadForm") || strings.Contains(where, "/CreateBatch") ||
		strings.Contains(where, "/EditBatch") || strings.Contains(where, "/RetryBatch")
	if closed := object["additionalProperties"] == false; closed == asked {
		t.Errorf("%s: takes no members besides: %t, want %t", where, closed, !asked)
	}
}

// walk calls visit for every object at or below v.
func walk(v any, where string, visit func(object map[string]any, where string)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v, where)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			walk(v[name], where+"/"+name, visit)
		}
	case []any:
		for i, item := range v {
			walk(item, fmt.Sprintf("%s/%d", where, i), visit)
		}
	}
}
