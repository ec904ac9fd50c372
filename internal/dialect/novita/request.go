package novita

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

// ParseCreateBatch reads the body of a create call. What Novita does not document is taken as OpenAI means it, since
// OpenAI's SDKs can send it; a strict dialect refuses it, so that nobody believes it had an effect.
func (d *Dialect) ParseCreateBatch(body []byte, rules dialect.CreateRules) (dialect.CreateBatch, error) {
	c, err := d.requests.ParseCreateBatch(body, rules)
	if err != nil || !d.strict {
		return c, err
	}
	for _, member := range []struct {
		name string
		sent bool
	}{
		{"metadata", c.Metadata != nil},
		{"output_expires_after", c.OutputTTLSeconds != 0},
		{remarkMember, c.Remark != ""},
		{"callback_url", c.CallbackURL != ""},
	} {
		if member.sent {
			return dialect.CreateBatch{}, dialect.UnknownParameter(member.name)
		}
	}
	return c, nil
}

// CheckUpload checks an upload once all its fields are known. A strict dialect refuses a TTL for the file, which
// Novita does not document.
func (d *Dialect) CheckUpload(fields map[string]string, filename string) (dialect.Upload, error) {
	u, err := d.requests.CheckUpload(fields, filename)
	if err == nil && d.strict && u.TTLSeconds != 0 {
		return dialect.Upload{}, dialect.UnknownParameter("expires_after")
	}
	return u, err
}

// ParseStatus returns the states behind one of Novita's words, in upper or in lower case.
func (d *Dialect) ParseStatus(word string) ([]batch.Status, error) {
	var states []batch.Status
	var words []string
	for _, s := range batch.Statuses() {
		own := d.word(s)
		if word == strings.ToUpper(own) || word == strings.ToLower(own) {
			states = append(states, s)
		}
		if !slices.Contains(words, own) {
			words = append(words, own)
		}
	}
	if states == nil {
		return nil, openai.UnknownStatus(word, words)
	}
	return states, nil
}

// ParseEditBatch reads the body of an edit, which can set the remark and nothing else. Members that it does not know
// are ignored, as in a create call.
func (d *Dialect) ParseEditBatch(body []byte) (dialect.EditBatch, error) {
	var members map[string]jsontext.Value
	err := json.Unmarshal(body, &members)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return dialect.EditBatch{}, batch.Invalidf("", "", "The request body is not valid JSON: a key appears twice.")
	case err != nil || members == nil:
		return dialect.EditBatch{}, batch.Invalidf("", "", "The request body is not valid JSON: an object is expected.")
	}
	value, sent := members[remarkMember]
	if !sent {
		return dialect.EditBatch{}, batch.Invalidf(remarkMember, "missing_required_parameter",
			"There is nothing to change. 'remark' is what can be changed.")
	}
	remark, err := parseRemark(value)
	if err != nil {
		return dialect.EditBatch{}, err
	}
	return dialect.EditBatch{Remark: &remark}, nil
}

// parseRemark reads a remark under the rules of a create call; null takes the remark away.
func parseRemark(v jsontext.Value) (string, error) {
	switch v.Kind() {
	case jsontext.KindNull:
		return "", nil
	case jsontext.KindString:
	default:
		return "", batch.Invalidf(remarkMember, "invalid_type", "Invalid type for 'remark': expected a string or null.")
	}
	return openai.ShortText(remarkMember, v, maxRemark)
}
