package novita

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// The structs of this package fix the order of the keys by the order of their fields.

type batchObject struct {
	ID               string                `json:"id"`
	Object           string                `json:"object"`
	Endpoint         string                `json:"endpoint"`
	InputFileID      string                `json:"input_file_id"`
	OutputFileID     string                `json:"output_file_id"`
	ErrorFileID      string                `json:"error_file_id"`
	CompletionWindow string                `json:"completion_window"`
	InProgressAt     *string               `json:"in_progress_at"`
	ExpiresAt        *string               `json:"expires_at"`
	FinalizingAt     *string               `json:"finalizing_at"`
	CompletedAt      *string               `json:"completed_at"`
	FailedAt         *string               `json:"failed_at"`
	ExpiredAt        *string               `json:"expired_at"`
	CancellingAt     *string               `json:"cancelling_at"`
	CancelledAt      *string               `json:"cancelled_at"`
	Status           string                `json:"status"`
	Errors           string                `json:"errors"`
	Version          int64                 `json:"version"`
	CreatedAt        string                `json:"created_at"`
	UpdatedAt        *string               `json:"updated_at"`
	CreatedBy        string                `json:"created_by"`
	CreatedByKeyID   string                `json:"created_by_key_id"`
	Remark           string                `json:"remark"`
	Total            int64                 `json:"total"`
	Completed        int64                 `json:"completed"`
	Failed           int64                 `json:"failed"`
	Metadata         jsontext.Value        `json:"metadata"`
	RequestCounts    dialect.RequestCounts `json:"request_counts"`
	// ContinuedFrom, WaitingFor and DamagedFiles are batchd's own, shown only where there is something to show.
	ContinuedFrom string        `json:"continued_from,omitempty"`
	WaitingFor    []waiting     `json:"waiting_for,omitempty"`
	DamagedFiles  []damagedFile `json:"damaged_files,omitempty"`
}

type (
	waiting     = dialect.Waiting[string]
	damagedFile = dialect.DamagedFile[string]
)

type batchPage struct {
	Data    []batchObject `json:"data"`
	FirstID string        `json:"first_id"`
	HasMore bool          `json:"has_more"`
	LastID  string        `json:"last_id"`
	Object  string        `json:"object"`
}

// Batch renders a batch object.
func (d *Dialect) Batch(b batch.Batch) []byte { return dialect.Encode(d.newBatchObject(b)) }

// CancelledBatch renders the whole object: Novita's cancel answers like a retrieve.
func (d *Dialect) CancelledBatch(b batch.Batch) []byte { return d.Batch(b) }

// BatchList renders a page of batches. The ids of an empty one are "": they are strings that are always there.
func (d *Dialect) BatchList(items []batch.Batch, hasMore bool) []byte {
	p := batchPage{Object: "list", Data: make([]batchObject, len(items)), HasMore: hasMore}
	for i, b := range items {
		p.Data[i] = d.newBatchObject(b)
	}
	if n := len(items); n > 0 {
		p.FirstID, p.LastID = items[0].ID, items[n-1].ID
	}
	return dialect.Encode(p)
}

func (d *Dialect) newBatchObject(b batch.Batch) batchObject {
	o := batchObject{
		ID: b.ID, Object: "batch", Endpoint: b.Endpoint, InputFileID: b.InputFileID,
		OutputFileID: b.OutputFileID, ErrorFileID: b.ErrorFileID, CompletionWindow: b.Window,
		InProgressAt: d.time(b.InProgressAt), FinalizingAt: d.time(b.FinalizingAt), CompletedAt: d.time(b.CompletedAt),
		FailedAt: d.time(b.FailedAt), ExpiredAt: d.time(b.ExpiredAt), CancellingAt: d.time(b.CancellingAt),
		CancelledAt: d.time(b.CancelledAt), Status: d.word(b.Status), Errors: errorText(b.Errors, b.ErrorsTotal),
		Version: b.Version, CreatedAt: d.format(b.CreatedAt), UpdatedAt: d.time(b.UpdatedAt),
		CreatedBy: b.Tenant, CreatedByKeyID: b.KeyID, Remark: b.Remark,
		Total: b.Counts.Total, Completed: b.Counts.Completed, Failed: b.Counts.Failed,
		Metadata: b.Metadata, RequestCounts: dialect.RequestCounts(b.Counts),
	}
	if b.Status != batch.Validating {
		o.ExpiresAt = d.time(b.ExpiresAt) // Novita shows none in the answer of a create call
	}
	if !d.strict {
		o.ContinuedFrom = b.ContinuedFrom
		o.WaitingFor = dialect.WaitingFor(b.WaitingFor, d.time)
		o.DamagedFiles = dialect.DamagedFiles(b.Damaged, d.time)
	}
	return o
}

// word returns the word of a status. Novita has none for the making of the result files, which it shows by the time
// alone.
func (d *Dialect) word(s batch.Status) string {
	word := strings.ToUpper(string(s))
	if s == batch.InProgress || s == batch.Finalizing {
		word = "PROGRESS"
	}
	if d.lower {
		word = strings.ToLower(word)
	}
	return word
}

// time returns nil for the zero time, which JSON shows as null.
func (d *Dialect) time(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := d.format(t)
	return &s
}

func (d *Dialect) format(t time.Time) string { return t.In(d.zone).Format(time.RFC3339Nano) }

// maxErrorText is how long the errors of a batch may be as one string, in characters.
const maxErrorText = 1000

// errorText writes the validation errors of a batch as one string, "" for none. Where not all of them fit, it ends
// with how many there are.
func errorText(errs []batch.LineError, total int64) string {
	ending := fmt.Sprintf("; … %d errors in all", max(total, int64(len(errs))))
	room := maxErrorText - utf8.RuneCountInString(ending)
	var text, whole string // whole is as much of text as leaves room for the ending and ends with an entry
	for i, e := range errs {
		if i > 0 {
			text += "; "
		}
		if e.Line > 0 {
			text += fmt.Sprintf("line %d: ", e.Line)
		}
		text += e.Code + ": " + e.Message
		length := utf8.RuneCountInString(text)
		if length > maxErrorText {
			// If not even the first entry fits, a part of it is better than nothing.
			return cmp.Or(whole, dialect.Clip(text, room-1)) + ending
		}
		if length <= room {
			whole = text
		}
	}
	return text
}
