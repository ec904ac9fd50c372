// Package neosantara speaks Neosantara's Batch and Files API. It follows OpenAI's, so that requests, input lines and
// result lines are read and written by that dialect; the objects, the errors and the reduced answer of a cancel call
// are Neosantara's own. Cancelling is immediate there: a batch that is being cancelled is shown as cancelled. Like
// every dialect it does no I/O and looks nothing up.
package neosantara

import (
	"crypto/rand"
	_ "embed" // for openapi.json
	"encoding/base32"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

// Name is the dialect's name in configuration and in stored objects.
const Name = "neosantara"

// defaultWindow is the window of a create call that names none.
const defaultWindow = "24h"

// maxMetadata is how many bytes of JSON a batch's metadata may have.
const maxMetadata = int(16 * batch.KiB)

// Options configures a Dialect. The zero value is what a self-hosted server wants.
type Options struct {
	// Strict shows what the vendor documents and nothing more, and takes nothing that batchd adds to the API.
	Strict bool
	// CancelledSpelling is the status word of a cancelled batch, "cancelled" or "canceled", everywhere but in the
	// answer of the cancel call, where it is "canceled". "" means "cancelled".
	CancelledSpelling string
	// Random fills p with random bytes for ids; nil means crypto/rand. It may be called concurrently.
	Random func(p []byte)
}

// What Neosantara has as OpenAI does, by what it is for. OpenAI's dialect itself is not embedded: it also takes files in
// parts, and a server offers whatever methods a dialect has.
type (
	requests = dialect.Requests
	lines    = dialect.Lines
	faults   = dialect.Faults
)

// Dialect implements dialect.Dialect.
type Dialect struct {
	requests
	lines
	faults
	dialect.OpenAIModels

	base      *openai.Dialect
	strict    bool
	cancelled string
	random    func(p []byte)
	// description is the OpenAPI document.
	description []byte
}

var (
	_ dialect.Dialect      = (*Dialect)(nil)
	_ dialect.ContentTyper = (*Dialect)(nil)
)

//go:embed openapi.json
var document string

// New returns the dialect. It panics if the spelling is neither of the two.
func New(o Options) *Dialect {
	base := openai.New(openai.Options{Strict: o.Strict, Variant: openai.Variant{
		DefaultWindow: defaultWindow,
		Purposes:      []string{"batch", "assistants", "fine-tune"},
		MetadataBytes: maxMetadata,
		ServerTTL:     true,
	}})
	d := &Dialect{
		requests: base, lines: base, faults: base, base: base,
		strict: o.Strict, cancelled: o.CancelledSpelling, random: o.Random, description: openai.Describe(document, o.Strict),
	}
	switch d.cancelled {
	case "":
		d.cancelled = spelledTwoL
	case spelledTwoL, spelledOneL:
	default:
		panic("neosantara: cancelled spelling " + d.cancelled)
	}
	if d.random == nil {
		d.random = func(p []byte) { _, _ = rand.Read(p) } // never fails: crypto/rand ends the process first
	}
	return d
}

// Name returns "neosantara".
func (d *Dialect) Name() string { return Name }

// Extensions reports whether what batchd adds is taken and shown.
func (d *Dialect) Extensions() bool { return !d.strict }

// Announces reports whether Neosantara documents a webhook for the event: it has none for a batch that expired.
func (d *Dialect) Announces(event batch.Event) bool {
	switch event {
	case batch.EventCompleted, batch.EventFailed, batch.EventCancelled, batch.EventTest:
		return true
	default:
		return false
	}
}

// Description returns the OpenAPI 3.1 document of the dialect. The bytes must not be changed.
func (d *Dialect) Description() []byte { return d.description }

// NewBatchID returns "batch-" and 24 lower-case letters and digits.
func (d *Dialect) NewBatchID() string { return "batch-" + d.randomText() }

// NewFileID returns "file-" and 24 lower-case letters and digits.
func (d *Dialect) NewFileID() string { return "file-" + d.randomText() }

// randomText returns 24 characters that hold 120 random bits.
func (d *Dialect) randomText() string {
	var raw [15]byte
	d.random(raw[:])
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").EncodeToString(raw[:])
}
