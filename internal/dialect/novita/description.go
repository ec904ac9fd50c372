package novita

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// openapi describes the dialect with all its additions, each of them an object with the member addition.
//
//go:embed openapi.json
var openapi string

// addition marks, in the description, what batchd adds to Novita's API and a strict dialect has not.
const addition = "x-batchd-extension"

// Description returns the OpenAPI 3.1 document of the dialect. The bytes must not be changed.
func (d *Dialect) Description() []byte { return d.description }

// describe returns the description, for a strict dialect without the additions.
func describe(strict bool) []byte {
	if !strict {
		return []byte(openapi)
	}
	var document map[string]any
	if err := json.Unmarshal([]byte(openapi), &document); err != nil {
		panic(fmt.Sprintf("novita: decode openapi.json: %v", err)) // part of the program, and tested
	}
	dropAdditions(document)
	raw, err := json.Marshal(document, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		panic(fmt.Sprintf("novita: encode openapi.json: %v", err))
	}
	return raw
}

// dropAdditions removes additions below v. They stand in objects and arrays of objects.
func dropAdditions(v any) {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, member any) bool { return isAddition(member) })
		for name, member := range v {
			if items, ok := member.([]any); ok {
				v[name] = slices.DeleteFunc(items, isAddition)
			}
			dropAdditions(v[name])
		}
	case []any:
		for _, item := range v {
			dropAdditions(item)
		}
	}
}

func isAddition(v any) bool {
	object, ok := v.(map[string]any)
	return ok && object[addition] == true
}
