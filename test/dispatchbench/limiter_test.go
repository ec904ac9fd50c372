package dispatchbench

import (
	"math/rand/v2"
	"time"
)

// A limiter decides when calls of one client may start. To compare another one, write its two methods and give it a
// contender.
type limiter interface {
	// take reports whether a call for a line may start now, and counts it if so. It is asked again before each iteration
	// of the engine, and after each grant.
	take(now time.Duration, line int) bool
	// done ends the call of a line that took a place, and says what becomes of the line if it was refused.
	done(now time.Duration, line int, a answer) rest
}

// An answer is how a call ended.
type answer struct {
	// began is when the call was sent.
	began time.Duration
	// refused is set for a call that the engine had no room for.
	refused bool
	// tokens is what the engine generated.
	tokens int
}

// A rest is what becomes of a line that was refused.
type rest struct {
	// pause is how long it waits until it is sent again.
	pause time.Duration
	// keeps is set if it keeps its place meanwhile, so that it is sent again without another take.
	keeps bool
}

// loadReader is a limiter that also wants what the engine says of itself, every scrapeEvery.
type loadReader interface {
	read(now time.Duration, g gauges)
}

// fixed is a number of workers, each of which sends a line and, if that is refused, sleeps and sends it again: what a
// user would write, with a semaphore around a client that retries.
type fixed struct {
	free    int
	backoff backoff
}

func newFixed(limit int, seed uint64) *fixed {
	return &fixed{free: limit, backoff: newBackoff(seed)}
}

func (f *fixed) take(time.Duration, int) bool {
	if f.free == 0 {
		return false
	}
	f.free--
	return true
}

func (f *fixed) done(_ time.Duration, line int, a answer) rest {
	if a.refused {
		return rest{f.backoff.after(line), true}
	}
	f.free++
	f.backoff.forget(line)
	return rest{}
}

// backoff is how long clients without a rule of their own wait after a refusal: a second, doubled with each more to half
// a minute, and a quarter more or less by chance.
type backoff struct {
	refusals map[int]int
	rand     *rand.Rand
}

func newBackoff(seed uint64) backoff {
	return backoff{make(map[int]int), rand.New(rand.NewPCG(seed, 3))}
}

func (b *backoff) after(line int) time.Duration {
	d := min(time.Second<<min(b.refusals[line], 5), 30*time.Second)
	b.refusals[line]++
	return time.Duration(float64(d) * (0.75 + b.rand.Float64()/2))
}

func (b *backoff) forget(line int) { delete(b.refusals, line) }
