package limit_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"batchd/internal/limit"
)

func TestFixedNeverGivesMorePermitsThanItHas(t *testing.T) {
	t.Parallel()
	l := limit.NewFixed(7)
	var mu sync.Mutex
	taken := 0
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if l.TryAcquire() {
				mu.Lock()
				defer mu.Unlock()
				taken++
			}
		})
	}
	wg.Wait()
	if taken != 7 || l.InUse() != 7 || l.Limit() != 7 {
		t.Errorf("taken %d, in use %d, limit %d; want 7 of each", taken, l.InUse(), l.Limit())
	}
	l.Release(limit.Signal{})
	if !l.TryAcquire() || l.TryAcquire() {
		t.Error("want exactly one permit after one release")
	}
}

// start is any time; the breaker reads no clock.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newBreaker() *limit.Breaker { return limit.NewBreaker(rand.New(rand.NewPCG(1, 2))) }

func TestStrayRefusalsDoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	b := newBreaker()
	for range 100 {
		for range 4 {
			b.Refused(start, 0)
		}
		b.Served(start)
	}
	if ok, _ := b.Ready(start); !ok {
		t.Error("open after four refusals in a row with successes between")
	}
}

func TestRefusalsInARowOpenTheBreakerLongerEachTime(t *testing.T) {
	t.Parallel()
	b := newBreaker()
	for range 5 {
		b.Refused(start, 0)
	}
	now, last := start, time.Duration(0)
	for range 8 {
		ok, at := b.Ready(now)
		if ok {
			t.Fatal("closed, want open")
		}
		pause := at.Sub(now)
		if pause < last/2 || pause > time.Minute {
			t.Errorf("pause of %s after %s", pause, last)
		}
		now, last = at, pause
		if ok, _ := b.Ready(now); !ok {
			t.Fatal("no probe when the pause is over")
		}
		b.Started()
		if ok, at := b.Ready(now); ok || !at.IsZero() {
			t.Fatal("a second probe beside the first")
		}
		b.Refused(now, 0)
	}
	if last < 30*time.Second {
		t.Errorf("pauses grew to %s only, want at least 30 s", last)
	}
}

func TestRetryAfterIsObeyedAtOnceAndOldCallsDoNotCutItShort(t *testing.T) {
	t.Parallel()
	b := newBreaker()
	b.Refused(start, 20*time.Second)
	b.Served(start.Add(time.Second)) // had been in flight before
	if ok, at := b.Ready(start.Add(19 * time.Second)); ok || !at.Equal(start.Add(20*time.Second)) {
		t.Errorf("ready %v, at %s; want only 20 s after the refusal", ok, at)
	}
	probe := start.Add(20 * time.Second)
	if ok, _ := b.Ready(probe); !ok {
		t.Fatal("no probe when the pause is over")
	}
	b.Started()
	b.Served(probe)
	if open, _ := b.Open(); open {
		t.Error("still open after the probe was served")
	}
}

func TestDeniedCredentialsPauseForThirtySecondsAtATime(t *testing.T) {
	t.Parallel()
	b := newBreaker()
	now := start
	for range 3 {
		b.Denied(now)
		if open, denied := b.Open(); !open || !denied {
			t.Fatalf("open %v, denied %v; want both", open, denied)
		}
		ok, at := b.Ready(now)
		if ok || at.Sub(now) != 30*time.Second {
			t.Fatalf("ready %v, in %s; want in 30 s", ok, at.Sub(now))
		}
		now = at
		b.Started()
	}
	b.Served(now)
	if open, denied := b.Open(); open || denied {
		t.Errorf("open %v, denied %v after a success; want neither", open, denied)
	}
}

func TestMostCallsFailingOpensTheBreakerAndSomeFailingDoesNot(t *testing.T) {
	t.Parallel()
	b := newBreaker()
	for range 100 {
		b.Failed(start)
		b.Served(start)
		b.Served(start)
	}
	if open, _ := b.Open(); open {
		t.Error("open although two of three calls are served")
	}
	for range 300 {
		b.Failed(start.Add(31 * time.Second))
	}
	if open, _ := b.Open(); !open {
		t.Error("closed although every call of the last half minute failed")
	}
}

func TestAnAbandonedProbeLetsAnotherGo(t *testing.T) {
	t.Parallel()
	b := newBreaker()
	b.Refused(start, time.Second)
	now := start.Add(time.Second)
	b.Started()
	b.Abandoned()
	if ok, _ := b.Ready(now); !ok {
		t.Error("no probe after the last one was abandoned")
	}
}
