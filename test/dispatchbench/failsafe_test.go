package dispatchbench

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
)

// failsafe is the adaptive limiter of failsafe-go with its defaults, but for the bounds: 1 to 4,096, where the default
// is 1 to 200. Retries are inside of it, which suits it best: time lost to refusals is time to the limiter, and a line
// that rests keeps its place. Were they outside, refusals would look like fast calls and raise the limit.
type failsafe struct {
	limiter adaptivelimiter.AdaptiveLimiter[any]
	permits map[int]adaptivelimiter.Permit
	backoff backoff
	origin  time.Time
}

// newFailsafe must be called in a bubble.
func newFailsafe(seed uint64) *failsafe {
	return &failsafe{
		limiter: adaptivelimiter.NewBuilder[any]().WithLimits(1, 4096, 20).Build(),
		permits: make(map[int]adaptivelimiter.Permit),
		backoff: newBackoff(seed), origin: time.Now(),
	}
}

func (f *failsafe) take(now time.Duration, line int) bool {
	f.turn(now)
	permit, ok := f.limiter.TryAcquirePermit()
	if ok {
		f.permits[line] = permit
	}
	return ok
}

func (f *failsafe) done(now time.Duration, line int, a answer) rest {
	f.turn(now)
	if a.refused {
		return rest{f.backoff.after(line), true}
	}
	f.backoff.forget(line)
	f.permits[line].Record()
	delete(f.permits, line)
	return rest{}
}

// turn turns the clock that the library reads forward to now.
func (f *failsafe) turn(now time.Duration) {
	if behind := now - time.Since(f.origin); behind > 0 {
		time.Sleep(behind)
	}
}

// inBubble runs f where time.Now is a clock that moves only when told.
func inBubble(t *testing.T, f func()) {
	synctest.Test(t, func(*testing.T) { f() })
}
