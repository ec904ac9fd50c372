package clock_test

import (
	"testing"
	"time"

	"batchd/internal/clock"
)

var origin = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

// world is a monotonic clock and a wall clock that is ahead of it by off.
type world struct {
	*testing.T
	steady *clock.Steady
	mono   time.Duration
	off    time.Duration
}

func newWorld(t *testing.T) *world {
	w := &world{T: t}
	w.steady = clock.NewSteady(time.Time{}, 0, w.reading())
	return w
}

func (w *world) reading() clock.Reading {
	return clock.Reading{Wall: origin.Add(w.mono + w.off), Mono: w.mono}
}

// pass lets d pass in steps of 250 ms and returns what changed, without what did not.
func (w *world) pass(d time.Duration) []clock.Change {
	w.Helper()
	var changes []clock.Change
	for end := w.mono + d; w.mono < end; {
		w.mono += 250 * time.Millisecond
		before := w.steady.At(w.mono)
		c := w.steady.Observe(w.reading())
		if c != clock.Unchanged {
			changes = append(changes, c)
		}
		if after := w.steady.At(w.mono); c != clock.Taken && after.Sub(before).Abs() > 10*time.Millisecond {
			w.Fatalf("at %s the clock moved by %s without having taken a step", w.mono, after.Sub(before))
		}
	}
	return changes
}

// shows checks how far the clock is ahead of the monotonic one, within 10 ms.
func (w *world) shows(want time.Duration) {
	w.Helper()
	if got := w.steady.At(w.mono).Sub(origin.Add(w.mono)); (got - want).Abs() > 10*time.Millisecond {
		w.Errorf("after %s the clock is ahead by %s, want %s", w.mono, got, want)
	}
}

func (w *world) changes(got []clock.Change, want ...clock.Change) {
	w.Helper()
	if len(got) != len(want) {
		w.Fatalf("changes %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			w.Fatalf("changes %v, want %v", got, want)
		}
	}
}

// steps are those that the bar names, and some between them.
func steps() []time.Duration {
	const year = 365 * 24 * time.Hour
	var all []time.Duration
	for _, d := range []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour, year, 10 * year} {
		all = append(all, d, -d)
	}
	return all
}

func TestAStepThatIsUndoneWithinAMinuteChangesNothing(t *testing.T) {
	for _, step := range steps() {
		for _, held := range []time.Duration{time.Second, 59 * time.Second} {
			w := newWorld(t)
			w.pass(time.Hour)
			w.off = step
			w.changes(w.pass(held), clock.Seen)
			w.shows(0)
			w.off = 0
			w.changes(w.pass(time.Hour), clock.Undone)
			w.shows(0)
		}
	}
}

func TestAStepThatHoldsIsTakenAfterAMinute(t *testing.T) {
	for _, step := range steps() {
		w := newWorld(t)
		w.pass(time.Hour)
		w.off = step
		w.changes(w.pass(59*time.Second), clock.Seen)
		w.shows(0)
		w.changes(w.pass(2*time.Second), clock.Taken)
		w.shows(step)
		w.changes(w.pass(time.Hour))
		w.shows(step)
	}
}

func TestEachOtherStepBeginsTheMinuteAnew(t *testing.T) {
	w := newWorld(t)
	for range 10 {
		w.off += time.Hour
		w.changes(w.pass(50*time.Second), clock.Seen)
		w.shows(0)
	}
	w.changes(w.pass(11*time.Second), clock.Taken)
	w.shows(10 * time.Hour)
}

func TestAFrozenProcessHasNotSeenTheStepHold(t *testing.T) {
	w := newWorld(t)
	w.off = time.Hour
	w.changes(w.pass(time.Second), clock.Seen)
	w.mono += 10 * time.Minute
	w.changes(w.pass(time.Second))
	w.shows(0)
	w.changes(w.pass(time.Minute), clock.Taken)
}

func TestGentleAdjustmentIsFollowed(t *testing.T) {
	w := newWorld(t)
	for range 4000 { // 500 ppm for 1,000 s, and a tick of 250 ms
		w.off += 125 * time.Microsecond
		w.changes(w.pass(250 * time.Millisecond))
	}
	w.shows(500 * time.Millisecond)
	w.off -= 400 * time.Millisecond // a small step is made up for slowly
	w.changes(w.pass(20 * time.Second))
	w.shows(300 * time.Millisecond)
	w.pass(time.Minute)
	w.shows(100 * time.Millisecond)
}

func TestTheClockGoesOnWhereItStopped(t *testing.T) {
	for _, away := range []time.Duration{8 * time.Hour, -8 * time.Hour} {
		w := &world{T: t, off: away}
		w.steady = clock.NewSteady(origin, time.Hour, w.reading())
		w.changes(w.pass(59*time.Second), clock.Seen)
		w.shows(0)
		w.changes(w.pass(2*time.Second), clock.Taken)
		w.shows(away)
		if got := w.steady.Shift(); (got - time.Hour - away).Abs() > 10*time.Millisecond {
			t.Errorf("the steps come to %s, want an hour and %s", got, away)
		}
	}
}

func TestLaterIsEarlyByNeitherClock(t *testing.T) {
	for ahead, want := range map[time.Duration]time.Duration{
		time.Hour: time.Hour, -time.Hour: 0, 400 * time.Millisecond: 400 * time.Millisecond, -400 * time.Millisecond: -400 * time.Millisecond,
	} {
		if got := (clock.Time{Wall: origin.Add(ahead), Steady: origin}).Later().Sub(origin); got != want {
			t.Errorf("ahead by %s: later by %s, want %s", ahead, got, want)
		}
	}
}
