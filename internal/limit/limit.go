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
