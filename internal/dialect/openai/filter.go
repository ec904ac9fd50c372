package openai

import (
	"bytes"
	"slices"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// ParseStatus returns the state that a status word stands for: OpenAI's words are the states' own names.
func (d *Dialect) ParseStatus(word string) ([]batch.Status, error) {
	known := batch.Statuses()
	if slices.Contains(known, batch.Status(word)) {
		return []batch.Status{batch.Status(word)}, nil
	}
	words := make([]string, len(known))
	for i, s := range known {
		words[i] = string(s)
	}
	return nil, UnknownStatus(word, words)
}

// UnknownStatus is the fault of a list filter whose status word is none of those that the vendor shows.
func UnknownStatus(word string, known []string) *batch.Error {
	return unsupported("status", word, known)
}

// ParseRetryBatch reads the body of a retry call. None at all asks for the window of the batch that is continued.
func (d *Dialect) ParseRetryBatch(body []byte, rules dialect.CreateRules) (dialect.RetryBatch, error) {
	var r dialect.RetryBatch
	if len(bytes.TrimSpace(body)) == 0 {
		return r, nil
	}
	m, err := parseObject(body)
	if err != nil || !m.has("completion_window") {
		return r, err
	}
	if r.Window, err = m.text("", "completion_window"); err != nil {
		return r, err
	}
	return r, checkWindow(r.Window, rules)
}
