package limit

import "time"

const (
	// maxCautious bounds how many limits' worth of answers a step above the ceiling waits for.
	maxCautious = 32
	// forgetWindows windows at the ceiling without a refusal forget it; a ceiling that proves right takes twice as many,
	// at most maxForgetWindows.
	forgetWindows    = 3
	maxForgetWindows = 8
	// forgetWindow is the least length of such a window, windowAnswers the least number of answers in any window.
	forgetWindow  = 10 * time.Second
	windowAnswers = 30
)

// room is the part of a gate's limit that failures lower (rule 3 of docs/adr/0015-whose-fault.md): what is in flight when a
// call is refused fits, so the limit falls to just that, and rises again by what is served.
type room struct {
	// limit is the part; max what it never passes.
	limit, max int
	// ceiling is where refusals lowered the limit last; 0 for none.
	ceiling int
	// cautious is k: a step above the ceiling takes k × limit served answers; credit counts them. stepped is set while the
	// last step has been neither refused nor held.
	cautious int
	credit   int
	stepped  bool
	// met is the limit at which refusals were met last, climbed is set after a step since then. Steps below met are no news
	// and take a quarter of the time: several refusals come together as a rule, and lower the limit below what fits.
	met     int
	climbed bool

	calm    calm
	chronic chronic
}

// calm counts windows at the ceiling without a refusal.
type calm struct {
	since   time.Time
	answers int
	windows int
	// needed is how many windows forget the ceiling, forgotten the last one that was.
	needed    int
	forgotten int
}

func newRoom(limit, most int) room {
	return room{limit: limit, max: most, cautious: 1, calm: calm{needed: forgetWindows}}
}

// served raises the limit for an answer that came while inFlight calls, this one included, were in flight. least is the
// gate's limit as it is in force.
func (r *room) served(now time.Time, inFlight, least int) {
	r.chronic.note(now, r, least, false)
	switch {
	case r.limit >= r.max:
	case r.ceiling == 0 || r.limit < r.ceiling:
		r.limit++
	default:
		r.climb()
	}
	r.rest(now, inFlight)
}

// climb counts an answer towards the next step above the ceiling.
func (r *room) climb() {
	k := r.cautious
	if r.limit+1 < r.met {
		k = max(1, r.cautious/4)
	}
	if r.credit++; r.credit < k*r.limit {
		return
	}
	r.credit = 0
	if r.stepped && r.limit >= r.met {
		r.cautious = max(1, r.cautious/2)
	}
	r.ceiling, r.stepped, r.climbed = r.limit, true, true
	r.limit++
}

// rest counts an answer towards forgetting the ceiling.
func (r *room) rest(now time.Time, inFlight int) {
	c := &r.calm
	if r.ceiling == 0 || inFlight < r.ceiling {
		return
	}
	if c.answers == 0 {
		c.since = now
	}
	c.answers++
	if c.answers < max(windowAnswers, r.limit) || now.Sub(c.since) < forgetWindow {
		return
	}
	c.answers = 0
	if c.windows++; c.windows < c.needed {
		return
	}
	c.windows = 0
	c.forgotten = r.ceiling
	r.ceiling, r.stepped, r.credit = 0, false, 0
}

// counts notes a refusal, and reports whether such ones lower the limit for now.
func (r *room) counts(now time.Time, least int) bool {
	r.chronic.note(now, r, least, true)
	return !r.chronic.ignoring(now)
}

// refused lowers the limit to what is still in flight, for a refusal for want of room, and returns how many places of
// those in force that took; false if refusals lower nothing for now. least is the gate's limit as it is in force: a refusal
// with less than half of that in flight says nothing of how much fits.
func (r *room) refused(now time.Time, inFlight, least int) (places int, lowers bool) {
	if !r.counts(now, least) {
		return 0, false
	}
	if r.stepped {
		r.cautious = min(maxCautious, 2*r.cautious)
	}
	if r.climbed {
		r.met = 0
	}
	r.met, r.climbed = max(r.met, least), false
	r.stepped, r.credit = false, 0
	r.calm.refusedAt(inFlight)
	if 2*inFlight >= least {
		r.ceiling = max(1, inFlight)
	}
	before := min(r.limit, least)
	r.lower(inFlight)
	return max(0, before-r.limit), true
}

// refusedAt notes a refusal with so much in flight.
func (c *calm) refusedAt(inFlight int) {
	c.answers, c.windows = 0, 0
	if c.forgotten == 0 {
		return
	}
	if 5*inFlight < 6*c.forgotten {
		c.needed = min(2*c.needed, maxForgetWindows)
	} else {
		c.needed = forgetWindows
	}
	c.forgotten = 0
}

// lower lowers the limit to what is in flight, but never raises it, nor to less than one call.
func (r *room) lower(inFlight int) { r.limit = max(1, min(r.limit, inFlight)) }

// giveBack undoes a refusal that proved to be the line's own: what places it took, and that it made steps rarer.
func (r *room) giveBack(places int) {
	if r.ceiling > 0 {
		r.ceiling = min(r.ceiling+places, r.max)
		r.limit = min(r.limit+places, r.max)
	}
	r.cautious = max(1, r.cautious/2)
}

// reopen sets the limit after a closing: half of what was in force before, below the ceiling from before.
func (r *room) reopen(before, ceiling int) {
	r.ceiling, r.credit, r.stepped = ceiling, 0, false
	r.limit = max(1, before/2)
	if ceiling > 0 {
		r.limit = min(r.limit, ceiling)
	}
}
