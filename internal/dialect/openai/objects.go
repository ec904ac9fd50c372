package openai

import (
	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// The structs below fix the order of the keys by the order of their fields.

// batchObject has a member for every time of a batch, null as long as it has not come. The last two are batchd's own.
type batchObject struct {
	ID               string                `json:"id"`
	Object           string                `json:"object"`
	Endpoint         string                `json:"endpoint"`
	Model            string                `json:"model,omitempty"`
	Errors           *list                 `json:"errors"`
	InputFileID      string                `json:"input_file_id"`
	CompletionWindow string                `json:"completion_window"`
	Status           batch.Status          `json:"status"`
	OutputFileID     *string               `json:"output_file_id"`
	ErrorFileID      *string               `json:"error_file_id"`
	CreatedAt        int64                 `json:"created_at"`
	InProgressAt     *int64                `json:"in_progress_at"`
	ExpiresAt        *int64                `json:"expires_at"`
	FinalizingAt     *int64                `json:"finalizing_at"`
	CompletedAt      *int64                `json:"completed_at"`
	FailedAt         *int64                `json:"failed_at"`
	ExpiredAt        *int64                `json:"expired_at"`
	CancellingAt     *int64                `json:"cancelling_at"`
	CancelledAt      *int64                `json:"cancelled_at"`
	RequestCounts    dialect.RequestCounts `json:"request_counts"`
	Usage            usageObject           `json:"usage"`
	Metadata         jsontext.Value        `json:"metadata"`
	ContinuedFrom    string                `json:"continued_from,omitempty"`
	WaitingFor       []waiting             `json:"waiting_for,omitempty"`
	DamagedFiles     []damagedFile         `json:"damaged_files,omitempty"`
}

type (
	waiting     = dialect.Waiting[int64]
	damagedFile = dialect.DamagedFile[int64]
)

// usageObject is there from creation on, with zeros, so that readers need no case for its absence.
type usageObject struct {
	InputTokens        int64         `json:"input_tokens"`
	InputTokensDetails inputDetails  `json:"input_tokens_details"`
	OutputTokens       int64         `json:"output_tokens"`
	OutputTokenDetails outputDetails `json:"output_tokens_details"`
	TotalTokens        int64         `json:"total_tokens"`
}

type inputDetails struct {
	CachedTokens int64 `json:"cached_tokens"`
}

type outputDetails struct {
	ReasoningTokens int64 `json:"reasoning_tokens"`
}

// list is a list within an object. Lists that calls return are pages.
type list struct {
	Object string `json:"object"`
	Data   any    `json:"data"`
}

// lineError is one entry of a batch's errors. Line is null for the file as a whole.
type lineError struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
	Line    *int64  `json:"line"`
}

