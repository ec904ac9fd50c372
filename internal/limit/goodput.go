package limit

import (
	"math"
	"time"
)

const (
	// autoStart is where the limit starts when no concurrency is configured.
	autoStart = 8
	// rampFactor is a step of the ramp, which goes on while each brings rampGain and calls wait for less than rampWaiting
	// of their time. A window of it is rampAnswers or as many as the limit, or rampLong, and twice that if in doubt.
	rampFactor  = 1.5
	rampGain    = 1.10
	rampWaiting = 0.4
	rampAnswers = 30
	rampLong    = 10 * time.Second
)

// goodput is the part of a gate's limit that finds how many calls are worth having in flight: it tries more and fewer,
// and compares what comes of them. An engine that queues for ever never refuses, so nothing else would tell.
type goodput struct {
	now, most int
	step      Step
	window    window
	// base is what was found at back, the limit before the step under way.
	base yield
	back int
	// warm is set when the first window is over: in it nothing is as it will be.
	warm bool
	// ramped is what all windows of the ramp have found together.
	ramped  yield
	least   least
	steady  steady
	engine  engine
	changed func(Change)
}

// newGoodput returns a part that starts at the configured concurrency and never passes it; without one it looks for the
// limit from autoStart up.
func newGoodput(o *Options) goodput {
	g := goodput{
		now: o.Concurrency, most: o.Concurrency, step: StepHeld, changed: o.Changed, steady: newSteady(),
		engine: engine{shared: o.Shared},
	}
	switch {
	case o.Concurrency == 0:
		g.now, g.most = autoStart, AutoMost
		g.step, g.warm, g.steady.down.left = StepRamp, true, 0
	case o.Shared:
		g.now = min(autoStart, g.most)
	}
	if o.Shared {
		g.step = StepUnknown
	}
	return g
}

func (g *goodput) limit() int { return g.now }

// noteInFlight notes that so many calls are in flight from now on, and whether this part is the least of the limit's. A
// place is empty for a moment whenever a call ends, so nearly all of them will do.
func (g *goodput) noteInFlight(now time.Time, inFlight int, least bool) {
	g.alone(now)
	g.window.stand(now, least && inFlight >= g.full())
}

// full is how many calls in flight count as standing at the limit.
func (g *goodput) full() int { return g.now - g.now/16 }

// served notes an answer that took so long and held so many output tokens, 0 if unknown.
func (g *goodput) served(now time.Time, took time.Duration, tokens int64) {
	if !g.alone(now) {
		return
	}
	w := &g.window
	length := w.served(now, took, tokens)
	switch {
	case length > windowVoid && (g.step == StepUp || g.step == StepDown):
		g.move(now, g.back, StepBack, 0) // the try that it was for ends, too
		return
	case length > windowVoid:
		w.reset(now, now)
		return
	case !g.finished(now, length):
		return
	case float64(w.full) < windowFull*float64(length):
		w.reset(now, now)
		return
	}
	y := w.yield(now)
	g.judge(now, &y)
}

// finished reports whether the window can be judged.
func (g *goodput) finished(now time.Time, length time.Duration) bool {
	w := &g.window
	switch {
	case w.answers < rampAnswers:
		return false
	case length < w.took/time.Duration(w.answers):
		return false // calls that began in the window are what it is about
	case g.step == StepRamp:
		return g.rampFinished(now, length)
	case g.step == StepUp || g.step == StepDown:
		return g.tryFinished(now, length)
	default:
		return w.answers >= steadyFew && length >= steadyLeast && (w.answers >= max(steadyAnswers, g.now) || length >= steadyLong)
	}
}

// lowered notes that failures lowered the limit: what the window has seen so far is not of one limit.
func (g *goodput) lowered(now time.Time) { g.window.reset(now, now) }

