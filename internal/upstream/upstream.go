// Package upstream sends request bodies, unchanged, to the inference servers behind batchd and sorts what comes
// back. One call has one Result. It decides nothing about when to call or whether to try again; it says what each answer means for
// the line, for the upstream's capacity and for the upstream's health.
package upstream

import (
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"
)

// Request is one call.
type Request struct {
	// Endpoint is the line's url, like "/v1/chat/completions"; its leading "/v1" is not sent, since the upstream's
	// base URL ends in it.
	Endpoint string
	// Body goes out as it is.
	Body []byte
	// Key names the line for the upstream's idempotency and request id headers; it is the same for every try of the same line
	// until one had a definitive answer.
	Key string
	// Deadline is when the batch's window ends; the call's own timers end it earlier.
	Deadline time.Time
}

// Result is what became of one call.
type Result struct {
	Disposition Disposition
	// Outcome is the line's outcome if this was the last try: the answer, or the code that stands for none. For
	// Answered it is final. Its Body must be closed by the receiver.
	Outcome batch.Outcome
	// RetryAfter is what the upstream asked for, at most ten minutes; 0 for none. For Denied it is the time to the next probe.
	RetryAfter time.Duration
	// Signal is what the call says about capacity.
	Signal limit.Signal
	// Lost is set when the connection broke in the middle of the call, after the request had been sent: reset, end of
	// file, or refused right after. That is how a request that crashes its server looks from here.
	Lost bool
	// Cause is a short constant word for logs and the repeats metric, like "timeout", "reset", "status_500".
	Cause string
}

// Disposition says what a call's result means for its line.
type Disposition int

// The dispositions.
const (
	// Answered: the outcome is final, whether it is a success or the user's 4xx.
	Answered Disposition = iota
	// Capacity: the upstream has no room now. The line loses none of its attempts.
	Capacity
	// Ambiguous: the call may have been served, and the answer is lost or unusable. It costs an attempt, and a
	// repeat may pay twice.
	Ambiguous
	// Broken: a definitive 5xx. It costs an attempt.
	Broken
	// Denied: 401 or 403. The upstream is paused; the line loses nothing.
	Denied
	// Abandoned: our own context ended the call, or the end of the batch's window did.
	Abandoned
)
