// Package limit decides how many calls may be in flight to an upstream. A decision uses only what it is told:
// permits asked for and given back, and what became of the calls. It opens no connection and reads no clock.
package limit

// Limiter hands out permits for calls to one upstream. All methods may be called concurrently.
type Limiter interface {
	// TryAcquire takes a permit if one is free.
	TryAcquire() bool
	// Release gives a permit back and says what became of the call, which is what an adaptive limiter learns from.
	Release(s Signal)
	// Limit returns how many permits there are now; InUse how many are taken.
	Limit() int
	InUse() int
}

// Signal is what one call tells about the upstream's capacity.
type Signal struct {
	// Verdict is the kind of answer.
	Verdict Verdict
	// OutputTokens is how much useful work the answer held.
	OutputTokens int64
	// Seconds is how long the call took.
	Seconds float64
}

// Verdict sorts answers by what they say about capacity.
type Verdict int

// The verdicts.
const (
	// Served means that the upstream did the work, whatever it thought of the request.
	Served Verdict = iota
	// Refused means that the upstream said it has no room: 429, 503, 529, connection refused.
	Refused
	// Broken means that the call failed in a way that says little about room: timeout, reset, 5xx.
	Broken
	// Unknown means that the call was given up from our side; it teaches nothing.
	Unknown
)
