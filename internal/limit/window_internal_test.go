package limit

import (
	"testing"
	"time"
)

// answersOf returns what a window finds in calls that take so long before their answers, and for each of 20 to 320 tokens.
func answersOf(before, perToken time.Duration) yield {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var w window
	w.reset(now, now)
	w.stand(now, true)
	for i := range int64(160) {
		now = now.Add(time.Second)
		tokens := 20 + i*7%16*20
		w.served(now, before+time.Duration(tokens)*perToken, tokens)
	}
	return w.yield(now)
}

func TestSlowerStepsAreNotTakenForWaiting(t *testing.T) {
	t.Parallel()
	alone := answersOf(0, 10*time.Millisecond)
	var l least
	l.note(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), &alone)
	for name, c := range map[string]struct {
		before, perToken time.Duration
		waiting          float64
		free             bool
	}{
		"alone":                      {0, 10 * time.Millisecond, 0, true},
		"four times as slow":         {0, 40 * time.Millisecond, 0, true},
		"waiting as long as it runs": {1700 * time.Millisecond, 10 * time.Millisecond, 0.5, false},
		"both":                       {1700 * time.Millisecond, 40 * time.Millisecond, 0.2, false},
	} {
		y := answersOf(c.before, c.perToken)
		if got := y.waiting(&l); got < c.waiting-0.01 || got > c.waiting+0.01 || y.free(&l) != c.free {
			t.Errorf("%s: waiting %.3f, free %v; want %.2f, %v", name, got, y.free(&l), c.waiting, c.free)
		}
	}
}

func TestAnswersOfOneLengthDoNotTellWaiting(t *testing.T) {
	t.Parallel()
	var w window
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w.reset(now, now)
	w.stand(now, true)
	for range 160 {
		now = now.Add(time.Second)
		w.served(now, time.Second, 100)
	}
	y := w.yield(now)
	if y.apart() || y.free(&least{}) {
		t.Error("answers that are all alike are told apart")
	}
}
