package sim

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// textOf reads a message's content: a string, null, or an array of parts of which some are text.
func textOf(content jsontext.Value) (text string, cost int, ok bool) {
	switch content.Kind() {
	case 0, 'n':
		return "", 0, true
	case '"':
		if err := json.Unmarshal(content, &text, jsontext.AllowInvalidUTF8(true)); err != nil {
			return "", 0, false
		}
		return text, tokens(text), true
	case '[':
		var parts []struct {
			Type string  `json:"type"`
			Text *string `json:"text"`
		}
		if decode(content, &parts) != nil {
			return "", 0, false
		}
		var b strings.Builder
		for _, p := range parts {
			if p.Text == nil {
				cost += imageTokens
				continue
			}
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(*p.Text)
		}
		return b.String(), cost + tokens(b.String()), true
	}
	return "", 0, false
}

// inputs reads what completions, embeddings, moderations and score take: a text, texts, token ids, or lists of those.
// Token ids are taken as the text they are written in, so equal ids give equal answers.
func inputs(name string, v jsontext.Value) ([]input, *apiError) {
	bad := invalid(name, "'%s' must be a string, an array of strings, an array of integers, or an array of arrays of integers, and not empty.", name)
	if len(v) == 0 || v.Kind() == 'n' {
		return nil, missing(name)
	}
	if in, ok := oneInput(v); ok {
		return []input{in}, nil
	}
	var items []jsontext.Value
	if v.Kind() != '[' || decode(v, &items) != nil || len(items) == 0 {
		return nil, bad
	}
	if len(items) > maxInputs {
		return nil, invalid(name, "'%s' has %d items, more than %d.", name, len(items), maxInputs)
	}
	ins := make([]input, len(items))
	for i, item := range items {
		var ok bool
		if ins[i], ok = oneInput(item); !ok {
			return nil, bad
		}
	}
	return ins, nil
}

// An input is one text, with its price.
type input struct {
	text   string
	tokens int
}

func oneInput(v jsontext.Value) (input, bool) {
	switch v.Kind() {
	case '"':
		text, cost, ok := textOf(v)
		return input{text, cost}, ok
	case '[':
		var ids []uint32
		if decode(v, &ids) != nil || len(ids) == 0 {
			return input{}, false
		}
		return input{text: string(v), tokens: len(ids)}, true
	case '{':
		// Multimodal parts, and rerank's documents with a text member.
		var part struct {
			Text string `json:"text"`
		}
		if decode(v, &part) != nil {
			return input{}, false
		}
		return input{part.Text, max(tokens(part.Text), 1)}, true
	}
	return input{}, false
}

func countTokens(ins []input) int {
	n := 0
	for _, in := range ins {
		n += in.tokens
	}
	return n
}
