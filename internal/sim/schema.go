package sim

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// What ends the instance of a schema that refers to itself, perhaps many times over.
const (
	maxSchemaDepth = 16
	maxSchemaNodes = 512
	// maxSchemaBytes bounds an instance beyond its first string.
	maxSchemaBytes = 64 << 10
)

// A schema is the part of JSON Schema that structured output uses, still encoded.
type schema jsontext.Value

// UnmarshalJSON keeps a copy of the schema's text.
func (s *schema) UnmarshalJSON(text []byte) error {
	*s = append((*s)[:0], text...)
	return nil
}

// A schemaNode is one level of a schema, decoded.
type schemaNode struct {
	Ref        string           `json:"$ref"`
	Const      jsontext.Value   `json:"const"`
	Enum       []jsontext.Value `json:"enum"`
	AnyOf      []schema         `json:"anyOf"`
	OneOf      []schema         `json:"oneOf"`
	AllOf      []schema         `json:"allOf"`
	Type       jsontext.Value   `json:"type"`
	Properties jsontext.Value   `json:"properties"` // decoded by hand, since their order is kept
	Items      schema           `json:"items"`
	MinItems   int              `json:"minItems"`
	Minimum    jsontext.Value   `json:"minimum"`
}

// An instancer builds the smallest value of a schema that has every property. The text is its first string, and the
// beginning of the text each other one. Where a bound is reached the rest is null.
type instancer struct {
	root         schema
	text         []byte // a JSON string
	short        []byte // the same for strings after the first
	nodes, bytes int    // spent
}

// newInstance returns the value of a schema with the text in it. What is cut short by a bound is still JSON.
func newInstance(s schema, text string) jsontext.Value {
	in := instancer{root: s, text: mustEncode(text), short: mustEncode(head(text, 40))}
	return in.build(s, 0)
}

// build returns the value of one level. Of anyOf, oneOf and allOf only the first schema counts.
func (in *instancer) build(s schema, depth int) jsontext.Value {
	in.nodes++
	var n schemaNode
	if depth > maxSchemaDepth || in.nodes > maxSchemaNodes || len(s) == 0 || decode(s, &n) != nil {
		return jsontext.Value("null")
	}
	for _, choices := range [][]schema{n.AnyOf, n.OneOf, n.AllOf} {
		if len(choices) > 0 {
			return in.build(choices[0], depth+1)
		}
	}
	switch {
	case n.Ref != "":
		return in.build(in.resolve(n.Ref), depth+1)
	case len(n.Const) > 0:
		return in.leaf(n.Const)
	case len(n.Enum) > 0:
		return in.leaf(n.Enum[0])
	}
	return in.typed(n, depth)
}

// leaf pays for a value that is copied.
func (in *instancer) leaf(v jsontext.Value) jsontext.Value {
	if in.bytes += len(v); in.bytes > maxSchemaBytes {
		return jsontext.Value("null")
	}
	return v
}

// typed returns the value of a level that has nothing but a type.
func (in *instancer) typed(n schemaNode, depth int) jsontext.Value {
	switch typeName(n) {
	case "object":
		return in.object(n, depth)
	case "array":
		out := []byte("[")
		for i := range max(1, min(n.MinItems, maxSchemaNodes)) {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, in.build(n.Items, depth+1)...)
		}
		return append(out, ']')
	case "string":
		text := in.text
		in.text = in.short
		return text
	case "integer", "number":
		if len(n.Minimum) > 0 {
			return in.leaf(n.Minimum)
		}
		return jsontext.Value("0")
	case "boolean":
		return jsontext.Value("true")
	}
	return jsontext.Value("null")
}

// typeName is the first type named, or the one the other members imply.
func typeName(n schemaNode) string {
	var name string
	var names []string
	switch {
	case decode(n.Type, &name) == nil:
		return name
	case decode(n.Type, &names) == nil && len(names) > 0:
		return names[0]
	case len(n.Properties) > 0:
		return "object"
	case len(n.Items) > 0:
		return "array"
	}
	return ""
}

// object returns an object with each property, in the order of the schema: structured output promises that order.
func (in *instancer) object(n schemaNode, depth int) jsontext.Value {
	out := []byte("{")
	d := jsontext.NewDecoder(strings.NewReader(string(n.Properties)), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if start, err := d.ReadToken(); err != nil || start.Kind() != '{' {
		return jsontext.Value("{}")
	}
	for d.PeekKind() == '"' && in.nodes < maxSchemaNodes && in.bytes < maxSchemaBytes {
		name, err := d.ReadValue()
		if err != nil {
			break
		}
		in.bytes += len(name)
		out = append(out, name...) // before the next read, which reuses the buffer
		property, err := d.ReadValue()
		if err != nil {
			return jsontext.Value("{}")
		}
		out = append(append(append(out, ':'), in.build(schema(property.Clone()), depth+1)...), ',')
	}
	return append([]byte(strings.TrimSuffix(string(out), ",")), '}')
}

// resolve finds what a reference within the schema points to; nothing for any other reference.
func (in *instancer) resolve(ref string) schema {
	at, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	v := jsontext.Value(in.root)
	for token := range jsontext.Pointer(at).Tokens() {
		var members map[string]jsontext.Value
		if decode(v, &members) != nil {
			return nil
		}
		v = members[token]
	}
	return schema(v)
}
