package limit

import "time"

// Permit is the right to make one call through a gate. It knows which call it is: whatever ends later is judged by
// when it began.
type Permit struct {
	gate  *Gate
	began moment
	// probe and addressProbe are set for the call that finds out whether a closed gate or address may open.
	probe, addressProbe bool
	// lull is set for the call that a lull was held for, quiet for one that goes out after as long a time without any.
	lull  bool
	quiet time.Duration
	// suspect is set for a line that may be what crashes the server.
	suspect bool
}

// Turn says what kind of line a permit is for.
type Turn int

// The turns.
const (
	// TurnAny: whatever is next.
	TurnAny Turn = iota
	// TurnFresh, TurnPutOff and TurnControl are for probes: a line that was never tried, from far away in the plan; one
	// that failed; one that was kept back.
	TurnFresh
	TurnPutOff
	TurnControl
	// TurnLull: the line that a lull is held for, and no other.
	TurnLull
)

// Turn returns what kind of line the call should carry. A probe may carry another kind if there is none of this.
func (p *Permit) Turn() Turn {
	switch {
	case p.lull:
		return TurnLull
	case p.probe:
		return TurnFresh + Turn(p.gate.closing.turn%3)
	case p.addressProbe:
		return TurnFresh + Turn(p.gate.address.closing.turn%3)
	default:
		return TurnAny
	}
}

// Start starts the call of a line.
func (p *Permit) Start(now time.Time, h *History) {
	g := p.gate
	p.began, p.suspect = g.address.moment(now), h.Suspect()
	if g.inFlight == 0 { // else one may be being served
		p.quiet = now.Sub(g.servedEnded.at)
	}
	g.inFlight++
	g.address.inFlight++
	g.closing.began()
	g.address.closing.began()
	if p.suspect {
		g.address.suspects++
	}
	if p.probe {
		g.closing.probing = true
		g.closing.turn++
	}
	if p.addressProbe {
		g.address.closing.probing = true
		g.address.closing.turn++
	}
	g.goodput.noteInFlight(now, g.inFlight, g.goodput.limit() <= g.least())
}

// MayCarry reports whether the permit's gate may send the line now: one suspect at a time is in flight on an upstream.
func (g *Gate) MayCarry(h *History) bool { return g.address.suspects == 0 || !h.Suspect() }

// Queue is what waits at a gate.
type Queue struct {
	// Left is how many lines of all batches have no outcome, those in flight included.
	Left int
	// Fresh is set while some were never tried, but for controls.
	Fresh bool
}

// Verdict says what a call's end means for its line.
type Verdict struct {
	// Final is set when the outcome stands: the line was served or answered, or it is given up.
	Final bool
	// Poison is set for a line that is given up since it breaks its server.
	Poison bool
	// Pause is how long a line that is not final rests. Elsewhere is how long it does at another gate, which the upstream's
	// Retry-After does not bind.
	Pause, Elsewhere time.Duration
	// Lull, if not zero, says that the line is tried again only after the gate has served nobody for so long.
	Lull time.Duration
}

// Done ends the call. waiting is asked for what waits at the gate, if that matters.
func (p *Permit) Done(now time.Time, h *History, s *Signal, waiting func() Queue) Verdict {
	g := p.gate
	g.inFlight--
	g.address.inFlight--
	g.closing.ended(p.began)
	g.address.closing.ended(p.began)
	if p.suspect {
		ended := g.address.moment(now)
		g.address.suspects--
		if s.Lost {
			g.address.crashed = ended
		}
	}
	// A probe whose gate was opened meanwhile, by a proven line that was served, is a call like any other.
	p.probe = p.probe && g.closing.closed
	if p.probe {
		g.closing.probing = false
	}
	if p.addressProbe {
		g.address.closing.probing = false
	}
	defer func() { g.goodput.noteInFlight(now, g.inFlight, g.goodput.limit() <= g.least()) }()
	// In a lull one line goes after the other while they are refused: who is refused takes no room from the next. After
	// twice its time lines that still need one wait for the next lull.
	if p.lull && (s.Kind == Served || now.Sub(g.lull.since) >= 2*g.lull.quiet) {
		g.lull.release(now)
	}
	switch s.Kind {
	case Served:
		g.served(g.address.moment(now), p, h, s)
		return Verdict{Final: true}
	case Answered:
		// The line's own answer shows that the address can be reached and no more: what answers 400 may stand before an
		// engine that is dead. After a probe that got it the next one may go at once.
		g.address.reached(p.began)
		return Verdict{Final: true}
	case Denied, Broken, NoRoom, Unreachable:
		return g.failed(g.address.moment(now), p, h, s, waiting)
	default:
		return Verdict{Pause: abandonedPause} // a stop drops the line; anything else was our own fault
	}
}

// abandonedPause is the pause of a line whose call we gave up ourselves.
const abandonedPause = time.Second
