// Package openai speaks OpenAI's Batch and Files API: the objects in OpenAI's key order with explicit nulls, its
// error envelope, its words for what is wrong with a request or an input line, and its result lines. It does no
// I/O and looks nothing up; what a server allows is handed in with each call.
package openai

import (
	"crypto/rand"
	"encoding/hex"
	"sync"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// Name is the dialect's name in configuration and in stored objects.
const Name = "openai"

// alphanumeric is the alphabet of file ids.
const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Options tune the dialect. The zero value is what a self-hosted server wants.
type Options struct {
	// Strict answers an upload over the limit with OpenAI's own status, 400 instead of 413, and gives batch inputs
	// and results OpenAI's life of 30 days where the client asked for none. OpenAI's limits and windows are the
	// server's settings.
	Strict bool
	// Random fills p with random bytes for ids; nil means crypto/rand. It may be called concurrently.
	Random func(p []byte)
}

// Dialect implements dialect.Dialect.
type Dialect struct {
	strict bool
	random func(p []byte)
	// parsers keeps *parser between lines: a fresh one costs more than a short line.
	parsers sync.Pool
}

var _ dialect.Dialect = (*Dialect)(nil)

// New returns the dialect.
func New(o Options) *Dialect {
	d := &Dialect{strict: o.Strict, random: o.Random}
	if d.random == nil {
		d.random = func(p []byte) { _, _ = rand.Read(p) } // never fails: crypto/rand ends the process first
	}
	return d
}

// Name returns "openai".
func (d *Dialect) Name() string { return Name }

// NewBatchID returns "batch_" and 32 hexadecimal digits.
func (d *Dialect) NewBatchID() string {
	var raw [16]byte
	d.random(raw[:])
	return "batch_" + hex.EncodeToString(raw[:])
}

// NewFileID returns "file-" and 22 letters and digits.
func (d *Dialect) NewFileID() string {
	const length = 22
	// Bytes from here up would make the first letters of the alphabet likelier than the rest.
	const biased = 256 - 256%len(alphanumeric)
	id := make([]byte, 0, length)
	var raw [32]byte
	for len(id) < length {
		d.random(raw[:])
		for _, c := range raw {
			if int(c) < biased && len(id) < length {
				id = append(id, alphanumeric[int(c)%len(alphanumeric)])
			}
		}
	}
	return "file-" + string(id)
}

// Endpoints returns the paths a batch may be run against unless the server is told otherwise: OpenAI's own eight,
// and two that inference engines commonly serve.
func Endpoints() []string {
	return []string{
		"/v1/responses", chatCompletions, "/v1/embeddings", "/v1/completions", "/v1/moderations",
		"/v1/images/generations", "/v1/images/edits", "/v1/videos", "/v1/rerank", "/v1/score",
	}
}

const (
	chatCompletions = "/v1/chat/completions"
	// thirtyDays is the life OpenAI gives files, in seconds, and also the longest that may be asked for.
	thirtyDays = 30 * 24 * 60 * 60
	// oneHour is the shortest life of a file, in seconds.
	oneHour = 60 * 60
)

// OpenAI's codes for faults of a request's parameters.
const (
	codeMissing = "missing_required_parameter"
	codeValue   = "invalid_value"
	codeType    = "invalid_type"
	codeTooLong = "string_above_max_length"
	codeBelow   = "integer_below_min_value"
	codeAbove   = "integer_above_max_value"
)

func missing(param string) *batch.Error {
	return batch.Invalidf(param, codeMissing, "Missing required parameter: '%s'.", param)
}
