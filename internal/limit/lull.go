package limit

import "time"

const (
	// leastLull is how long a gate must have served nobody before a line that was refused for want of room is tried for
	// the last time; the line's Retry-After lengthens it to mostLull at most.
	leastLull = 10 * time.Second
	mostLull  = time.Minute
	// lullShare bounds what lulls cost: a gate that was held for one is held again after so many times as long.
	lullShare = 20
)

// lull holds a gate back so that one line can be tried while nothing else asks for room: if it is refused even then,
// it asks for more than there is.
type lull struct {
	holding bool
	since   time.Time
	// quiet is how long nobody must have been served.
	quiet time.Duration
	// again is when the gate may be held the next time.
	again time.Time
}

// lullFor is the lull that a refusal asks for.
func lullFor(s *Signal) time.Duration { return min(max(leastLull, s.RetryAfter), mostLull) }

// hold begins a lull, unless the last one is too short ago.
func (l *lull) hold(now time.Time, quiet time.Duration) {
	if !l.holding && !now.Before(l.again) {
		l.holding, l.since, l.quiet = true, now, quiet
	}
}

// release ends a lull that was held.
func (l *lull) release(now time.Time) {
	if l.holding {
		l.holding = false
		l.again = now.Add(lullShare * now.Sub(l.since))
	}
}

// over returns when the lull has lasted long enough, if nobody is served until then.
func (l *lull) over(lastServed time.Time) time.Time { return later(l.since, lastServed).Add(l.quiet) }