// judge takes a finished window into account.
func (g *goodput) judge(now time.Time, y *yield) {
	switch {
	case !g.warm:
		g.warm = true
		// Its beginning is the least that calls take, if they have come to wait since then, else all of it.
		g.least = g.window.first
		g.least.at = now
		if y.quickest() < firstRise*g.least.quickest {
			g.least.quickest = y.quickest()
		}
		g.window.reset(now, now)
	case g.step == StepRamp:
		g.ramp(now, y)
	case g.step == StepUp || g.step == StepDown:
		g.tried(now, y)
	default:
		g.rest(now, y)
	}
}

// rampFinished reports whether a step of the ramp can be judged. One that brings too little is given more time: chance
// ends no ramp.
func (g *goodput) rampFinished(now time.Time, length time.Duration) bool {
	w, enough := &g.window, max(rampAnswers, g.now)
	if w.answers >= 2*enough || length >= 2*rampLong {
		return true
	}
	if w.answers < enough && length < rampLong || w.answers%quickGroup != 0 {
		return false
	}
	y := w.yield(now)
	return g.base.empty() || y.gain(&g.base) > rampGain || y.waiting(&g.least) > rampWaiting
}

// ramp goes on while goodput grows.
func (g *goodput) ramp(now time.Time, y *yield) {
	g.ramped.add(y)
	g.least.note(now, &g.ramped)
	switch {
	case !g.base.empty() && (y.gain(&g.base) <= rampGain || y.waiting(&g.least) > rampWaiting):
		g.steady.up.failed()
		g.base = yield{} // its window was short, and began before the calls that count had ended
		g.move(now, g.back, StepBack, y.call())
	case g.now == g.most:
		g.hold(now, y)
	default:
		g.higher(now, y)
	}
}

// higher makes a step of the ramp; y is what the limit so far has brought.
func (g *goodput) higher(now time.Time, y *yield) {
	g.base, g.back = *y, g.now
	g.move(now, int(rampFactor*float64(g.now)), StepRamp, y.call())
}

// hold stays at the limit, of which y is what was found.
func (g *goodput) hold(now time.Time, y *yield) {
	g.base, g.step = *y, StepHeld
	g.window.reset(now, now)
}

// move sets the limit; the next window opens when settle has passed.
func (g *goodput) move(now time.Time, to int, why Step, settle time.Duration) {
	to = max(1, min(to, g.most))
	if g.changed != nil && to != g.now {
		g.changed(Change{At: now, From: g.now, To: to, Why: why})
	}
	g.now, g.step = to, why
	g.window.reset(now, now.Add(settle))
}

const (
	// steadyAnswers, or as many as the limit, make a window of the steady state; steadyFew after steadyLong. None is
	// shorter than steadyLeast.
	steadyAnswers = 400
	steadyFew     = 50
	steadyLeast   = 2 * time.Second
	steadyLong    = 10 * time.Second
	// A try ends when chance cannot have decided it, at the latest after tryAnswers or tryLong.
	tryAnswers = 1600
	tryLong    = 40 * time.Second
	// upStep and downStep are how far a try goes; a try up goes upFar while calls hardly wait. A step is worth its while
	// if goodput changes by more than worth of what the limit does; freeWorth will do where calls are known to hardly wait,
	// as then more of them are in nobody's way.
	upStep    = 0.15
	upFar     = 0.30
	downStep  = 0.12
	worth     = 0.27
	freeWorth = 0.16
	// mostUpPause and mostDownPause windows are the longest pauses between two tries, firstDownPause is the one before
	// the first try down from a configured concurrency.
	mostUpPause    = 4
	mostDownPause  = 64
	firstDownPause = 2
	// oddWindows windows in a row that are unlike those before end both pauses.
	oddWindows = 2
	// What share of a call's time is waiting decides what is tried. Below noWaiting a try down is made only once in
	// mostDownPause windows, as nothing is to be gained by it; below hardlyWaiting a try up goes far. From someWaiting on
	// a try down comes first, and goes as far as to leave that much; from mostWaiting on there is no try up, and a try
	// down after each window.
	noWaiting     = 0.10
	hardlyWaiting = 0.15
	someWaiting   = 0.25
	mostWaiting   = 0.67
)

