package limit

import "time"

// Kind says what the end of a call tells about the gate that the call went through.
type Kind int

// The kinds. Only Served proves that a gate works: a front that answers 400 says nothing of the engine behind it.
const (
	// Served: a 2xx with a good body.
	Served Kind = iota
	// Answered: the line's own answer (400, 413, 422, an unknown model): final at once.
	Answered
	// Denied: refused for who asks or where: 401, 402, 403, other 404, 405, 407, 410, 421, 426, 451.
	Denied
	// Broken: the upstream failed: other 5xx, 408, 424, 425, 499, a reset, a time-out, an unreadable 2xx.
	Broken
	// NoRoom: 429, 503, 529.
	NoRoom
	// Unreachable: no connection came about, so nothing was sent.
	Unreachable
	// Abandoned: we ended the call ourselves; it teaches nothing.
	Abandoned
)

// String returns the kind's name, as metrics have it.
func (k Kind) String() string {
	switch k {
	case Served:
		return "served"
	case Answered:
		return "answered"
	case Denied:
		return "denied"
	case Broken:
		return "broken"
	case NoRoom:
		return "no_room"
	case Unreachable:
		return "unreachable"
	case Abandoned:
		return "abandoned"
	default:
		return "unknown"
	}
}

// Signal is what one call taught.
type Signal struct {
	Kind Kind
	// Status is the HTTP status that the answer is judged by, 0 for none.
	Status int
	// Lost is set when the connection broke in the middle of the call: how a line that crashes its server looks.
	Lost bool
	// Reason is the word that the answer is told by while it holds work up; empty for Served, Answered and Abandoned.
	Reason Reason
	// Detail says more where the reason alone does not: why an upstream is unreachable ("dns", "refused", "tls", "timeout"),
	// or how a call without a status broke off ("reset", "truncated", "timeout", "encoding", "protocol").
	Detail string
	// Code is the upstream's own error code or type, Message the first 200 characters of its answer; either may be empty.
	Code, Message string
	// RetryAfter is what the upstream asked for, 0 for nothing.
	RetryAfter time.Duration
	// OutputTokens is how much useful work a served answer held, 0 if unknown.
	OutputTokens int64
}
