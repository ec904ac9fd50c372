package limit

import (
	"math"
	"time"
)

const (
	// loadFresh is for how long a reading governs: three are expected in that time.
	loadFresh = 6 * time.Second
	// waitingTarget is how many requests may stand in the queue of each replica, so that a free place is taken at once.
	waitingTarget = 4
	// preemptedFactor lowers the limit when the engine has put requests back; a cache fuller than kvFull forbids more.
	preemptedFactor = 0.93
	kvFull          = 0.9
	// An engine without a queue gets freeShare of the limit more, but freeLeast if that is more; half as much again before
	// it has ever had a queue.
	freeShare = 0.10
	freeLeast = 2
	// togetherStep calls at a time are added by each of those that share an engine, while it has a short queue.
	togetherStep = 3
	// Below sharedBelow of an engine's requests the gate is not alone there.
	sharedBelow = 0.9
	// seenShare of the calls in flight must be known to the engine for a reading to be about them: else they stand in a
	// queue before it, or it is another engine's.
	seenShare = 0.5
)

// engine is what the goodput part knows of the engine behind the gate, from its own metrics.
type engine struct {
	// shared is set if others use the engine too, so that nothing is tried without readings.
	shared bool
	// until is when the last reading is too old to govern, governed whether there has been one since goodput governed.
	until    time.Time
	governed bool
	// queued is set once the engine has had a queue.
	queued      bool
	preemptions float64
	// changed is when a reading changed the limit last.
	changed time.Time
}

// flight is what is in flight at a gate while a reading is taken into account.
type flight struct {
	calls int
	// share is the gate's part of the calls that must become fewer if there is a queue.
	share float64
	// full is set if calls stand at the limit, and nothing but the goodput part keeps them from being more.
	full bool
}

// Load takes a reading of the engine's metrics into account. While readings are fresh they say how many calls are worth
// having in flight; without any the gate finds out for itself, or keeps to few calls where others use the engine too.
// replicas is how many engines the reading is the sum of.
func (g *Gate) Load(now time.Time, l EngineLoad, replicas int) {
	part := &g.goodput
	if now.Sub(l.At) >= loadFresh || float64(l.Running+l.Waiting) < seenShare*float64(g.address.inFlight) {
		return
	}
	f := flight{calls: g.inFlight, full: part.limit() <= g.least() && g.inFlight >= part.full()}
	all := l.Running + l.Waiting
	if part.engine.shared {
		all = g.address.inFlight // the others are to be served first
	}
	f.share = min(1, float64(g.inFlight)/float64(max(1, all)))
	part.load(now, &l, &f, waitingTarget*max(1, replicas))
}

// load changes the limit by a reading.
func (g *goodput) load(now time.Time, l *EngineLoad, f *flight, target int) {
	e := &g.engine
	preempted := e.governed && l.Preemptions > e.preemptions
	e.until, e.governed, e.preemptions = l.At.Add(loadFresh), true, l.Preemptions
	e.queued = e.queued || l.Waiting > target
	if l.At.Before(e.changed) {
		return // it is about another limit
	}
	// What is in flight above the limit is on its way out, and need not be taken away again.
	leaving := max(0, f.calls-g.now)
	excess := float64(l.Waiting-target)*f.share - float64(leaving)
	switch {
	case preempted && leaving == 0:
		g.set(now, int(preemptedFactor*float64(g.now)), StepPreempted)
	case excess >= 0.5:
		g.set(now, g.now-max(1, int(math.Round(excess/2))), StepQueued)
	case l.KVUsage > kvFull || !f.full:
	case l.Waiting > 0 && f.share < sharedBelow && !e.shared:
		g.set(now, g.now+togetherStep, StepFree) // all add as much and give back by their share: so shares become alike
	case l.Waiting > 0:
	case e.queued:
		g.set(now, g.now+max(freeLeast, int(freeShare*float64(g.now))), StepFree)
	default:
		g.set(now, int(rampFactor*float64(g.now)), StepFree)
	}
}

// set changes the limit at the word of a reading.
func (g *goodput) set(now time.Time, to int, why Step) {
	g.engine.changed = now
	g.move(now, to, why, 0)
}

// alone reports whether the part has to find out for itself. It takes over where the last readings have left the limit.
func (g *goodput) alone(now time.Time) bool {
	e := &g.engine
	if now.Before(e.until) {
		return false
	}
	if e.governed {
		e.governed = false
		g.base, g.steady = yield{}, newSteady()
		g.move(now, g.now, StepHeld, 0)
	}
	if e.shared && g.now > autoStart {
		g.move(now, autoStart, StepUnknown, 0)
	}
	return !e.shared
}