// page is a list as calls return it. Its ids are null when it is empty; clients hand the last one in as "after".
type page struct {
	Object  string  `json:"object"`
	Data    any     `json:"data"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
	HasMore bool    `json:"has_more"`
}

// fileObject shows no lines: OpenAI's has no member for them.
type fileObject struct {
	ID            string        `json:"id"`
	Object        string        `json:"object"`
	Bytes         int64         `json:"bytes"`
	CreatedAt     int64         `json:"created_at"`
	ExpiresAt     *int64        `json:"expires_at"`
	Filename      string        `json:"filename"`
	Purpose       batch.Purpose `json:"purpose"`
	Status        string        `json:"status"`
	StatusDetails *string       `json:"status_details"`
}

type deletedObject struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Deleted bool   `json:"deleted"`
}

// Batch renders a batch object.
func (d *Dialect) Batch(b batch.Batch) []byte { return dialect.Encode(d.batchObject(b)) }

// CancelledBatch renders the whole object: OpenAI's cancel answers like a retrieve.
func (d *Dialect) CancelledBatch(b batch.Batch) []byte { return d.Batch(b) }

// BatchList renders a page of batches.
func (d *Dialect) BatchList(items []batch.Batch, hasMore bool) []byte {
	data := make([]batchObject, len(items))
	for i, b := range items {
		data[i] = d.batchObject(b)
	}
	p := page{Object: "list", Data: data, HasMore: hasMore}
	if n := len(items); n > 0 {
		p.FirstID, p.LastID = &items[0].ID, &items[n-1].ID
	}
	return dialect.Encode(p)
}

// File renders a file object.
func (d *Dialect) File(f batch.File) []byte { return dialect.Encode(newFileObject(f)) }

// FileList renders a page of files.
func (d *Dialect) FileList(items []batch.File, hasMore bool) []byte {
	data := make([]fileObject, len(items))
	for i, f := range items {
		data[i] = newFileObject(f)
	}
	p := page{Object: "list", Data: data, HasMore: hasMore}
	if n := len(items); n > 0 {
		p.FirstID, p.LastID = &items[0].ID, &items[n-1].ID
	}
	return dialect.Encode(p)
}

// DeletedFile renders the answer of a delete call.
func (d *Dialect) DeletedFile(id string) []byte {
	return dialect.Encode(deletedObject{ID: id, Object: "file", Deleted: true})
}

// batchObject returns the object that every call which shows a batch has, whole or in a list.
func (d *Dialect) batchObject(b batch.Batch) batchObject {
	o := batchObject{
		ID: b.ID, Object: "batch", Endpoint: b.Endpoint, Model: b.Model, Errors: newErrorList(b.Errors),
		InputFileID: b.InputFileID, CompletionWindow: b.Window, Status: b.Status,
		OutputFileID: dialect.Present(b.OutputFileID), ErrorFileID: dialect.Present(b.ErrorFileID),
		CreatedAt: b.CreatedAt.Unix(), InProgressAt: dialect.Unix(b.InProgressAt), ExpiresAt: dialect.Unix(b.ExpiresAt),
		FinalizingAt: dialect.Unix(b.FinalizingAt), CompletedAt: dialect.Unix(b.CompletedAt), FailedAt: dialect.Unix(b.FailedAt),
		ExpiredAt: dialect.Unix(b.ExpiredAt), CancellingAt: dialect.Unix(b.CancellingAt), CancelledAt: dialect.Unix(b.CancelledAt),
		RequestCounts: dialect.RequestCounts(b.Counts),
		Usage: usageObject{
			InputTokens: b.Usage.Input, InputTokensDetails: inputDetails{b.Usage.Cached},
			OutputTokens: b.Usage.Output, OutputTokenDetails: outputDetails{b.Usage.Reasoning},
			TotalTokens: b.Usage.Total,
		},
		Metadata: b.Metadata,
	}
	if d.Extensions() {
		o.ContinuedFrom = b.ContinuedFrom
		o.WaitingFor = dialect.WaitingFor(b.WaitingFor, dialect.Unix)
		o.DamagedFiles = dialect.DamagedFiles(b.Damaged, dialect.Unix)
	}
	return o
}

// Errors renders a batch's list of errors, which other vendors show as OpenAI does; "null" when there are none.
func Errors(errs []batch.LineError) []byte { return dialect.Encode(newErrorList(errs)) }

func newErrorList(errs []batch.LineError) *list {
	if len(errs) == 0 {
		return nil
	}
	data := make([]lineError, len(errs))
	for i, e := range errs {
		data[i] = lineError{Code: e.Code, Message: e.Message, Param: dialect.Present(e.Param)}
		if e.Line > 0 {
			data[i].Line = &errs[i].Line
		}
	}
	return &list{Object: "list", Data: data}
}

func newFileObject(f batch.File) fileObject {
	return fileObject{
		ID: f.ID, Object: "file", Bytes: f.Bytes, CreatedAt: f.CreatedAt.Unix(), ExpiresAt: dialect.Unix(f.ExpiresAt),
		// SDKs wait for this status before they use a file, and a file is never seen before it is whole.
		Filename: f.Name, Purpose: f.Purpose, Status: "processed",
	}
}
