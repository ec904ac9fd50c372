package limit

import (
	"math/rand/v2"
	"time"
)

// The breaker's constants: when it opens, and for how long.
const (
	// refusalsToOpen refusals in a row, without a success between, close the gate; fewer are noise that only the
	// refused lines wait for.
	refusalsToOpen = 5
	backoffBase    = time.Second
	backoffCap     = time.Minute
	// deniedPause is how long an upstream rests that refused our credentials.
	deniedPause = 30 * time.Second
	// failureWindow and failuresToJudge bound the second rule: more than half of at least so many calls failed.
	failureWindow   = 30 * time.Second
	failuresToJudge = 20
)

// Breaker decides whether an upstream may be called at all. It opens on an upstream's own wish (Retry-After), on
// refusals in a row, on denied credentials, and when more than half of the calls of the last half minute failed. When its
// time is over one call goes through as a probe, and its result closes the breaker or opens it for longer. It reads
// no clock and is not safe for concurrent use.
type Breaker struct {
	// until is when the next probe may go; zero while the breaker is closed.
	until   time.Time
	probing bool
	// opened counts the times in a row that it opened without a success between.
	opened   int
	refusals int
	denied   bool

	windowStart   time.Time
	calls, failed int

	rng *rand.Rand
}

// NewBreaker returns a closed breaker whose jitter comes from rng.
func NewBreaker(rng *rand.Rand) *Breaker { return &Breaker{rng: rng} }

// Ready reports whether a call may start now. When it may not, the time says when to ask again; zero means that
// only the result of the probe under way can tell.
func (b *Breaker) Ready(now time.Time) (bool, time.Time) {
	switch {
	case b.until.IsZero():
		return true, time.Time{}
	case b.probing:
		return false, time.Time{}
	case now.Before(b.until):
		return false, b.until
	default:
		return true, time.Time{}
	}
}

// Started notes that a call starts. While the breaker is open, that call is the probe.
func (b *Breaker) Started() { b.probing = !b.until.IsZero() }

// Open reports whether calls are held back, and whether that is because our credentials were refused.
func (b *Breaker) Open() (open, denied bool) { return !b.until.IsZero(), b.denied }

// Served notes an answer that shows the upstream at work. One that arrives while calls are held back, from a call
// that started before, ends no pause: only the probe does.
func (b *Breaker) Served(now time.Time) {
	if !b.until.IsZero() && !b.probing {
		return
	}
	b.refusals, b.opened, b.denied, b.probing = 0, 0, false, false
	b.until = time.Time{}
	b.count(now, false)
}

// Refused notes an answer that asks for fewer calls, with the pause it asked for, 0 for none.
func (b *Breaker) Refused(now time.Time, pause time.Duration) {
	b.refusals++
	switch {
	case pause > 0:
		b.open(now, pause)
	case b.probing || b.refusals >= refusalsToOpen:
		b.open(now, b.backoff())
	}
}

// Denied notes that our credentials were refused.
func (b *Breaker) Denied(now time.Time) {
	b.denied = true
	b.open(now, deniedPause)
}

// Failed notes a call that broke: a timeout, a reset, a 5xx.
func (b *Breaker) Failed(now time.Time) {
	b.count(now, true)
	if b.probing || (b.calls >= failuresToJudge && 2*b.failed > b.calls) {
		b.open(now, b.backoff())
	}
}

// Abandoned notes a call that was given up from our side. If it was the probe, another may go.
func (b *Breaker) Abandoned() { b.probing = false }

// open holds calls back for d. Calls that were under way when it opened report afterwards; they must not lengthen
// the pause, so an open breaker only opens anew for its probe or for a later wish of the upstream.
func (b *Breaker) open(now time.Time, d time.Duration) {
	if b.until.IsZero() || b.probing {
		b.opened++
		b.until = now.Add(d)
	} else if later := now.Add(d); later.After(b.until) && d <= backoffCap {
		b.until = later
	}
	b.probing = false
	b.calls, b.failed = 0, 0
}

// backoff returns a pause with jitter, longer each time: between half of and the whole of 1 s, 2 s, 4 s … 60 s.
func (b *Breaker) backoff() time.Duration {
	d := min(backoffBase<<min(b.opened, 10), backoffCap)
	return d/2 + time.Duration(b.rng.Int64N(int64(d/2)+1))
}

// count keeps the tally of the current window.
func (b *Breaker) count(now time.Time, failed bool) {
	if now.Sub(b.windowStart) > failureWindow {
		b.windowStart, b.calls, b.failed = now, 0, 0
	}
	b.calls++
	if failed {
		b.failed++
	}
}
