package limit

import "time"

// served notes a good answer: what it proves, what it opens, and what it raises.
func (g *Gate) served(now moment, p *Permit, h *History, s *Signal) {
	g.servedBegan = g.servedBegan.latest(p.began)
	g.servedEnded = g.servedEnded.latest(now)
	g.witness(h.Batch).served(now.at)
	if h.failed != nil {
		g.recovered(now.at, h)
	}
	g.address.reached(p.began)
	if g.closing.outlived(p.began) {
		g.room.lower(g.inFlight)
	} else {
		g.room.served(now.at, g.inFlight+1, g.least())
	}
	if g.closing.served(p.began) {
		g.room.reopen(g.closing.before, g.closing.ceiling)
		g.pace.known = g.closing.before
	}
	g.goodput.served(now.at, now.at.Sub(p.began.at), s.OutputTokens)
}

// recovered notes that a line which had failed was served after all.
func (g *Gate) recovered(now time.Time, h *History) {
	for c := range h.failed.by {
		if h.failed.by[c].strikes > 0 {
			g.chances[c].recovered(now)
		}
	}
}

// failed finds out whose fault a failure is, and what follows for the line and for the gate.
func (g *Gate) failed(now moment, p *Permit, h *History, s *Signal, waiting func() Queue) Verdict {
	r, _ := h.note(now, p.began, s) // every kind that gets here has a class
	if s.Kind == Unreachable {
		return g.unreached(now, p, h, r, s)
	}
	g.address.reached(p.began)
	if s.Lost {
		// A line that crashes its server takes others along: a call that broke beside a suspect is put down to that one. The
		// suspect is in flight still, or broke since the call began, as connections that break together are noticed one after
		// the other.
		if a := g.address; !p.suspect && (a.suspects > 0 || !p.began.after(a.crashed)) {
			r.tries--
			g.keepPause(now.at, p)
			return Verdict{Pause: g.spread(pauseAfter(max(1, r.tries), s))}
		}
		h.failed.lost++
	}
	q := waiting()
	own := g.own(r, q)
	// A strike is for what is the line's own, and for a first failure at an open gate.
	switch {
	case own:
		r.strikes++
		if !r.proven && r.lowered {
			g.room.giveBack(r.places)
		}
		r.proven = true
	case r.tries == 1 && !g.closing.closed:
		r.strikes = 1
	}
	if !own && !g.excused(now.at, h.Batch) {
		g.lower(now, p, h, r, s)
	} else {
		g.keepPause(now.at, p)
	}
	g.witness(h.Batch).failed()
	return g.verdict(now.at, p, h, s, q)
}

// keepPause sets the next probe after one whose failure says nothing of the gate: the pause is as it was.
func (g *Gate) keepPause(now time.Time, p *Permit) {
	if p.probe {
		g.closing.rest(now, g.rand.Float64())
	}
}

// own reports whether a failure is the line's own: it failed in this way before, and the gate has served another call
// since that began no earlier than the failed one and ended after it. r is the record with this failure in it.
func (g *Gate) own(r *record, q Queue) bool {
	switch {
	case r.tries < 2:
		return false
	case r.proven:
		return !g.closing.closed || !q.Fresh
	default:
		return g.followed(r)
	}
}

// unreached notes that no connection came about: a matter of the address, never of the line.
func (g *Gate) unreached(now moment, p *Permit, h *History, r *record, s *Signal) Verdict {
	inForce := g.least()
	if g.closing.closed {
		inForce = g.closing.before // what it was before the run that closed the gate
	}
	g.address.unreached(now, p.began, lineKey{h.Batch, h.Line}, s, inForce)
	g.goodput.lowered(now.at)
	if p.addressProbe {
		g.address.closing.pause(now.at, g.rand.Float64())
	}
	return Verdict{Pause: g.rest(r.tries, s)}
}

// lower lowers the limit for a failure that says something of the gate, and closes it when nothing is left in flight.
func (g *Gate) lower(now moment, p *Permit, h *History, r *record, s *Signal) {
	least := g.least()
	wasClosed := g.closing.closed
	if g.closing.fail(now, p.began, lineKey{h.Batch, h.Line}, s) {
		g.closing.before, g.closing.ceiling = least, g.room.ceiling
	}
	if wasClosed {
		if p.probe {
			g.closing.pause(now.at, g.rand.Float64())
		}
		return
	}
	switch {
	case s.Kind == NoRoom:
		g.pace.known = 0
		if !g.refused(now.at, r, least) {
			return
		}
	case g.closing.unanimous():
		g.room.lower(g.inFlight)
	default:
		return
	}
	g.goodput.lowered(now.at)
	if g.inFlight == 0 {
		g.closing.close(now, g.rand.Float64())
	}
}

// refused lowers the limit for a line that is refused for want of room, the first time. That it is refused again before
// anybody was served who could tell whose fault it is, is no news. It reports whether such refusals count now.
func (g *Gate) refused(now time.Time, r *record, least int) bool {
	if r.lowered {
		return g.room.counts(now, least)
	}
	r.places, r.lowered = g.room.refused(now, g.inFlight, least)
	return r.lowered
}

// verdict decides whether a line is given up, and else how long it rests.
func (g *Gate) verdict(now time.Time, p *Permit, h *History, s *Signal, q Queue) Verdict {
	c, _ := classOf(s.Kind)
	r := &h.failed.by[c]
	tries := g.restsAfter(now, r, s)
	v := Verdict{Pause: g.rest(tries, s)}
	v.Elsewhere = min(v.Pause, ownPause(tries, s))
	switch {
	case g.alone(now, h, r, s, q):
		return g.givenUp(h, s)
	case s.Kind == NoRoom:
		if r.strikes < noRoomStrikes || now.Sub(r.ended.at) < roomPatience(s) {
			return v
		}
		if p.quiet >= lullFor(s) {
			return g.givenUp(h, s)
		}
		v.Lull = lullFor(s)
	// That others recover which a crash took along does not make crashes a matter of chance.
	case r.strikes >= strikesAllowed(s, !s.Lost && g.chances[c].likely(now)):
		return g.givenUp(h, s)
	case s.Lost:
		v.Pause = g.spread(v.Pause)
	}
	return v
}

