package neosantara

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

// The structs below fix the order of the keys by the order of their fields.

type batchObject struct {
	ID               string                `json:"id"`
	Object           string                `json:"object"`
	Endpoint         string                `json:"endpoint"`
	Errors           jsontext.Value        `json:"errors"`
	InputFileID      string                `json:"input_file_id"`
	CompletionWindow string                `json:"completion_window"`
	Status           string                `json:"status"`
	OutputFileID     *string               `json:"output_file_id"`
	ErrorFileID      *string               `json:"error_file_id"`
	CreatedAt        int64                 `json:"created_at"`
	InProgressAt     *int64                `json:"in_progress_at"`
	ExpiresAt        int64                 `json:"expires_at"`
	FinalizingAt     *int64                `json:"finalizing_at"`
	CompletedAt      *int64                `json:"completed_at"`
	FailedAt         *int64                `json:"failed_at"`
	ExpiredAt        *int64                `json:"expired_at"`
	CancellingAt     jsontext.Value        `json:"cancelling_at,omitzero"` // absent in lists
	CancelledAt      *int64                `json:"cancelled_at"`
	RequestCounts    dialect.RequestCounts `json:"request_counts"`
	Metadata         jsontext.Value        `json:"metadata"`
	ContinuedFrom    string                `json:"continued_from,omitempty"`
	WaitingFor       []waiting             `json:"waiting_for,omitempty"`
	DamagedFiles     []damagedFile         `json:"damaged_files,omitempty"`
}

type (
	waiting     = dialect.Waiting[int64]
	damagedFile = dialect.DamagedFile[int64]
)

type cancelledBatch struct {
	ID            string                `json:"id"`
	Object        string                `json:"object"`
	Endpoint      string                `json:"endpoint"`
	Status        string                `json:"status"`
	CancelledAt   *int64                `json:"cancelled_at"`
	RequestCounts dialect.RequestCounts `json:"request_counts"`
}

type batchList struct {
	Object  string        `json:"object"`
	Data    []batchObject `json:"data"`
	FirstID *string       `json:"first_id"`
	LastID  *string       `json:"last_id"`
	HasMore bool          `json:"has_more"`
}

type fileObject struct {
	ID            string        `json:"id"`
	Object        string        `json:"object"`
	Bytes         int64         `json:"bytes"`
	CreatedAt     int64         `json:"created_at"`
	ExpiresAt     *int64        `json:"expires_at,omitzero"` // an addition
	Filename      string        `json:"filename"`
	Purpose       batch.Purpose `json:"purpose"`
	Status        string        `json:"status"`
	StatusDetails *string       `json:"status_details"`
}

type fileList struct {
	Object string       `json:"object"`
	Data   []fileObject `json:"data"`
	// FirstID and LastID are an addition, as raw JSON so that they can be null as well as absent.
	FirstID jsontext.Value `json:"first_id,omitzero"`
	LastID  jsontext.Value `json:"last_id,omitzero"`
	HasMore bool           `json:"has_more"`
}

// Batch renders a batch as create and get calls show it.
func (d *Dialect) Batch(b batch.Batch) []byte {
	o := d.listedBatch(b)
	o.CancellingAt = dialect.Encode(dialect.Unix(b.CancellingAt))
	return dialect.Encode(o)
}

// CancelledBatch renders the answer of a cancel call: a few members, and the batch as cancelled already.
func (d *Dialect) CancelledBatch(b batch.Batch) []byte {
	return dialect.Encode(cancelledBatch{
		ID: b.ID, Object: "batch", Endpoint: b.Endpoint, Status: spelledOneL,
		CancelledAt: dialect.Unix(cancelledAt(b)), RequestCounts: dialect.RequestCounts(b.Counts),
	})
}

// BatchList renders a page of batches.
func (d *Dialect) BatchList(items []batch.Batch, hasMore bool) []byte {
	l := batchList{Object: "list", Data: make([]batchObject, len(items)), HasMore: hasMore}
	for i, b := range items {
		l.Data[i] = d.listedBatch(b)
	}
	if n := len(items); n > 0 {
		l.FirstID, l.LastID = &items[0].ID, &items[n-1].ID
	}
	return dialect.Encode(l)
}

// File renders a file object.
func (d *Dialect) File(f batch.File) []byte { return dialect.Encode(d.fileObject(f)) }

// FileList renders a page of files. The vendor's has no ids of its own: they are there, where the dialect is not strict,
// for clients that page by last_id like OpenAI's.
func (d *Dialect) FileList(items []batch.File, hasMore bool) []byte {
	l := fileList{Object: "list", Data: make([]fileObject, len(items)), HasMore: hasMore}
	for i, f := range items {
		l.Data[i] = d.fileObject(f)
	}
	if !d.strict {
		var first, last *string
		if n := len(items); n > 0 {
			first, last = &items[0].ID, &items[n-1].ID
		}
		l.FirstID, l.LastID = dialect.Encode(first), dialect.Encode(last)
	}
	return dialect.Encode(l)
}

// DeletedFile renders the answer of a delete call, which is OpenAI's.
func (d *Dialect) DeletedFile(id string) []byte { return d.base.DeletedFile(id) }

// listedBatch is a batch as lists show it.
func (d *Dialect) listedBatch(b batch.Batch) batchObject {
	o := batchObject{
		ID: b.ID, Object: "batch", Endpoint: b.Endpoint, Errors: openai.Errors(b.Errors),
		InputFileID: b.InputFileID, CompletionWindow: b.Window, Status: d.status(b.Status),
		OutputFileID: dialect.Present(b.OutputFileID), ErrorFileID: dialect.Present(b.ErrorFileID),
		CreatedAt: b.CreatedAt.Unix(), InProgressAt: dialect.Unix(b.InProgressAt), ExpiresAt: b.ExpiresAt.Unix(),
		FinalizingAt: dialect.Unix(b.FinalizingAt), CompletedAt: dialect.Unix(b.CompletedAt), FailedAt: dialect.Unix(b.FailedAt),
		ExpiredAt: dialect.Unix(b.ExpiredAt), CancelledAt: dialect.Unix(cancelledAt(b)),
		RequestCounts: dialect.RequestCounts(b.Counts), Metadata: b.Metadata,
	}
	if len(o.Metadata) == 0 {
		o.Metadata = jsontext.Value("{}")
	}
	if !d.strict {
		o.ContinuedFrom = b.ContinuedFrom
		o.WaitingFor = dialect.WaitingFor(b.WaitingFor, dialect.Unix)
		o.DamagedFiles = dialect.DamagedFiles(b.Damaged, dialect.Unix)
	}
	return o
}

// cancelledAt is when the cancel call was made, also once the batch's files exist and the cancelling is really over: what
// the answer of the cancel call has shown must not change.
func cancelledAt(b batch.Batch) time.Time {
	if b.CancellingAt.IsZero() {
		return b.CancelledAt
	}
	return b.CancellingAt
}

func (d *Dialect) fileObject(f batch.File) fileObject {
	o := fileObject{
		ID: f.ID, Object: "file", Bytes: f.Bytes, CreatedAt: f.CreatedAt.Unix(), Filename: f.Name, Purpose: f.Purpose,
		Status: "uploaded",
	}
	if !d.strict {
		o.ExpiresAt = dialect.Unix(f.ExpiresAt)
	}
	return o
}

// ContentType returns the type of a file's content: what Neosantara's page shows for JSON Lines.
func (d *Dialect) ContentType(purpose batch.Purpose) string {
	if purpose == batch.PurposeBatch || purpose == batch.PurposeBatchOutput {
		return "text/jsonl"
	}
	return "application/octet-stream"
}
