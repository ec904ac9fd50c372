package openai

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// shownValue is how many characters of a refused value an error message repeats.
const shownValue = 100

// members are the members of a JSON object by their decoded names.
type members map[string]jsontext.Value

// ParseCreateBatch reads the body of a create call. Members that it does not know are ignored, since SDKs may send
// more than is documented.
func (d *Dialect) ParseCreateBatch(body []byte, rules dialect.CreateRules) (dialect.CreateBatch, error) {
	var c dialect.CreateBatch
	m, err := parseObject(body)
	if err != nil {
		return c, err
	}
	if c.InputFileID, err = m.text("", "input_file_id"); err != nil {
		return c, err
	}
	if c.Endpoint, err = m.text("", "endpoint"); err != nil {
		return c, err
	}
	if !slices.Contains(rules.Endpoints, c.Endpoint) {
		return c, unsupported("endpoint", c.Endpoint, rules.Endpoints)
	}
	if c.Window, err = m.text("", "completion_window"); err != nil {
		return c, err
	}
	if err = checkWindow(c.Window, rules); err != nil {
		return c, err
	}
	if c.Metadata, err = parseMetadata(m["metadata"]); err != nil {
		return c, err
	}
	c.OutputTTLSeconds, err = parseExpiry(m["output_expires_after"])
	if err == nil && c.OutputTTLSeconds == 0 && d.strict {
		c.OutputTTLSeconds = thirtyDays
	}
	return c, err
}

// parseObject decodes a request body. Names that appear twice and invalid UTF-8 are refused at every depth, since
// two readers of such a document may understand it differently.
func parseObject(body []byte) (members, error) {
	var m members
	err := json.Unmarshal(body, &m)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return nil, batch.Invalidf("", "", "The request body is not valid JSON: %s.", duplicateName(err))
	case err != nil || m == nil:
		return nil, batch.Invalidf("", "", "The request body is not valid JSON: an object is expected.")
	}
	return m, nil
}

// duplicateName words the error of a name that appears twice in an object.
func duplicateName(err error) string {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return "a key appears twice"
	}
	return "the key '" + clip(syntax.JSONPointer.LastToken(), shownValue) + "' appears twice"
}

// has reports whether the member is there and not null; null stands for absence in all of the API.
func (m members) has(name string) bool {
	v := m[name]
	return len(v) > 0 && v.Kind() != jsontext.KindNull
}

// text returns a required string. prefix is the path of the object that m is, "" or ending in a dot.
func (m members) text(prefix, name string) (string, error) {
	if !m.has(name) {
		return "", missing(prefix + name)
	}
	return text(prefix+name, m[name])
}

func text(param string, v jsontext.Value) (string, error) {
	if v.Kind() != jsontext.KindString {
		return "", wrongType(param, codeType, "a string", v)
	}
	raw, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return "", batch.Invalidf(param, codeType, "Invalid '%s': the string is malformed.", param)
	}
	return string(raw), nil
}

func wrongType(param, code, want string, v jsontext.Value) *batch.Error {
	return batch.Invalidf(param, code, "Invalid type for '%s': expected %s, but got %s instead.", param, want, kindName(v))
}

// kindName names the type of a JSON value as OpenAI's messages do.
func kindName(v jsontext.Value) string {
	switch v.Kind() {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		if bytes.ContainsAny(v, ".eE") {
			return "a decimal"
		}
		return "an integer"
	case jsontext.KindBeginArray:
		return "an array"
	default:
		return "an object"
	}
}

func unsupported(param, got string, supported []string) *batch.Error {
	return batch.Invalidf(param, codeValue, "Invalid value: '%s'. Supported values are: %s.", clip(got, shownValue), enumerate(supported))
}

// enumerate writes 'a', 'b', and 'c'.
func enumerate(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = "'" + v + "'"
	}
	switch n := len(quoted); n {
	case 0, 1, 2:
		return strings.Join(quoted, " and ")
	default:
		return strings.Join(quoted[:n-1], ", ") + ", and " + quoted[n-1]
	}
}

func checkWindow(window string, rules dialect.CreateRules) error {
	if !rules.Any {
		if slices.Contains(rules.Windows, window) {
			return nil
		}
		return unsupported("completion_window", window, rules.Windows)
	}
	if _, err := batch.ParseWindow(window); err != nil {
		return batch.Invalidf("completion_window", codeValue,
			"Invalid value: '%s'. Supported values are a whole number followed by s, m, h or d, from 1s to 30d.", clip(window, shownValue))
	}
	return nil
}

// clip cuts s to n characters, saying so with an ellipsis.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	end := 0
	for range n {
		_, size := utf8.DecodeRuneInString(s[end:])
		end += size
	}
	return s[:end] + "…"
}