// restsAfter returns how many tries decide how long a line rests. Where the fault is its own those that say nothing of it
// do not count: it would wait long for the few that are left.
func (g *Gate) restsAfter(now time.Time, r *record, s *Signal) int {
	c, _ := classOf(s.Kind)
	switch {
	case s.Kind != NoRoom && r.proven:
		return r.strikes
	case s.Kind == NoRoom && g.room.chronic.ignoring(now) && g.chances[c].likely(now):
		return min(r.tries, passingTries)
	default:
		return r.tries
	}
}

// alone reports whether a line has failed for so long with nobody served beside it, and so few lines left, that it is
// given up without any proof. One that is denied or breaks with the very words that were proven to be about single lines of
// its batch has no more tries than they had, unless such failures pass by themselves now.
func (g *Gate) alone(now time.Time, h *History, r *record, s *Signal, q Queue) bool {
	status, words := g.witness(h.Batch).alike(s)
	c, _ := classOf(s.Kind)
	patience, tries := aloneFor, aloneTries
	switch {
	case words && s.Kind != NoRoom && !g.chances[c].likely(now):
		patience, tries = 0, strikesAllowed(s, false)
	case !h.Small && !status:
	case s.Kind == NoRoom:
		patience, tries = roomPatience(s), smallBusyTries
	default:
		patience, tries = smallFor, smallTries
	}
	return q.Left < aloneLines && r.tries >= tries && now.Sub(later(r.ended.at, g.servedEnded.at)) >= patience
}

// givenUp is the verdict on a line that has had its tries.
func (g *Gate) givenUp(h *History, s *Signal) Verdict {
	g.witness(h.Batch).gaveUp(s, h.Proven())
	return Verdict{Final: true, Poison: s.Lost && h.failed.lost >= strikes}
}

// spread lengthens a pause by up to half, so that lines which broke together are not tried together.
func (g *Gate) spread(d time.Duration) time.Duration {
	return d + time.Duration(g.rand.Float64()*float64(d)/2)
}

const (
	// cleanAnswers served answers make a batch a witness for the gate, as long as its last cleanStreak were all good and
	// the last came within cleanFor.
	cleanAnswers = 5
	cleanStreak  = 50
	cleanFor     = 10 * time.Second
	// chanceLines lines that failed in one way at the open gate and were served later show that such failures pass; each
	// within chanceFor of the one before.
	chanceLines = 3
	chanceFor   = 10 * time.Minute
)

// witness is what a gate knows of one batch's answers.
type witness struct {
	answers, streak int
	last            time.Time
	// ends counts the batch's lines that were given up, by what they were told; with the upstream's own words, as long as
	// these are few, only those whose fault was proven to be their own.
	ends map[verdictKey]int
}

// verdictKey is what lines that are given up were told.
type verdictKey struct {
	kind    Kind
	status  int
	message string
}

// mostVerdicts bounds how many different words are kept apart.
const mostVerdicts = 100

// witness returns what is known of a batch's answers.
func (g *Gate) witness(batch string) *witness {
	w := g.batches[batch]
	if w == nil {
		w = &witness{}
		g.batches[batch] = w
	}
	return w
}

// excused reports whether failures of a batch say nothing of the gate: another one is served cleanly.
func (g *Gate) excused(now time.Time, batch string) bool {
	for name, w := range g.batches {
		if name != batch && w.clean(now) {
			return true
		}
	}
	return false
}

// gaveUp notes that a line is given up with what it was told, and whether its fault is proven to be its own.
func (w *witness) gaveUp(s *Signal, proven bool) {
	if w.ends == nil {
		w.ends = make(map[verdictKey]int)
	}
	w.ends[verdictKey{s.Kind, s.Status, ""}]++
	if words := (verdictKey{s.Kind, s.Status, s.Message}); proven && s.Message != "" && (w.ends[words] > 0 || len(w.ends) < mostVerdicts) {
		w.ends[words]++
	}
}

// alike reports whether so many lines were given up with the same status that one more is likely to be of their kind,
// and whether the very same words were told to lines that were at fault themselves.
func (w *witness) alike(s *Signal) (status, words bool) {
	status = w.ends[verdictKey{s.Kind, s.Status, ""}] >= aloneLines
	return status, s.Message != "" && w.ends[verdictKey{s.Kind, s.Status, s.Message}] >= alikeLines
}

func (w *witness) served(now time.Time) {
	w.answers++
	w.streak++
	w.last = now
}

func (w *witness) failed() { w.answers, w.streak = w.answers+1, 0 }

// clean reports whether the batch is served without failures right now.
func (w *witness) clean(now time.Time) bool {
	return w.answers >= cleanAnswers && w.streak >= min(w.answers, cleanStreak) && now.Sub(w.last) <= cleanFor
}

// chance counts lines that recovered from one kind of failure.
type chance struct {
	lines int
	last  time.Time
}

func (c *chance) recovered(now time.Time) {
	if now.Sub(c.last) > chanceFor {
		c.lines = 0
	}
	c.lines++
	c.last = now
}

func (c *chance) likely(now time.Time) bool {
	return c.lines >= chanceLines && now.Sub(c.last) <= chanceFor
}
