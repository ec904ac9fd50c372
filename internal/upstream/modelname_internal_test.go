package upstream

import (
	"slices"
	"testing"
)

func TestModelsAreMatchedByNameTagCaseWildcardAndSuffix(t *testing.T) {
	t.Parallel()
	type want struct {
		name  string
		found bool
	}
	for _, c := range []struct {
		names []string
		model string
		want  want
	}{
		{[]string{"a", "b"}, "b", want{"b", true}},
		{[]string{"a"}, "c", want{"c", false}},
		{[]string{"llama3:latest"}, "llama3", want{"llama3:latest", true}},
		{[]string{"llama3"}, "llama3:latest", want{"llama3", true}},
		{[]string{"llama3", "llama3:latest"}, "llama3", want{"llama3", true}},
		{[]string{"Org/Model-7B"}, "org/model-7b", want{"Org/Model-7B", true}},
		{[]string{"Llama3:latest"}, "llama3", want{"Llama3:latest", true}},
		{[]string{"openai/*"}, "openai/gpt-4o", want{"openai/gpt-4o", true}},
		{[]string{"openai/*"}, "azure/gpt-4o", want{"azure/gpt-4o", false}},
		{[]string{"*"}, "anything", want{"anything", true}},
		{[]string{"m"}, "m:free", want{"m:free", true}},
		{[]string{"m", "m:q4"}, "m:free", want{"m:free", false}},
		{[]string{"qwen:7b"}, "qwen:14b", want{"qwen:14b", false}},
		{[]string{"qwen:7b"}, "qwen", want{"qwen", false}},
		{[]string{"a:b"}, "a:b:c", want{"a:b:c", true}},
		{[]string{"x"}, ":latest", want{":latest", false}},
		{[]string{"x"}, "", want{"", false}},
	} {
		slices.Sort(c.names)
		name, found := matchModel(c.names, c.model)
		if got := (want{name, found}); got != c.want {
			t.Errorf("%q in %q: got %+v, want %+v", c.model, c.names, got, c.want)
		}
	}
}

func TestOnlyTheModelsNameIsExchangedInABody(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"model":"llama3","messages":[]}`:                      `{"model":"llama3:latest","messages":[]}`,
		`{ "x": {"model": 1.0E2}, "model" :"a" , "y":"\u0041"}`: `{ "x": {"model": 1.0E2}, "model" :"llama3:latest" , "y":"\u0041"}`,
		`{"messages":[]}`: `{"messages":[]}`,
		`[1`:              `[1`,
		``:                ``,
	} {
		if got := string(renameModel([]byte(body), "llama3:latest")); got != want {
			t.Errorf("%s became %s, want %s", body, got, want)
		}
	}
}
