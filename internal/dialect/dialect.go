// Package dialect is the contract between batchd and the wire shapes of the vendors it speaks like. One internal
// model, the types of package batch, is rendered by one implementation per vendor, and each vendor's limits, windows,
// retention and paging are its Profile; nothing outside knows a vendor's name. A dialect does no I/O and decides no
// policy: it parses, renders and mints.
package dialect

import (
	"time"

	"batchd/internal/badline"
	"batchd/internal/batch"
)

// Dialect is one vendor's way of speaking. All methods may be called concurrently.
type Dialect interface {
	// Name is the word by which configuration and stored objects refer to the dialect.
	Name() string
	// Extensions reports whether the dialect takes and shows what batchd adds to the vendor's API: list filters,
	// retry, callbacks. A strict one does not.
	Extensions() bool
	// Announces reports whether the vendor documents a webhook for the event.
	Announces(event batch.Event) bool
	// Description returns the OpenAPI 3.1 document of the dialect, as JSON, with paths that begin below the prefix.
	Description() []byte
	IDs
	Requests
	Objects
	Models
	Lines
	Faults
}

// IDs mints ids in the vendor's style. Ids of any style are opaque to everybody else.
type IDs interface {
	NewBatchID() string
	NewFileID() string
}

// Requests parses and checks what clients send. Faults are *batch.Error in the vendor's words.
type Requests interface {
	// ParseCreateBatch reads the body of a create call. It checks everything that needs no lookup: presence, types,
	// endpoint, window, metadata, expiry.
	ParseCreateBatch(body []byte, rules CreateRules) (CreateBatch, error)
	// CheckUpload checks the fields of an upload once all are known. fields are the form's text fields by name.
	CheckUpload(fields map[string]string, filename string) (Upload, error)
	// UploadTooLarge is the error for a file over the limit, BadFirstLine for a batch file whose first line has a fault, or
	// that has none.
	UploadTooLarge(limit int64) error
	BadFirstLine(filename string, fault badline.Fault) error
	// ParseStatus returns the states that a client means by a status word in a list filter.
	ParseStatus(word string) ([]batch.Status, error)
	// ParseRetryBatch reads the body of a retry call, which may be empty.
	ParseRetryBatch(body []byte, rules CreateRules) (RetryBatch, error)
}

// RetryBatch is a parsed retry call.
type RetryBatch struct {
	// Window is that of the new batch; "" stands for that of the batch which is continued.
	Window string
}

// NotFoundResponder is a dialect whose vendor answers paths that it does not have otherwise than by its error object.
type NotFoundResponder interface {
	// UnknownPath returns that answer's body and content type; no body means that the error object is right after all.
	UnknownPath() (body []byte, contentType string)
}

// ContentTyper is a dialect whose vendor sends files under types of their own; without it all are octet streams.
type ContentTyper interface {
	ContentType(purpose batch.Purpose) string
}

// Editor is a dialect whose batches can be edited after their creation.
type Editor interface {
	ParseEditBatch(body []byte) (EditBatch, error)
}

// EditBatch is a parsed edit; nil leaves a field as it is.
type EditBatch struct{ Remark *string }

// Uploader is a dialect that takes files in parts.
type Uploader interface {
	NewUploadID() string
	NewPartID() string
	// ParseCreateUpload reads the body of a create call; a file may have at most limit bytes.
	ParseCreateUpload(body []byte, limit int64) (CreateUpload, error)
	ParseCompleteUpload(body []byte) (CompleteUpload, error)
	// Upload renders an upload at now; file is what a completed one became, nil for any other.
	Upload(u batch.Upload, file *batch.File, now time.Time) []byte
	UploadPart(p batch.Part) []byte
}

// Watcher is a dialect that shows the state of the upstreams.
type Watcher interface {
	// Upstreams renders everything, for the operator; TenantUpstreams what a tenant may see: no host, nobody else's work,
	// no upstream's words.
	Upstreams(all []batch.Upstream) []byte
	TenantUpstreams(all []batch.Upstream, tenant string) []byte
}

// Overseer is a dialect that shows operators batches across tenants.
type Overseer interface {
	// AllBatches renders a page of batches, each with the name of its tenant, which has the same place in tenants.
	AllBatches(all []batch.Batch, tenants []string, hasMore bool) []byte
}

// CreateUpload is a parsed call that announces a file in parts.
type CreateUpload struct {
	Upload
	Bytes    int64
	MIMEType string
}

// CompleteUpload is a parsed call that makes a file of parts.
type CompleteUpload struct {
	// PartIDs are the parts in the order of the file. Parts that are not named are dropped.
	PartIDs []string
	// MD5 is the digest that the file must have, in lower-case hexadecimal; "" for any.
	MD5 string
}

// CreateRules are the server's settings that a create call is checked against.
type CreateRules struct {
	// Endpoints that a batch may be run against, like "/v1/chat/completions".
	Endpoints []string
	// Windows are the accepted completion windows, as users write them. AnyWindow takes in their place whole numbers of minutes
	// from a minute to batch.MaxWindow, and batch.Background.
	Windows   []string
	AnyWindow bool
}

