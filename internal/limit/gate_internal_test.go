package limit

import (
	"testing"
	"time"
)

func TestALimitGrowsByNoMoreThanItsPace(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		limit float64
		after time.Duration
		want  int
	}{
		"few by four":               {8, paceEvery, 12},
		"in part of the time, less": {8, paceEvery / 2, 10},
		"none at once":              {8, 0, 8},
		"no more for a long rest":   {8, time.Hour, 12},
		"many by a twentieth":       {400, paceEvery, 420},
		"to what it may be":         {498, paceEvery, 500},
		"down at once":              {4000, 0, 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pace{limit: c.limit, at: now}
			if got := p.follow(now.Add(c.after), 500); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

func TestAPacedLimitIsReachedWhenItSays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := pace{limit: 8, at: now}
	for steps := 0; p.follow(now, 500) < 500; steps++ {
		if steps > 1000 {
			t.Fatal("never reached")
		}
		n := int(p.limit) + 1
		at := p.until(n)
		if wait := at.Sub(now); wait <= 0 || wait > paceEvery {
			t.Fatalf("one more in %s at %.1f", wait, p.limit)
		}
		if now = at; p.follow(now, 500) < n {
			t.Fatalf("no %d at %s, as was said", n, at)
		}
	}
	if now.After(time.Date(2026, 1, 1, 0, 0, 7, 0, time.UTC)) {
		t.Errorf("reached at %s only", now)
	}
}
