package neosantara

import (
	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

// The two spellings of the status word of a cancelled batch.
const (
	spelledTwoL = "cancelled"
	spelledOneL = "canceled"
)

// ParseCreateBatch reads the body of a create call. A TTL for the result files, which Neosantara does not document, is
// taken as OpenAI means it, since OpenAI's SDKs can send it; a strict dialect refuses it, so that nobody believes it had
// an effect.
func (d *Dialect) ParseCreateBatch(body []byte, rules dialect.CreateRules) (dialect.CreateBatch, error) {
	c, err := d.requests.ParseCreateBatch(body, rules)
	if err == nil && d.strict && c.OutputTTLSeconds != 0 {
		return dialect.CreateBatch{}, dialect.UnknownParameter("output_expires_after")
	}
	return c, err
}

// CheckUpload checks an upload once all its fields are known. Neosantara has its own code for a form without a file; the
// rest is checked like OpenAI's. A strict dialect refuses a TTL for the file.
func (d *Dialect) CheckUpload(fields map[string]string, filename string) (dialect.Upload, error) {
	if filename == "" {
		return dialect.Upload{}, batch.Invalidf("file", "missing_file", "Missing required file parameter")
	}
	u, err := d.requests.CheckUpload(fields, filename)
	if err == nil && d.strict && u.TTLSeconds != 0 {
		return dialect.Upload{}, dialect.UnknownParameter("expires_after")
	}
	return u, err
}

// ParseStatus returns the states that a status word stands for. Both spellings of cancelled are known, whichever is
// shown, and either means a batch that is still being cancelled too, since that is shown by the same word.
func (d *Dialect) ParseStatus(word string) ([]batch.Status, error) {
	switch word {
	case spelledTwoL, spelledOneL:
		return []batch.Status{batch.Cancelling, batch.Cancelled}, nil
	case string(batch.Cancelling):
	default:
		if states, err := d.requests.ParseStatus(word); err == nil {
			return states, nil
		}
	}
	var known []string
	for _, s := range batch.Statuses() {
		if s != batch.Cancelling {
			known = append(known, d.status(s))
		}
	}
	return nil, openai.UnknownStatus(word, known)
}

// status returns the word by which a state is shown.
func (d *Dialect) status(s batch.Status) string {
	if s == batch.Cancelling || s == batch.Cancelled {
		return d.cancelled
	}
	return string(s)
}
