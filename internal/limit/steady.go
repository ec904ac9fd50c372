package limit

import "time"

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
	return y.sure(&g.base, g.bar())
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
