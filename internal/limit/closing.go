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
	// is when that one's call began, runSeen when it had failed. It is bounded: beyond runToLower and what is in flight
	// nothing depends on its size.
	run               map[lineKey]struct{}
	runSince, runSeen moment
	// since is how many calls in flight began after runSeen.
	since int
	// before and ceiling are the limit in force and the room's ceiling when the run began: what to return to after a closing.
	before, ceiling int

	closed bool
	pauses int
	// next is when a probe may go, but not before held, the time that the upstream itself asked for.
	next, held time.Time
	probing    bool
	// soon is set when a batch arrived while a probe was out: the next one is for it, without a pause.
	soon bool
	// turn counts probes, so that each kind of line has its turn.
	turn int
	// cause is what the run is about.
	cause Condition
}

// fail enters a failed line, whose call began at began, into the run, and reports whether it is the first.
func (c *closing) fail(now, began moment, key lineKey, s *Signal) (first bool) {
	if first = len(c.run) == 0; first {
		c.run = make(map[lineKey]struct{})
		c.runSince, c.runSeen, c.since = began, now, 0
	}
	if len(c.run) <= max(runToLower, c.since) {
		c.run[key] = struct{}{}
	}
	if s.RetryAfter > 0 {
		c.held = later(c.held, now.at.Add(s.RetryAfter))
	}
	// Calls that break off do so in this way and that; it is one condition all the same.
	if c.cause.Reason != s.Reason || c.cause.Detail != s.Detail && s.Reason != ReasonFailing {
		c.cause = Condition{Reason: s.Reason, Since: now.at}
	}
	c.cause.Detail, c.cause.Status, c.cause.Code, c.cause.Message, c.cause.Batch = s.Detail, s.Status, s.Code, s.Message, key.batch
	return first
}

// served clears the run if the call began after its first failure, and reports whether that opens a closed gate. As
// nothing is in flight when a gate closes, such a call was sent to a closed one, whether as a probe or not.
func (c *closing) served(began moment) (opened bool) {
	if len(c.run) == 0 || c.runSince.after(began) {
		return false
	}
	clear(c.run)
	opened = c.closed
	c.closed, c.probing, c.soon = false, false, false
	c.pauses, c.held, c.cause = 0, time.Time{}, Condition{}
	return opened
}

// outlived reports whether a call that began before a run of failures is all that is known of it: what was under way
// when an upstream went down is no reason to send it more.
func (c *closing) outlived(began moment) bool {
	return c.unanimous() && c.runSince.after(began)
}

// unanimous reports whether the run is no matter of chance. Of the calls that began since, those in flight may yet be
// served: where failures are quick and answers slow, many of the first come before one of the second.
func (c *closing) unanimous() bool { return len(c.run) >= max(runToLower, c.since) }

// began counts a call that begins, ended one that ends.
func (c *closing) began() {
	if len(c.run) > 0 {
		c.since++
	}
}

func (c *closing) ended(began moment) {
	if len(c.run) > 0 && began.after(c.runSeen) {
		c.since--
	}
}

// close closes the gate, if two different lines have failed.
func (c *closing) close(now moment, jitter float64) {
	if c.closed || len(c.run) < runToClose {
		return
	}
	c.closed, c.turn = true, 0
	c.pause(now.at, jitter)
}

// pause sets the time of the next probe; jitter is from 0 to 1.
func (c *closing) pause(now time.Time, jitter float64) {
	c.pauses++
	c.rest(now, jitter)
}

// rest sets it for a pause as long as the last one.
func (c *closing) rest(now time.Time, jitter float64) {
	d := min(leastPause<<max(0, min(c.pauses-1, 10)), mostPause)
	d += time.Duration((jitter - 0.5) * float64(d) / 5)
	c.next = now.Add(d)
	if c.soon {
		c.next, c.soon = now, false
	}
}

// ready reports whether a probe may go now, and else when; zero while one is out.
func (c *closing) ready(now time.Time) (bool, time.Time) {
	switch next := later(c.next, c.held); {
	case c.probing:
		return false, time.Time{}
	case now.Before(next):
		return false, next
	default:
		return true, time.Time{}
	}
}

// arrived lets the next probe go at once, for a batch that has just come, unless the upstream has said when.
func (c *closing) arrived(now time.Time) {
	if c.closed {
		c.next, c.soon, c.turn = now, c.probing, 0
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
