package limit

import (
	"math/rand/v2"
	"time"
)

// AutoMost is what an upstream without a configured concurrency is never asked to run at once.
const AutoMost = 16384

// Options configures a Gate.
type Options struct {
	// Concurrency is where the limit starts and what it never passes; 0 means that it is found, from autoStart up.
	Concurrency int
	// Shared is set if others use the engine too: then more than autoStart calls are in flight only while the engine's own
	// metrics show that there is room.
	Shared bool
	// Rand is where jitter comes from.
	Rand *rand.Rand
	// Changed, if not nil, is told each time that another number of calls is found worth having in flight.
	Changed func(Change)
}

// Gate decides about the calls of one model at one upstream.
type Gate struct {
	address  *Address
	inFlight int
	rand     *rand.Rand

	// servedBegan and servedEnded are the latest begin and the latest end of a served call.
	servedBegan, servedEnded moment
	batches                  map[string]*witness
	chances                  [classes]chance

	// openings is how often the address had opened when the pace was told last.
	openings int

	room    room
	goodput goodput
	pace    pace
	closing closing
	lull    lull
}

// NewGate returns an open gate of an address.
func NewGate(a *Address, o Options) *Gate {
	most := o.Concurrency
	if most == 0 {
		most = AutoMost
	}
	g := &Gate{
		address: a, rand: o.Rand, batches: make(map[string]*witness),
		room: newRoom(most, most), goodput: newGoodput(&o),
	}
	g.pace.limit = float64(g.goodput.limit())
	return g
}

// Wait is why no call may start now.
type Wait struct {
	Reason Reason
	// Next is when to ask again if nothing happens before; zero if only the end of a call can change anything.
	Next time.Time
}

// Limit returns how many calls may be in flight now.
func (g *Gate) Limit() int { return min(g.least(), int(max(1, g.pace.limit))) }

// InFlight returns how many calls are in flight.
func (g *Gate) InFlight() int { return g.inFlight }

// Closed reports whether calls are held back until a probe is served.
func (g *Gate) Closed() bool { return g.closing.closed || g.address.closing.closed }

// least is the least of the limit's parts.
func (g *Gate) least() int { return min(g.room.limit, g.goodput.limit(), g.address.limit) }

// Take asks for a call to start. The permit is started, or dropped, before anything else is asked of the gate.
func (g *Gate) Take(now time.Time) (Permit, Wait, bool) {
	p := Permit{gate: g}
	if c := &g.address.closing; c.closed {
		ok, next := c.ready(now)
		if !ok {
			return p, Wait{probingOr(ReasonUnreachable, next), next}, false
		}
		p.addressProbe = true
	}
	if c := &g.closing; c.closed {
		ok, next := c.ready(now)
		if !ok {
			return p, Wait{probingOr(c.cause.Reason, next), next}, false
		}
		p.probe = true
	}
	switch {
	case !p.addressProbe && g.address.full():
		return p, Wait{Reason: ReasonConcurrency}, false
	case p.probe || p.addressProbe:
		return p, Wait{}, true
	case g.lull.holding:
		return g.takeInLull(now, p)
	default:
		return g.takeOpen(now, p)
	}
}

// probingOr is the reason of a closed gate: its own, or that a probe is under way.
func probingOr(r Reason, next time.Time) Reason {
	if next.IsZero() {
		return ReasonProbing
	}
	return r
}

// takeInLull grants the one call that a lull is held for.
func (g *Gate) takeInLull(now time.Time, p Permit) (Permit, Wait, bool) {
	if g.inFlight > 0 {
		return p, Wait{Reason: ReasonNoRoom}, false
	}
	if over := g.lull.over(g.servedEnded.at); now.Before(over) {
		return p, Wait{ReasonNoRoom, over}, false
	}
	p.lull = true
	return p, Wait{}, true
}

