package limit

import "time"

const (
	// leastPause and mostPause bound the pauses of a closed gate, which double and carry a tenth of jitter.
	leastPause = time.Second
	mostPause  = 30 * time.Second
	// runToLower different lines that are denied or break, with nobody served since the first, show that the lines are not
	// at fault: if half of all lines were bad, chance would do that once in a million.
	runToLower = 21
	// runToClose different lines must have failed before a gate closes, so that no line closes it alone; runToTell before
	// it is told.
	runToClose = 2
	runToTell  = 3
)

// lineKey tells lines of different batches apart.
type lineKey struct {
	batch string
	line  uint32
}

// closing is a gate's run of failures and what follows from it (rule 4): when it is closed, when the next probe goes,
// and what limit it opens with.
type closing struct {
	// run holds the different lines that failed since the gate last served a call begun after the first of them, runSince
	// is when that one failed. It is bounded: beyond runToLower nothing depends on its size.
	run      map[lineKey]struct{}
	runSince moment
	// before and ceiling are the limit in force and the room's ceiling when the run began.
	before, ceiling int

	closed   bool
	closedAt moment
	pauses   int
	// next is when a probe may go, held the time that the upstream itself asked for.
	next, held time.Time
	probing    bool
	// awaited is set when a batch has come while a probe was out: it gets the next one at once.
	awaited bool
	// turn counts probes, so that each kind of line has its turn.
	turn int
	// cause is what the run is about.
	cause Condition
}

// fail enters a failed line into the run; before and ceiling are what to return to after a closing.
func (c *closing) fail(now moment, key lineKey, s *Signal, before, ceiling int) {
	if len(c.run) == 0 {
		c.run = make(map[lineKey]struct{})
		c.runSince, c.before, c.ceiling = now, before, ceiling
	}
	if len(c.run) <= runToLower {
		c.run[key] = struct{}{}
	}
	if s.RetryAfter > 0 {
		c.held = later(c.held, now.at.Add(s.RetryAfter))
	}
	if c.cause.Reason != s.Reason || c.cause.Detail != s.Detail {
		c.cause = Condition{Reason: s.Reason, Detail: s.Detail, Since: now.at}
	}
	c.cause.Status, c.cause.Code, c.cause.Message = s.Status, s.Code, s.Message
}

// served clears the run if the call began after its first failure, and reports whether that opens a closed gate. A
// call that began before a closing proves nothing, whoever made it.
func (c *closing) served(began moment) (opened bool) {
	if len(c.run) == 0 || c.runSince.after(began) || c.closed && c.closedAt.after(began) {
		return false
	}
	clear(c.run)
	opened = c.closed
	c.closed, c.probing, c.awaited, c.pauses, c.held, c.cause = false, false, false, 0, time.Time{}, Condition{}
	return opened
}

// outlived reports whether a call that began before a run of failures is all that is known of it: what was under way
// when an upstream went down is no reason to send it more.
func (c *closing) outlived(began moment) bool {
	return len(c.run) >= runToLower && c.runSince.after(began)
}

// close closes the gate, if two different lines have failed.
func (c *closing) close(now moment, jitter float64) {
	if c.closed || len(c.run) < runToClose {
		return
	}
	c.closed, c.closedAt, c.turn = true, now, 0
	c.pause(now.at, jitter)
}

// pause sets the time of the next probe; jitter is from 0 to 1.
func (c *closing) pause(now time.Time, jitter float64) {
	c.pauses++
	c.rest(now, jitter)
}

// rest sets it for a pause as long as the last one.
func (c *closing) rest(now time.Time, jitter float64) {
	if c.awaited {
		c.awaited, c.turn, c.next = false, 0, later(now, c.held)
		return
	}
	d := min(leastPause<<max(0, min(c.pauses-1, 10)), mostPause)
	d += time.Duration((jitter - 0.5) * float64(d) / 5)
	c.next = later(now.Add(d), c.held)
}

// ready reports whether a probe may go now, and else when; zero while one is out.
func (c *closing) ready(now time.Time) (bool, time.Time) {
	switch {
	case c.probing:
		return false, time.Time{}
	case now.Before(c.next):
		return false, c.next
	default:
		return true, time.Time{}
	}
}

// arrived lets the next probe go at once, for a batch that has just come, unless the upstream has said when.
func (c *closing) arrived(now time.Time) {
	if c.awaited = c.closed && c.probing; c.closed && !c.probing {
		c.next, c.turn = later(now, c.held), 0
	}
}

// condition returns what the run is about; false while it may be a matter of single lines.
func (c *closing) condition() (Condition, bool) {
	if !c.closed && len(c.run) < runToTell {
		return Condition{}, false
	}
	cause := c.cause
	if c.closed {
		_, cause.Next = c.ready(time.Time{})
	}
	return cause, true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
