package openai

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// document describes the dialect with all that batchd adds, each addition an object with the member addition.
//
//go:embed openapi.json
var document string

// addition marks, in a description, what batchd adds to the vendor's API and a strict dialect has not.
const addition = "x-batchd-extension"

// Description returns the OpenAPI 3.1 document of the dialect. The bytes must not be changed.
func (d *Dialect) Description() []byte { return d.description }

// Describe returns a vendor's OpenAPI document, for a strict dialect without the additions. It panics if the document is
// no JSON: it is part of the program.
func Describe(document string, strict bool) []byte {
	if !strict {
		return []byte(document)
	}
	var tree map[string]any
	if err := json.Unmarshal([]byte(document), &tree); err != nil {
		panic(fmt.Sprintf("openai: decode description: %v", err))
	}
	// In this order: lists refer to components, which must still be there to be recognized; and a path is empty only once its
	// operations are gone.
	dropListed(tree, tree)
	dropMarked(tree)
	dropEmptyPaths(tree)
	raw, err := json.Marshal(tree, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		panic(fmt.Sprintf("openai: encode description: %v", err))
	}
	return raw
}

// dropListed removes additions from the lists below v, a part of tree: they stand there in place or by reference, and
// what is referred to must still be in tree.
func dropListed(v any, tree map[string]any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if items, ok := member.([]any); ok {
				v[name] = slices.DeleteFunc(items, func(item any) bool { return isAddition(item, tree) })
			}
			dropListed(v[name], tree)
		}
	case []any:
		for _, item := range v {
			dropListed(item, tree)
		}
	}
}

// dropMarked removes every member below v that is marked as an addition.
func dropMarked(v any) {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, member any) bool { return isMarked(member) })
		for _, member := range v {
			dropMarked(member)
		}
	case []any:
		for _, item := range v {
			dropMarked(item)
		}
	}
}

// dropEmptyPaths removes the paths that have no operation left.
func dropEmptyPaths(document map[string]any) {
	paths, _ := document["paths"].(map[string]any)
	maps.DeleteFunc(paths, func(_ string, item any) bool {
		members, _ := item.(map[string]any)
		return !slices.ContainsFunc([]string{"get", "post", "put", "patch", "delete"}, func(method string) bool {
			_, has := members[method]
			return has
		})
	})
}

func isMarked(v any) bool {
	object, ok := v.(map[string]any)
	return ok && object[addition] == true
}

// isAddition reports whether v is an addition or refers to one.
func isAddition(v any, tree map[string]any) bool {
	if isMarked(v) {
		return true
	}
	object, _ := v.(map[string]any)
	reference, _ := object["$ref"].(string)
	pointer, local := strings.CutPrefix(reference, "#/")
	if !local {
		return false
	}
	var target any = tree
	for step := range strings.SplitSeq(pointer, "/") {
		members, _ := target.(map[string]any)
		target = members[step]
	}
	return isMarked(target)
}
