package upstream

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// latest is the tag that Ollama adds to a name without one.
const latest = ":latest"

// matchModel looks a model up in a list of names, which is in order, and returns the name to ask for. It takes, the first that
// is there: the name as written; with ":latest" added or left out; either in another case; a name of the list that ends in
// "*"; the name without what is behind its last colon, unless the list has that name with another such suffix. The first
// three mean the name in the list, which is asked for; with the others the upstream decides on the name as written.
func matchModel(names []string, model string) (name string, found bool) {
	if _, found := slices.BinarySearch(names, model); found {
		return model, true
	}
	other, tagged := strings.CutSuffix(model, latest)
	if !tagged {
		other = model + latest
	}
	if _, found := slices.BinarySearch(names, other); found {
		return other, true
	}
	for _, spelled := range []string{model, other} {
		for _, n := range names {
			if strings.EqualFold(n, spelled) {
				return n, true
			}
		}
	}
	for _, n := range names {
		if prefix, wild := strings.CutSuffix(n, "*"); wild && strings.HasPrefix(model, prefix) {
			return model, true
		}
	}
	if i := strings.LastIndexByte(model, ':'); i > 0 {
		_, found := slices.BinarySearch(names, model[:i])
		suffixed := slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, model[:i+1]) })
		return model, found && !suffixed
	}
	return model, false
}

// renameModel returns a request's body with another value of its member "model", and all other bytes as they are. A body
// that has none, or is no JSON object, is returned as it is.
func renameModel(body []byte, name string) []byte {
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return body
	}
	for d.PeekKind() == '"' {
		key, err := d.ReadToken()
		if err != nil {
			return body
		}
		isModel := key.String() == "model" // before the next read, which the token does not outlive
		value, err := d.ReadValue()
		if err != nil {
			return body
		}
		if isModel {
			end := int(d.InputOffset())
			renamed := append(make([]byte, 0, len(body)+len(name)), body[:end-len(value)]...)
			renamed, _ = jsontext.AppendQuote(renamed, name)
			return append(renamed, body[end:]...)
		}
	}
	return body
}