// takeOpen grants a call within the limit.
func (g *Gate) takeOpen(now time.Time, p Permit) (Permit, Wait, bool) {
	if g.openings != g.address.openings {
		g.openings, g.pace.known = g.address.openings, max(g.pace.known, g.address.closing.before)
	}
	if g.room.chronic.ignoring(now) {
		g.pace.known = max(g.pace.known, g.room.chronic.top)
	}
	switch allowed := g.pace.follow(now, g.least()); {
	case g.inFlight >= g.least():
		return p, Wait{Reason: ReasonConcurrency}, false
	case g.inFlight >= max(1, allowed):
		return p, Wait{ReasonConcurrency, g.pace.until(g.inFlight + 1)}, false
	default:
		return p, Wait{}, true
	}
}

// TakeProven asks a closed gate for a call of a line whose failures are known to be its own: as it tells nothing about
// the gate, it need not wait until that opens. At an open gate such a line is one like any other.
func (g *Gate) TakeProven(now time.Time) (Permit, bool) {
	c := &g.closing
	ok := c.closed && !g.address.closing.closed && !g.address.full() && !g.lull.holding && g.inFlight < max(1, c.before)
	return Permit{gate: g}, ok
}

// Followed reports whether the gate has served another call since the line's last failure that began no earlier.
func (g *Gate) Followed(h *History) bool {
	if h.failed == nil {
		return true
	}
	c, ok := classOf(h.failed.last.Kind)
	r := &h.failed.by[c]
	return ok && g.followed(r)
}

func (g *Gate) followed(r *record) bool {
	return !r.began.after(g.servedBegan) && g.servedEnded.after(r.ended)
}

// Growing returns when the limit will have grown for one more call to start, if only its pace holds that up.
func (g *Gate) Growing() (time.Time, bool) {
	if g.Closed() || g.lull.holding || g.inFlight >= g.least() || float64(g.inFlight+1) <= g.pace.limit {
		return time.Time{}, false
	}
	return g.pace.until(g.inFlight + 1), true
}

// Holding reports whether the gate is held for a lull.
func (g *Gate) Holding() bool { return g.lull.holding }

// Hold asks for a lull, for a line that needs one; it begins when the last one is long enough ago.
func (g *Gate) Hold(now time.Time, quiet time.Duration) { g.lull.hold(now, quiet) }

// LullAt returns the next times at which a line that needs a lull may find one, or may ask for one, if nothing happens
// before.
func (g *Gate) LullAt(quiet time.Duration) (found, asked time.Time) {
	return g.servedEnded.at.Add(quiet), g.lull.again
}

// Unhold ends a lull that no line needs any more.
func (g *Gate) Unhold(now time.Time) { g.lull.release(now) }

// Arrived notes a batch that has just come: a closed gate is probed for it at once.
func (g *Gate) Arrived(now time.Time) {
	g.closing.arrived(now)
	g.address.closing.arrived(now)
}

// Forget drops what is known of a batch's answers.
func (g *Gate) Forget(batch string) { delete(g.batches, batch) }

// A limit that grows does so by at most paceShare of itself, but by paceLeast if that is more, in each paceEvery: an
// engine that is about to refuse is met by few calls at a time, and one that starts more slowly can be seen.
const (
	paceEvery = 100 * time.Millisecond
	paceLeast = 4
	paceShare = 0.05
)

// pace follows a limit down at once and up with time.
type pace struct {
	limit float64
	at    time.Time
	// known is up to where it follows up at once too: what was in flight before a closing is nothing new to the upstream.
	known int
}

// follow returns what of target may be used by now.
func (p *pace) follow(now time.Time, target int) int {
	t := float64(target)
	if t > p.limit {
		passed := min(now.Sub(p.at), paceEvery)
		t = min(t, max(float64(p.known), p.limit+p.rate()*float64(passed)/float64(paceEvery)))
	}
	p.limit, p.at = t, now
	return int(t)
}

// rate is how much is added in paceEvery.
func (p *pace) rate() float64 { return max(paceLeast, paceShare*p.limit) }

// until returns when the limit will have grown to n.
func (p *pace) until(n int) time.Time {
	missing := max(0, float64(n)-p.limit)
	return p.at.Add(time.Duration(missing/p.rate()*float64(paceEvery)).Round(time.Millisecond) + time.Millisecond)
}
