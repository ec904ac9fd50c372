// Package batching models inference engines without HTTP, clock or goroutine: virtual time is handed in, and so is
// every draw, so that minutes of an engine's time pass in milliseconds and two runs are equal.
//
// Engine is one replica that batches continuously: chunked prefill under a budget of tokens per step, KV memory with
// preemption, a queue. Seats is the simpler model of so many calls at a time. Both have the methods Submit, Step,
// Cancel, Gauges and FirstTokens with one meaning, so a scenario drives either. Workloads are here as well.
// It promises that an engine is a function of its options and the calls made to it. It knows nothing of batches,
// dispatchers or limits: those are what a scenario puts in front of it.
package batching

import (
	"errors"
	"time"
)

// ErrQueueFull refuses a request that would have been one too many to wait.
var ErrQueueFull = errors.New("queue full")

// ErrNeverFits refuses a request that is malformed or larger than the engine's whole KV memory.
var ErrNeverFits = errors.New("request cannot be served")

// An ID names a request within one engine. IDs count from 1 in order of submission.
type ID int64

// A Request is what an engine is asked to do.
type Request struct {
	// PromptTokens are read before the first token comes; at least 1. Seats ignores it.
	PromptTokens int
	// CachedTokens of them are in the prefix cache: they take memory like the others, but the first time they are not
	// read. The last token of a prompt always is. Seats ignores it.
	CachedTokens int
	// OutputTokens are generated, one a step; at least 1 (Seats: at least 0, counted when the call finishes).
	OutputTokens int
	// Service is how long the request holds a seat, above 0. Engine ignores it: there, time follows from the tokens.
	Service time.Duration
	// Priority orders the queue where ByPriority is set: lower first, then in order of submission.
	Priority int
	// Interactive tells the two classes apart for which the time to the first token is kept. It changes nothing else.
	Interactive bool
}

// A Call is a request that was accepted.
type Call struct {
	ID      ID
	Request Request
	// Arrived is the time given to Submit.
	Arrived time.Duration
}

// An Iteration is what one Step did. All it tells of happened at its end: the time given to Step plus Took. The slices
// are good until the next Step.
type Iteration struct {
	// Took is how long the iteration lasted, never below 0. With nothing to run it is a short wait.
	Took time.Duration
	// First are the calls that got their first token (in Seats: whose seat was given at the iteration's beginning).
	First []Call
	// Finished are the calls that were completed.
	Finished []Call
}

// before is the order of the queue, and backwards that of preemption.
func before(a, b *Call, byPriority bool) bool {
	if byPriority && a.Request.Priority != b.Request.Priority {
		return a.Request.Priority < b.Request.Priority
	}
	return a.ID < b.ID
}
