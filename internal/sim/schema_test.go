package sim_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/sim"
)

func TestStructuredOutputFitsItsSchema(t *testing.T) {
	t.Parallel()
	e := newEngine(t, sim.Options{})
	schemaOf := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	type m = map[string]any
	for _, c := range []struct {
		name   string
		schema any
		want   any
	}{
		{"scalars", m{"type": "object", "properties": m{"a": m{"type": "string"}, "b": m{"type": "integer"}, "c": m{"type": "boolean"}, "d": m{"type": "null"}}}, m{"a": "*", "b": 0., "c": true, "d": nil}},
		{"minimum", m{"type": "number", "minimum": 2.5}, 2.5},
		{"const", m{"const": m{"x": 1}}, m{"x": 1.}},
		{"enum", m{"type": "string", "enum": []any{"yes", "no"}}, "yes"},
		{"array", m{"type": "array", "items": m{"type": "integer"}, "minItems": 3}, []any{0., 0., 0.}},
		{"nullable", m{"type": []any{"string", "null"}}, "*"},
		{"a choice", m{"anyOf": []any{m{"type": "boolean"}, m{"type": "null"}}}, true},
		{"a reference", m{"$ref": "#/$defs/p", "$defs": m{"p": m{"properties": m{"n": m{"type": "integer"}}}}}, m{"n": 0.}},
		{"a foreign reference", m{"$ref": "http://x/"}, nil},
		{"implied array", m{"items": m{"type": "boolean"}}, []any{true}},
		{"no schema", m{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := strings.ReplaceAll(schemaOf(c.want), `"*"`, `"SAID"`)
			for path, body := range map[string]string{
				"/v1/chat/completions": `{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":` + schemaOf(c.schema) + `}}}`,
				"/v1/responses":        `{"model":"m","input":"x","text":{"format":{"type":"json_schema","name":"n","schema":` + schemaOf(c.schema) + `}}}`,
			} {
				v := parse(t, post(e, path, body))
				var content string
				if path == "/v1/responses" {
					content = as[string](t, at(t, v, "output", 0, "content", 0, "text"))
				} else {
					content = as[string](t, at(t, v, "choices", 0, "message", "content"))
				}
				var got any
				if err := json.Unmarshal([]byte(content), &got); err != nil {
					t.Fatalf("%s: content %q: %v", path, content, err)
				}
				if s, ok := got.(map[string]any); ok && s["a"] != nil {
					s["a"] = "SAID"
				} else if _, ok := got.(string); ok && want == `"SAID"` {
					got = "SAID"
				}
				if d := cmp.Diff(want, schemaOf(got)); d != "" {
					t.Errorf("%s (-want +got):\n%s", path, d)
				}
			}
		})
	}
	for name, loop := range map[string]string{
		"list":  `{"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"next":{"$ref":"#/$defs/n"}}}}}`,
		"tree":  `{"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"l":{"$ref":"#/$defs/n"},"v":{"const":"` + strings.Repeat("x", 10000) + `"},"r":{"$ref":"#/$defs/n"}}}}}`,
		"array": `{"$ref":"#/$defs/n","$defs":{"n":{"type":"array","minItems":1000000,"items":{"$ref":"#/$defs/n"}}}}`,
	} {
		v := parse(t, post(e, "/v1/responses", `{"model":"m","input":"x","text":{"format":{"type":"json_schema","schema":`+loop+`}}}`))
		content := as[string](t, at(t, v, "output", 0, "content", 0, "text"))
		if len(content) > 128<<10 || !json.Valid([]byte(content)) {
			t.Errorf("%s without end: %d bytes, valid %v", name, len(content), json.Valid([]byte(content)))
		}
	}
}
