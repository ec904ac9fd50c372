// Package openai speaks OpenAI's Batch and Files API: the objects in OpenAI's key order with explicit nulls, its
// error envelope, its words for what is wrong with a request or an input line, and its result lines. It does no
// I/O and looks nothing up; what a server allows is handed in with each call.
package openai

import (
	"crypto/rand"
	_ "embed" // for openapi.json
	"encoding/hex"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// Name is the dialect's name in configuration and in stored objects.
const Name = "openai"

// alphanumeric is the alphabet of file ids.
const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Options configures a Dialect. The zero value is what a self-hosted server wants.
type Options struct {
	// Strict answers an upload over the limit with OpenAI's own status, 400 instead of 413, gives batch inputs and
	// results OpenAI's TTL of 30 days where the client asked for none, and neither takes nor shows what batchd adds to
	// the API. OpenAI's limits and windows are the server's settings.
	Strict bool
	// Random fills p with random bytes for ids; nil means crypto/rand. It may be called concurrently.
	Random func(p []byte)
	// Variant is where a vendor that follows OpenAI differs in what it takes; the zero value is OpenAI itself.
	Variant Variant
}

// Variant holds the differences of another vendor's requests and input lines from OpenAI's.
type Variant struct {
	// DefaultWindow is the window of a create call that names none; "" makes the window required.
	DefaultWindow string
	// Purposes are what a file may be uploaded for; nil means OpenAI's.
	Purposes []string
	// MetadataBytes, if not 0, takes metadata with any JSON values, up to this size without white space, in place of
	// OpenAI's rules.
	MetadataBytes int
	// BareLines makes method and url of an input line optional.
	BareLines bool
	// URLPrefix may stand before the endpoint in a line's url and in a create call; "" for none.
	URLPrefix string
	// Additions reads what batchd adds to the vendor's create call beside the callback; nil for nothing. A member of a name
	// that is not there has no bytes.
	Additions func(members map[string]jsontext.Value, c *dialect.CreateBatch) error
	// Members are those that Additions reads. Others that OpenAI does not have are refused.
	Members []string
	// ServerTTL leaves the TTL of files for which the client asked none to the server, also where the dialect is strict.
	ServerTTL bool
	// StrictNames refuses names of inputs as a strict dialect does.
	StrictNames bool
	// ExactPaths refuses a line's url and an endpoint without their version, as a strict dialect does.
	ExactPaths bool
}

// Dialect implements dialect.Dialect.
type Dialect struct {
	dialect.OpenAIModels

	strict  bool
	variant Variant
	random  func(p []byte)
	// description is the OpenAPI document.
	description []byte
	// parsers keeps *parser between lines: a fresh one costs more than a short line.
	parsers sync.Pool
}

var (
	_ dialect.Dialect  = (*Dialect)(nil)
	_ dialect.Uploader = (*Dialect)(nil)
)

// New returns the dialect.
func New(o Options) *Dialect {
	d := &Dialect{strict: o.Strict, variant: o.Variant, random: o.Random, description: Describe(document, o.Strict)}
	if d.random == nil {
		d.random = func(p []byte) { _, _ = rand.Read(p) } // never fails: crypto/rand ends the process first
	}
	return d
}

// Name returns "openai".
func (d *Dialect) Name() string { return Name }

// Extensions reports whether what batchd adds is taken and shown.
func (d *Dialect) Extensions() bool { return !d.strict }

// Announces reports true for every event of a batch: OpenAI documents all four.
func (d *Dialect) Announces(event batch.Event) bool { return slices.Contains(batch.Events(), event) }

// NewBatchID returns "batch_" and 32 hexadecimal digits.
func (d *Dialect) NewBatchID() string { return "batch_" + d.randomHex() }

// NewUploadID returns "upload_" and 32 hexadecimal digits.
func (d *Dialect) NewUploadID() string { return "upload_" + d.randomHex() }

// NewPartID returns "part_" and 32 hexadecimal digits.
func (d *Dialect) NewPartID() string { return "part_" + d.randomHex() }

func (d *Dialect) randomHex() string {
	var raw [16]byte
	d.random(raw[:])
	return hex.EncodeToString(raw[:])
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

const (
	chatCompletions = "/v1/chat/completions"
	// thirtyDays is the TTL OpenAI gives files, in seconds, and also the longest that may be asked for.
	thirtyDays = 30 * 24 * 60 * 60
	// oneHour is the shortest TTL of a file, in seconds.
	oneHour = 60 * 60
)

// ttl returns the TTL of a batch's file, in seconds, for which the client asked so much; 0 stands for ever, or for what
// the server decides.
func (d *Dialect) ttl(asked int64) int64 {
	if asked == 0 && d.strict && !d.variant.ServerTTL {
		return thirtyDays
	}
	return asked
}

// OpenAI's codes for faults of a request's parameters.
const (
	codeMissing    = "missing_required_parameter"
	codeValue      = "invalid_value"
	codeType       = "invalid_type"
	codeTooLong    = "string_above_max_length"
	codeBelow      = "integer_below_min_value"
	codeAbove      = "integer_above_max_value"
	codeEmptyArray = "empty_array"
	codeLongArray  = "array_above_max_length"
)

// missing returns the fault of a required parameter that is not there.
func missing(param string) *batch.Error {
	return batch.Invalidf(param, codeMissing, "Missing required parameter: '%s'.", param)
}
