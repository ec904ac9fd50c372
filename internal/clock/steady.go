// Package clock tells the time by which windows end and things expire. The wall clock may leap: it is set by hand, by a
// time server, by a machine that wakes up. This clock advances with the monotonic one, follows the wall clock where that is
// adjusted gently, and takes a step of it only after it has held for a minute, so that a leap which is undone ends nothing.
// Times that are shown or stored are the wall clock's; this one decides. The package knows no batch and no store.
package clock

import "time"

const (
	// Tolerance is the largest difference between both clocks that is adjusted gently; anything larger is a step.
	Tolerance = 500 * time.Millisecond
	// Hold is how long a step must have been observed before it is taken.
	Hold = time.Minute
	// slew is the share of the elapsed time by which a difference within Tolerance is made up: far more than a time server
	// adjusts, and too little for anything to expire early.
	slew = 100
	// longestGap is how much of the time between two readings counts as observed. A process that was frozen has not seen
	// what the wall clock showed meanwhile.
	longestGap = time.Second
)

// Reading is what both clocks of the machine show at one moment. Mono has any origin and never goes back.
type Reading struct {
	Wall time.Time
	Mono time.Duration
}

// Change says what a reading has changed.
type Change int

// The changes. Unchanged is the usual one.
const (
	Unchanged Change = iota
	// Seen is a step of the wall clock, which is not taken yet. It may replace another that was not taken either.
	Seen
	// Taken means that the step held: the steady clock has jumped to the wall clock's time.
	Taken
	// Undone means that the wall clock has come back before its step was taken.
	Undone
)

// Steady is the clock itself: a function of the readings that it is given. It reads no clock, and is for one goroutine.
type Steady struct {
	// base is the time at mono, the last reading's; shift is the sum of the steps taken.
	base  time.Time
	mono  time.Duration
	shift time.Duration
	// pending is set while a step is waited out. step is by how much the wall clock was ahead when it was seen, behind if
	// negative; held is for how long it has been observed since.
	pending bool
	step    time.Duration
	held    time.Duration
}

// NewSteady returns a clock that goes on at last, the time that an earlier one showed, with the shift that it had, or at the
// wall clock's time where last is zero. It must be given the first reading again with Observe, which sees a difference between
// both as a step.
func NewSteady(last time.Time, shift time.Duration, r Reading) *Steady {
	if last.IsZero() {
		last = r.Wall
	}
	return &Steady{base: last.Round(0), mono: r.Mono, shift: shift}
}

// At returns the time at a moment of the monotonic clock.
func (s *Steady) At(mono time.Duration) time.Time { return s.base.Add(mono - s.mono) }

// Shift returns the sum of all steps taken. What it rises by while something lives is not lived through.
func (s *Steady) Shift() time.Duration { return s.shift }

// Pending reports whether a step is waited out, so that it is not known which of both clocks is right.
func (s *Steady) Pending() bool { return s.pending }

// Observe takes notice of a reading, and returns what it has changed.
func (s *Steady) Observe(r Reading) Change {
	gap := r.Mono - s.mono
	s.base, s.mono = s.At(r.Mono), r.Mono
	ahead := r.Wall.Round(0).Sub(s.base)
	if within(ahead, Tolerance) {
		most := max(gap, 0) / slew
		s.base = s.base.Add(min(max(ahead, -most), most))
		if s.pending {
			s.pending = false
			return Undone
		}
		return Unchanged
	}
	if !s.pending || !within(ahead-s.step, Tolerance) {
		s.pending, s.step, s.held = true, ahead, 0
		return Seen
	}
	if s.held += min(gap, longestGap); s.held < Hold {
		return Unchanged
	}
	s.base, s.pending = r.Wall.Round(0), false
	s.shift += ahead
	return Taken
}

// within reports whether d is at most limit, ahead or behind.
func within(d, limit time.Duration) bool { return -limit <= d && d <= limit }

// Time is what a Clock shows at one moment.
type Time struct {
	// Wall is shown and stored, Steady decides. Shift is the sum of the steps that the steady clock has taken.
	Wall   time.Time
	Steady time.Time
	Shift  time.Duration
}

// Same returns the time of a wall clock that nobody sets.
func Same(wall time.Time) Time { return Time{Wall: wall, Steady: wall} }

// Ahead returns by how much the wall clock is ahead of the steady one, negative if it is behind, and 0 where the difference
// is none that is waited out.
func (t Time) Ahead() time.Duration {
	if ahead := t.Wall.Round(0).Sub(t.Steady); !within(ahead, Tolerance) {
		return ahead
	}
	return 0
}

// Later returns the time from which a TTL is counted that must end early by neither clock: the wall clock's, unless that is
// behind by a step which is not taken.
func (t Time) Later() time.Time {
	if t.Ahead() < 0 {
		return t.Steady
	}
	return t.Wall
}
