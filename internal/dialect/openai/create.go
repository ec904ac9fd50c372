package openai

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// shownValue is how many characters of a refused value an error message repeats, so that no
// error is as long as a request.
const shownValue = 100

// members are the members of a JSON object by their decoded names. A member that is not there has no bytes, which the methods
// take like null.
type members map[string]jsontext.Value

// idempotencyMember is where OGX's clients put the idempotency key.
const idempotencyMember = "idempotency_key"

// ParseCreateBatch reads the body of a create call. Members that it does not know are refused, last of all.
func (d *Dialect) ParseCreateBatch(body []byte, rules dialect.CreateRules) (dialect.CreateBatch, error) {
	var c dialect.CreateBatch
	m, err := parseObject(body)
	if err != nil {
		return c, err
	}
	if c.InputFileID, err = m.text("", "input_file_id"); err != nil {
		return c, err
	}
	if c.Endpoint, err = d.endpoint(m, rules); err != nil {
		return c, err
	}
	if c.Window, err = d.window(m, rules); err != nil {
		return c, err
	}
	// Refused, not cut: what a client finds its batches by must come back as it was sent.
	if c.Metadata, err = d.parseMetadata(m["metadata"]); err != nil {
		return c, err
	}
	if err = d.parseAdditions(m, &c); err != nil {
		return c, err
	}
	asked, err := m.expiry("output_expires_after")
	if err != nil {
		return c, err
	}
	c.OutputTTLSeconds = d.ttl(asked)
	if m.has(idempotencyMember) {
		if c.IdempotencyKey, err = text(idempotencyMember, m[idempotencyMember]); err != nil {
			return c, err
		}
		c.HasIdempotencyKey = true
	}
	return c, d.checkKnown(m)
}

// endpoint reads the endpoint and checks it against those that batches may be run against.
func (d *Dialect) endpoint(m members, rules dialect.CreateRules) (string, error) {
	asked, err := m.text("", "endpoint")
	if err != nil {
		return "", err
	}
	endpoint := d.withoutPrefix(asked)
	if known := slices.Contains(rules.Endpoints, endpoint); !known && (d.exactPaths() || !slices.Contains(rules.Endpoints, batch.EndpointPath(endpoint))) {
		return "", unsupported("endpoint", asked, rules.Endpoints)
	}
	return endpoint, nil
}

// withoutPrefix returns a path without what the vendor's own servers have before it.
func (d *Dialect) withoutPrefix(path string) string {
	return strings.TrimPrefix(path, d.variant.URLPrefix)
}

// exactPaths reports whether the version must stand in a path.
func (d *Dialect) exactPaths() bool { return d.strict || d.variant.ExactPaths }

// window reads and checks the completion window.
func (d *Dialect) window(m members, rules dialect.CreateRules) (string, error) {
	window := d.variant.DefaultWindow
	if window == "" || m.has("completion_window") {
		var err error
		if window, err = m.text("", "completion_window"); err != nil {
			return "", err
		}
	}
	// A default is checked as well: what the server's operator allows comes before what the vendor's pages say.
	return window, checkWindow(window, rules)
}

// maxCallback is the longest address to be told of a batch's end, in characters.
const maxCallback = 2048

// parseAdditions reads what batchd adds to the vendor's create call. A strict dialect refuses a callback; the vendor's
// additions are unknown to it.
func (d *Dialect) parseAdditions(m members, c *dialect.CreateBatch) (err error) {
	if d.strict {
		if m.has("callback_url") {
			return dialect.UnknownParameter("callback_url")
		}
		return nil
	}
	if d.variant.Additions != nil {
		if err := d.variant.Additions(m, c); err != nil {
			return err
		}
	}
	if m.has("callback_url") {
		c.CallbackURL, err = ShortText("callback_url", m["callback_url"], maxCallback)
	}
	return err
}

// ShortText reads a string of at most limit characters without control characters.
func ShortText(name string, v jsontext.Value, limit int) (string, error) {
	s, err := text(name, v)
	if err != nil {
		return "", err
	}
	if n := utf8.RuneCountInString(s); n > limit {
		return "", batch.Invalidf(name, codeTooLong,
			"Invalid '%s': string too long. Expected a string with maximum length %d, but got a string with length %d instead.", name, limit, n)
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", batch.Invalidf(name, codeValue, "Invalid '%s': control characters are not allowed.", name)
	}
	return s, nil
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

// duplicateName writes, as part of a sentence, the error of a name that appears twice in an object.
func duplicateName(err error) string {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return "a key appears twice"
	}
	return "the key '" + dialect.Clip(syntax.JSONPointer.LastToken(), shownValue) + "' appears twice"
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

// text decodes a string. param names it in the fault of a value that is none.
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

// wrongType returns the fault of a value of another type than want, in the words that OpenAI's messages have for types.
func wrongType(param, code, want string, v jsontext.Value) *batch.Error {
	got := "an object"
	switch v.Kind() {
	case jsontext.KindNull:
		got = "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		got = "a boolean"
	case jsontext.KindString:
		got = "a string"
	case jsontext.KindNumber:
		got = "an integer"
		if bytes.ContainsAny(v, ".eE") {
			got = "a decimal"
		}
	case jsontext.KindBeginArray:
		got = "an array"
	}
	return batch.Invalidf(param, code, "Invalid type for '%s': expected %s, but got %s instead.", param, want, got)
}

// unsupported returns the fault of a value that is none of the supported ones, which it lists like OpenAI: 'a', 'b', and 'c'.
func unsupported(param, got string, supported []string) *batch.Error {
	quoted := make([]string, len(supported))
	for i, v := range supported {
		quoted[i] = "'" + v + "'"
	}
	list := strings.Join(quoted, " and ")
	if n := len(quoted); n > 2 {
		list = strings.Join(quoted[:n-1], ", ") + ", and " + quoted[n-1]
	}
	return batch.Invalidf(param, codeValue, "Invalid value: '%s'. Supported values are: %s.", dialect.Clip(got, shownValue), list)
}

// checkWindow refuses a completion window that is not accepted. Unless any is, only the listed words are: "1d" is not "24h".
func checkWindow(window string, rules dialect.CreateRules) error {
	if !rules.AnyWindow {
		if slices.Contains(rules.Windows, window) {
			return nil
		}
		return unsupported("completion_window", window, rules.Windows)
	}
	if length, err := batch.ParseWindow(window); err != nil || length%time.Minute != 0 {
		return batch.Invalidf("completion_window", codeValue,
			"Invalid value: '%s'. Supported values are whole minutes from 1m to 30d, written as a whole number followed by s, m, h or d, and '%s'.",
			dialect.Clip(window, shownValue), batch.Background)
	}
	return nil
}
