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
		g.room.served(now.at, g.inFlight+1)
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

// answered notes the line's own answer. It shows that the address can be reached and no more: what answers 400 may
// stand before an engine that is dead. A probe that got it makes room for the next one at once.
func (g *Gate) answered(now time.Time, p *Permit) {
	g.address.reached(p.began)
	if p.probe {
		g.closing.next = later(now, g.closing.held)
	}
}

// failed finds out whose fault a failure is, and what follows for the line and for the gate.
func (g *Gate) failed(now moment, p *Permit, h *History, s *Signal, waiting func() Queue) Verdict {
	r, _ := h.note(now, p.began, s) // every kind that gets here has a class
	if s.Kind == Unreachable {
		return g.unreached(now, p, h, r, s)
	}
	g.address.reached(p.began)
	q := waiting()
	if s.Lost {
		if g.address.suspects > 0 && !p.suspect {
			// Put down to the suspect in flight beside it: a line that crashes its server takes others along.
			r.tries--
			return Verdict{Pause: g.spread(pauseAfter(max(1, r.tries), s))}
		}
		h.failed.lost++
	}
	own := g.own(p, r, q)
	g.charge(r, own)
	if !own && !g.excused(now.at, h.Batch) {
		g.lower(now, p, h, r, s)
	} else if p.probe {
		// What is the line's own leaves the pause as it was.
		g.closing.rest(now.at, g.rand.Float64())
	}
	g.witness(h.Batch).failed()
	return g.verdict(now.at, p, h, r, s, q)
}

// own reports whether a failure is the line's own: it failed in this way before, and the gate has served another call
// since that began no earlier than the failed one and ended after it. r is the record with this failure in it.
func (g *Gate) own(p *Permit, r *record, q Queue) bool {
	switch {
	case r.tries < 2:
		return false
	case r.proven:
		return !g.closing.closed || !q.Fresh
	default:
		return g.followed(r)
	}
}

// charge counts a strike: for what is the line's own, and for a first failure at an open gate.
func (g *Gate) charge(r *record, own bool) {
	if own {
		r.strikes++
		if !r.proven && r.cut {
			g.room.giveBack()
		}
		r.proven = true
		return
	}
	if r.tries == 1 && !g.closing.closed {
		r.strikes = 1
	}
}

// unreached notes that no connection came about: a matter of the address, never of the line.
func (g *Gate) unreached(now moment, p *Permit, h *History, r *record, s *Signal) Verdict {
	g.address.unreached(now, lineKey{h.Batch, h.Line}, s, g.least())
	g.goodput.lowered(now.at)
	if p.addressProbe {
		g.address.closing.pause(now.at, g.rand.Float64())
	}
	if p.probe {
		g.closing.next = later(now.at, g.closing.held)
	}
	return Verdict{Pause: g.rest(r.tries, s)}
}

// lower lowers the limit for a failure that says something of the gate, and closes it when nothing is left in flight.
func (g *Gate) lower(now moment, p *Permit, h *History, r *record, s *Signal) {
	least := g.least()
	wasClosed := g.closing.closed
	g.closing.fail(now, lineKey{h.Batch, h.Line}, s, least, g.room.ceiling)
	if wasClosed {
		if p.probe {
			g.closing.pause(now.at, g.rand.Float64())
		}
		return
	}
	switch {
	case s.Kind == NoRoom:
		r.cut = true
		g.pace.known = 0
		g.room.refused(now.at, g.inFlight, least)
		if g.room.chronic.ignoring(now.at) {
			return
		}
	case len(g.closing.run) >= runToLower:
		g.room.lower(g.inFlight)
	default:
		return
	}
	g.goodput.lowered(now.at)
	if g.inFlight == 0 {
		g.closing.close(now, g.rand.Float64())
	}
}

// verdict decides whether a line is given up, and else how long it rests.
func (g *Gate) verdict(now time.Time, p *Permit, h *History, r *record, s *Signal, q Queue) Verdict {
	c, _ := classOf(s.Kind)
	pause := g.rest(r.tries, s)
	alone, tries := alonePatience(h.Small || g.witness(h.Batch).alike(s), s)
	if q.Left < aloneLines && r.tries >= tries && now.Sub(later(r.ended.at, g.servedEnded.at)) >= alone {
		return g.givenUp(h, s)
	}
	if s.Kind != NoRoom {
		// What breaks a connection takes others along; that those recover is no sign of chance.
		if r.strikes >= strikesAllowed(s, !s.Lost && g.chances[c].likely(now)) {
			return g.givenUp(h, s)
		}
		if s.Lost {
			pause = g.spread(pause)
		}
		return Verdict{Pause: pause}
	}
	if r.strikes >= noRoomStrikes && now.Sub(r.ended.at) >= roomPatience(s) {
		if p.quiet >= lullFor(s) {
			return g.givenUp(h, s)
		}
		return Verdict{Pause: pause, Lull: lullFor(s)}
	}
	return Verdict{Pause: pause}
}

// givenUp is the verdict on a line that has had its tries.
func (g *Gate) givenUp(h *History, s *Signal) Verdict {
	g.witness(h.Batch).gaveUp(s)
	return Verdict{Final: true, Poison: s.Lost && h.failed.lost >= strikes}
}

// spread lengthens a pause by up to itself, so that lines which broke together are not tried together.
func (g *Gate) spread(d time.Duration) time.Duration {
	return d + time.Duration(g.rand.Float64()*float64(d))
}