// steady is what the goodput part knows when its ramp is over: when to try more or fewer calls.
type steady struct {
	up, down patience
	// downwards is set when a try down comes before a try up.
	downwards bool
	// odd counts windows in a row that are unlike the base, since those since the last try down.
	odd, since int
}

func newSteady() steady {
	return steady{up: patience{most: mostUpPause}, down: patience{left: firstDownPause, most: mostDownPause}}
}

// patience counts windows until the next try; each try that fails doubles how many.
type patience struct{ left, pause, most int }

func (p *patience) failed() {
	p.pause = min(max(1, 2*p.pause), p.most)
	p.left = p.pause
}

func (p *patience) end() { p.left, p.pause = 0, 0 }

func (p *patience) wait() { p.left = max(0, p.left-1) }

// bar is what share of the base's goodput the try under way must reach.
func (g *goodput) bar() float64 {
	w := worth
	if g.base.free(&g.least) {
		w = freeWorth
	}
	return 1 + w*(float64(g.now)/float64(g.back)-1)
}

// tryFinished reports whether a try can be judged.
func (g *goodput) tryFinished(now time.Time, length time.Duration) bool {
	w := &g.window
	switch {
	case w.answers < steadyFew || length < steadyLeast:
		return false
	case w.answers >= max(tryAnswers, g.now) || length >= tryLong:
		return true
	case w.answers%quickGroup != 0:
		return false
	}
	y := w.yield(now)
	return math.Abs(y.gain(&g.base)-g.bar()) > y.chance(&g.base)
}

// tried ends a try. One up that proves itself begins a ramp: the upstream has more room than it had.
func (g *goodput) tried(now time.Time, y *yield) {
	s, up := &g.steady, g.step == StepUp
	p := &s.down
	if up {
		p = &s.up
	}
	if y.gain(&g.base) < g.bar() {
		p.failed()
		s.downwards = false
		g.move(now, g.back, StepBack, y.call())
		return
	}
	p.end()
	if up && g.now < g.most {
		g.higher(now, y)
		return
	}
	s.downwards = !up
	g.hold(now, y)
	g.try(now)
}

// rest counts a window in which nothing was tried.
func (g *goodput) rest(now time.Time, y *yield) {
	s := &g.steady
	s.up.wait()
	s.down.wait()
	if g.base.empty() || !y.odd(&g.base) {
		s.odd = 0
		g.base.add(y)
	} else if s.odd++; s.odd >= oddWindows {
		s.up.end()
		s.down.end()
		s.downwards = y.slower(&g.base) > 1
		s.odd, g.base = 0, *y
	}
	g.step = StepHeld
	g.try(now)
}

// try begins what is due, or another window of the same.
func (g *goodput) try(now time.Time) {
	g.least.note(now, &g.base)
	s, waiting := &g.steady, g.base.waiting(&g.least)
	s.since++
	up := s.up.left == 0 && g.now < g.most && waiting < mostWaiting
	down := s.down.left == 0 && (waiting >= noWaiting || s.since >= mostDownPause)
	down = (down || waiting >= mostWaiting) && g.now > 1
	g.back = g.now
	switch {
	case down && (s.downwards || !up || waiting >= someWaiting):
		s.since = 0
		g.move(now, g.fewer(waiting), StepDown, g.base.call())
	case up:
		s.downwards = false
		g.move(now, g.more(waiting), StepUp, g.base.call())
	default:
		g.window.reset(now, now)
	}
}

// fewer is the limit of a try down. After one that failed it goes one step only.
func (g *goodput) fewer(waiting float64) int {
	step := downStep
	if g.steady.down.pause == 0 {
		step = max(step, waiting-someWaiting)
	}
	return min(int((1-step)*float64(g.now)), g.now-1)
}

// more is the limit of a try up.
func (g *goodput) more(waiting float64) int {
	step := upStep
	if waiting < hardlyWaiting {
		step = upFar
	}
	return max(int((1+step)*float64(g.now)), g.now+1)
}
