// Package novita speaks Novita AI's batch and file API: its objects with times as text and errors as one string, its
// upper-case statuses, its error envelope with reasons, and its result lines with sorted keys. What it takes, Novita
// shares with OpenAI, so requests and input lines are read by package openai with the few differences named. Where
// Novita's pages say nothing, it does what OpenAI does, and the code says so. It does no I/O and looks nothing up.
package novita

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

// Name is the dialect's name in configuration and in stored objects.
const Name = "novita"

// defaultWindow is the window of a create call that names none.
const defaultWindow = "48h"

// The cases that statuses are shown in: Novita's reference has upper case, the samples of its guide lower.
const (
	UpperCase = "upper"
	LowerCase = "lower"
)

// remarkMember is the member that holds a batch's remark, a note of at most maxRemark characters. Novita shows remarks and
// documents no way to set one: reading them is ours.
const (
	remarkMember = "remark"
	maxRemark    = 512
)

// Options configures a Dialect. The zero value is what a self-hosted server wants.
type Options struct {
	// Strict takes and shows what Novita documents and nothing more.
	Strict bool
	// StatusCase is UpperCase or LowerCase; "" means UpperCase. New panics on any other word.
	StatusCase string
	// Zone is the time zone of a batch's times; nil means UTC.
	Zone *time.Location
	// Random fills p with random bytes for ids; nil means crypto/rand. It may be called concurrently.
	Random func(p []byte)
}

// What Novita takes like OpenAI. They are embedded by these names so that exactly the methods of the interfaces come
// along: openai.Dialect has more, and a server offers a client whatever methods its dialect has.
type (
	requests = dialect.Requests
	faults   = dialect.Faults
)

// Dialect implements dialect.Dialect and dialect.Editor.
type Dialect struct {
	requests
	faults
	lines       dialect.Lines
	strict      bool
	lower       bool
	zone        *time.Location
	random      func(p []byte)
	description []byte
}

var (
	_ dialect.Dialect           = (*Dialect)(nil)
	_ dialect.Editor            = (*Dialect)(nil)
	_ dialect.NotFoundResponder = (*Dialect)(nil)
)

// New returns the dialect.
func New(o Options) *Dialect {
	// Never strict, which is about OpenAI's statuses and the TTL of its files; what strictness means here is decided here.
	shared := openai.New(openai.Options{Variant: openai.Variant{
		DefaultWindow: defaultWindow,
		Purposes:      []string{string(batch.PurposeBatch)},
		BareLines:     true,
		URLPrefix:     "/openai",
		Additions:     takeRemark,
		Members:       []string{remarkMember},
		StrictNames:   o.Strict,
		ExactPaths:    o.Strict,
	}})
	d := &Dialect{
		requests: shared, faults: shared, lines: shared,
		strict: o.Strict, lower: o.StatusCase == LowerCase, zone: o.Zone, random: o.Random,
		description: openai.Describe(document, o.Strict),
	}
	if !slices.Contains([]string{"", UpperCase, LowerCase}, o.StatusCase) {
		panic(fmt.Sprintf("novita: status case %q, want %q or %q", o.StatusCase, UpperCase, LowerCase))
	}
	if d.zone == nil {
		d.zone = time.UTC
	}
	if d.random == nil {
		d.random = func(p []byte) { _, _ = rand.Read(p) } // never fails: crypto/rand ends the process first
	}
	return d
}

// takeRemark reads the remark of a create call.
func takeRemark(members map[string]jsontext.Value, c *dialect.CreateBatch) (err error) {
	if v := members[remarkMember]; len(v) > 0 && v.Kind() != jsontext.KindNull {
		c.Remark, err = openai.ShortText(remarkMember, v, maxRemark)
	}
	return err
}

// Name returns "novita".
func (d *Dialect) Name() string { return Name }

// Extensions reports whether what batchd adds is taken and shown.
func (d *Dialect) Extensions() bool { return !d.strict }

// Announces reports true for every event of a batch. Novita documents webhooks for other work only; for batches this
// is our choice, and what OpenAI does.
func (d *Dialect) Announces(event batch.Event) bool { return slices.Contains(batch.Events(), event) }

// NewBatchID returns "batch_" and 20 digits of base 32.
func (d *Dialect) NewBatchID() string { return "batch_" + d.id() }

// NewFileID returns "file_" and 20 digits of base 32.
func (d *Dialect) NewFileID() string { return "file_" + d.id() }

// id returns 100 random bits. Novita's own ids look the same and begin with the time, which would tell a client when
// another tenant was busy and leaves fewer bits to chance.
func (d *Dialect) id() string {
	const digits = "0123456789abcdefghijklmnopqrstuv"
	id := make([]byte, 20)
	d.random(id)
	for i, c := range id {
		id[i] = digits[int(c)%len(digits)]
	}
	return string(id)
}