// CreateBatch is a parsed create call.
type CreateBatch struct {
	InputFileID string
	// Endpoint is as the client wrote it but for what the vendor's own servers have before it; batch.EndpointPath has the path.
	Endpoint string
	Window   string
	// Metadata is the JSON object as the client wrote it, nil for none.
	Metadata []byte
	// OutputTTLSeconds is 0 when result files do not expire.
	OutputTTLSeconds int64
	// Remark is a note shown with the batch; "" where the dialect has none.
	Remark string
	// CallbackURL is to be told of the batch's end; "" for none. Whether it may be called is not checked here.
	CallbackURL string
	// IdempotencyKey is the key that the body names, as far as HasIdempotencyKey says that there is one. It is not checked.
	IdempotencyKey    string
	HasIdempotencyKey bool
}

// Upload is a checked upload.
type Upload struct {
	Purpose batch.Purpose
	// Filename is the user's name for the file, made safe to show: no control characters, no path.
	Filename string
	// TTLSeconds is 0 when the file does not expire.
	TTLSeconds int64
}

// Objects renders objects. The bytes end without a line break.
type Objects interface {
	Batch(b batch.Batch) []byte
	// CancelledBatch renders the answer of a cancel call.
	CancelledBatch(b batch.Batch) []byte
	BatchList(items []batch.Batch, hasMore bool) []byte
	File(f batch.File) []byte
	FileList(items []batch.File, hasMore bool) []byte
	DeletedFile(id string) []byte
	// Error renders an error; e is never nil. An internal error arrives as one whose message names the request id.
	Error(e *batch.Error, status int) []byte
	// Status returns the HTTP status of an error where the vendor's differs from the server's table, else 0.
	Status(e *batch.Error) int
	// NotFound returns the vendor's error for an object that this tenant does not have; kind is "batch", "file", "upload" or
	// "model".
	NotFound(kind, id string) *batch.Error
	// FileExpired returns the vendor's error for a file that has expired.
	FileExpired(id string) *batch.Error
	// CannotCancel returns the vendor's error for cancelling a batch that is in a state that forbids it.
	CannotCancel(b batch.Batch) *batch.Error
}

// Models renders what models there are, of which nothing is known but their names. The bytes end without a line break.
type Models interface {
	Model(name string) []byte
	// ModelList renders all of them, in the order of names.
	ModelList(names []string) []byte
}

// Lines reads input lines and writes result lines.
type Lines interface {
	// ParseLine reads one input line without its line break. raw is not kept, nor changed; the result's slices
	// point into it where they can. A bad line is *LineFault.
	ParseLine(raw []byte, rules LineRules) (Line, error)
	// ResultFrame returns the bytes before and after the body in the result line of r, which together with the
	// body, and no line break, are the line. For a result without an answer the whole line is in before.
	ResultFrame(r Result) (before, after []byte)
}

// LineRules bound what an input line may hold.
type LineRules struct {
	Endpoint string
	// MaxDepth is how deep JSON may nest; 0 means the parser's own bound of 10,000.
	MaxDepth int
}

// Line is a parsed input line.
type Line struct {
	// CustomID is decoded: escapes resolved.
	CustomID []byte
	// Model is body.model, decoded; empty if the endpoint does not need one and the line names none.
	Model []byte
	// BodyStart and BodyLength give the exact span of the body's value within the line.
	BodyStart  int
	BodyLength int
}

// LineFault is the error of an input line, in the vendor's words; its Line is not set.
type LineFault struct{ batch.LineError }

// Error returns the message.
func (f *LineFault) Error() string { return f.Message }

// Result is a line's result as it is to be written, but for the body of the answer.
type Result struct {
	// ID is the result's own id, the same each time it is made for the same batch and line.
	ID string
	// CustomID is decoded; nil when the line's own cannot be read back any more.
	CustomID []byte
	// Status and RequestID describe the answer; Status is 0 when there is none and Code says why.
	Status    int
	RequestID string
	Code      batch.Code
	Message   string
}

// Faults makes the errors of a whole file or between lines, each in the vendor's words.
type Faults interface {
	DuplicateCustomID(customID string, first int64) batch.LineError
	MismatchedModel(model string) batch.LineError
	ModelNotFound(model string) batch.LineError
	LineTooLong(limit int64) batch.LineError
	BlankLine() batch.LineError
	TooManyLines(limit int64) batch.LineError
	EmptyFile() batch.LineError
	TooManyModels(limit int) batch.LineError
	// TokenLimit is about a batch of so many tokens that would take its tenant over a limit of enqueued ones; model is ""
	// for several.
	TokenLimit(model string, tokens, limit int64) batch.LineError
	// InputMissing is about an input file that cannot be found.
	InputMissing(fileID string) batch.LineError
	// MoreErrors is the entry after the last one listed: how many there are in all.
	MoreErrors(total int64) batch.LineError
}
