package limit

import "time"

// Reason is why work waits, in one word, as the API, the log, the metrics and the command line have it.
type Reason string

// The reasons.
const (
	// ReasonUnreachable: no connection (Condition.Detail: dns, refused, tls, timeout).
	ReasonUnreachable Reason = "unreachable"
	// ReasonDenied: 401, 403, 407, 451, or a key told as 400.
	ReasonDenied Reason = "denied"
	// ReasonAccount: 402, and words about balance or quota with any status.
	ReasonAccount Reason = "account"
	// ReasonMisconfigured: 404 for the path, 405, 410, 421, 426.
	ReasonMisconfigured Reason = "misconfigured"
	// ReasonNoRoom: 429, 503, 529.
	ReasonNoRoom Reason = "no_room"
	// ReasonFailing: calls break (Condition.Detail, where there is no status: reset, truncated, timeout, encoding, protocol).
	ReasonFailing Reason = "failing"
	// ReasonProbing: a gate was closed and one call is finding out whether it may open.
	ReasonProbing Reason = "probing"
	// ReasonDisk: the disk is nearly full, so no new work is leased, or takes no results (Condition.Detail: unwritable).
	ReasonDisk Reason = "disk"
	// ReasonWaitingTurn: other batches are being served.
	ReasonWaitingTurn Reason = "waiting_turn"
	// ReasonConcurrency: every permit is taken.
	ReasonConcurrency Reason = "concurrency"
	// ReasonMemory: the memory for calls in flight is taken.
	ReasonMemory Reason = "memory"
	// ReasonBlobUnreadable: stored input cannot be read for now.
	ReasonBlobUnreadable Reason = "blob_unreadable"
)

// Condition is a reason with what is known about it.
type Condition struct {
	Reason Reason
	Detail string
	// Since is when it began.
	Since time.Time
	// Status, Code and Message are of the last answer that caused it. Message is the upstream's own words, which only
	// the batch whose line got them and operators may see.
	Status        int
	Code, Message string
	// Batch is whose line got that answer.
	Batch string
	// Next is when the next try is due; zero if it waits for a call that is under way.
	Next time.Time
}

// DetailUnwritable is the detail of ReasonDisk where a write failed.
const DetailUnwritable = "unwritable"
