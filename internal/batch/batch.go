// Package batch is the vocabulary of batchd: batches, files and their extents, units, outcomes, statuses with
// their legal moves, limits, and the one type of error that a user may see. Every other package speaks in these
// words. It does no I/O and reads no clock: times and ids are handed in.
package batch

import "time"

// Batch is a file's requests, run against one endpoint within a window.
type Batch struct {
	// ID is the public id, minted in the style of the creating dialect; an opaque string everywhere else.
	ID string
	// Seq is the creation sequence, assigned by the store; lists order by it.
	Seq int64
	// Tenant owns the batch; KeyID is the API key that created it.
	Tenant string
	KeyID  string
	// Dialect is the name of the creating dialect; result lines are written in it, once.
	Dialect string

	Endpoint    string
	InputFileID string
	// Window is the completion window as it was asked for ("24h"); ExpiresAt is when it ends.
	Window string
	// Metadata is the creator's own JSON object, kept as raw text; nil when there is none.
	Metadata []byte
	// OutputTTL is how long result files are kept after their creation; zero means until they are deleted.
	OutputTTL time.Duration
	Remark    string
	// CallbackURL is told of the batch's end, beside the tenant's webhooks; "" for none.
	CallbackURL string
	// ContinuedFrom is the batch whose unfinished lines these are; "" for a batch of its own.
	ContinuedFrom string

	Status Status
	Stop   Stop
	// Ready is set once every unit is sealed: the files can be made.
	Ready bool
	// Version starts at 0 and rises by one with every status change or edit, never with counts.
	Version int64

	// CreatedAt and ExpiresAt are the wall clock's, like all times here: they are shown. Ahead is by how much that clock was
	// ahead of the one that windows go by when the batch was made, 0 if both agreed, and Shift the sum of the steps which that
	// one had taken; they matter to the creation alone. Skew is how long after ExpiresAt the window really ends, other than 0
	// only for batches that were made while the clocks differed.
	CreatedAt    time.Time
	ExpiresAt    time.Time
	Ahead        time.Duration
	Shift        time.Duration
	Skew         time.Duration
	UpdatedAt    time.Time
	InProgressAt time.Time
	FinalizingAt time.Time
	CompletedAt  time.Time
	FailedAt     time.Time
	ExpiredAt    time.Time
	CancellingAt time.Time
	CancelledAt  time.Time

	// Model is the only model of the lines; "" when they name several, or before validation has ended.
	Model  string
	Counts Counts
	Usage  Usage
	// Errors are the first validation errors by line; ErrorsTotal counts all of them.
	Errors      []LineError
	ErrorsTotal int64

	// Plan, Models, Units and SealedUnits are set by the transaction that starts the batch.
	Plan        Blob
	Models      []string
	Units       int
	SealedUnits int
	// InLineOrder says that the plan's order is the input's order, so that the files need no merge.
	InLineOrder bool

	// WaitingFor is filled in where a running batch is shown; it is not stored.
	WaitingFor []Waiting
	// Damaged is filled in where a batch is shown: those of its files that were found damaged. It is not stored with it.
	Damaged []DamagedFile

	// OutputFileID and ErrorFileID are "" until the file exists, and for ever if no line went there.
	OutputFileID string
	ErrorFileID  string
}

// EndsAt returns when the window ends, by the clock that windows go by.
func (b Batch) EndsAt() time.Time { return b.ExpiresAt.Add(b.Skew) }

// Counts are the numbers of a batch's lines. Completed + Failed never exceeds Total, and lines that were
// cancelled or expired are in neither.
type Counts struct {
	// Total is 0 until validation has ended.
	Total int64
	// Completed is the number of lines in the output file.
	Completed int64
	// Failed is the number of lines in the error file that were really tried.
	Failed int64
}

// Add returns the sum of c and d, field by field.
func (c Counts) Add(d Counts) Counts {
	return Counts{Total: c.Total + d.Total, Completed: c.Completed + d.Completed, Failed: c.Failed + d.Failed}
}

// Usage is the sum of the tokens that upstreams reported.
type Usage struct {
	Input     int64
	Cached    int64
	Output    int64
	Reasoning int64
	Total     int64
}

// Add returns the sum of u and v, field by field.
func (u Usage) Add(v Usage) Usage {
	return Usage{
		Input: u.Input + v.Input, Cached: u.Cached + v.Cached,
		Output: u.Output + v.Output, Reasoning: u.Reasoning + v.Reasoning, Total: u.Total + v.Total,
	}
}

// LineError is one thing wrong with an input file, in OpenAI's terms.
type LineError struct {
	Code    string
	Message string
	// Param names the key at fault; "" for none.
	Param string
	// Line counts from 1; 0 means the file as a whole.
	Line int64
}
