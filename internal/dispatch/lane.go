package dispatch

import (
	"time"

	"batchd/internal/limit"
)

const (
	// controlClear is how far off the next try of a line must be for controls to go before it; controlLook bounds how many
	// lines are looked at for that, as everybody waits for the mutex meanwhile.
	controlClear = 10 * time.Second
	controlLook  = 64
	// fewFaults failed tries of lines that are at fault themselves make a lane's last control wait for what is in flight
	// there: some of that may fail too, and then nobody else is left to be served.
	fewFaults = 3
)

// lane is what one batch has open for one model.
type lane struct {
	job   *job
	model int
	queue *queue
	// filling are the units with lines that were never tried, oldest first; open counts all that are not sealed.
	filling []*unit
	open    int
	// controls are the lines that were kept back.
	controls []*task
	retries  retries
	// left is how many lines of open units have no outcome, inFlight how many of them are in flight.
	left, inFlight int
	// retried is set when the last line taken was a retry; faults counts failed tries of lines that are at fault themselves.
	retried bool
	faults  int
	// now is the time of the decision under way.
	now time.Time
}

// mayHaveFresh reports whether lines that were never tried are there, or may come; controls do not count.
func (l *lane) mayHaveFresh() bool { return len(l.filling) > 0 || l.job.mayLease(l.model) }

// has reports whether there may be something to take.
func (l *lane) has(now time.Time) bool {
	l.now = now
	l.retries.advance(now)
	return len(l.filling) > 0 && !l.job.unreadable() || len(l.controls) > 0 || l.retries.due()
}

// next takes a line for an open gate: retries that are due, but fresh lines at least every second time; then
// controls.
func (l *lane) next(g *gate) *task {
	if len(l.retries.lulls) > 0 {
		// At an idle gate a line that needs a lull may be served although that was short; it is not given up then if it is not.
		if g.InFlight() == 0 {
			return l.retries.takeLull()
		}
		g.Hold(l.now, l.retries.lulls[0].lull)
	}
	if !l.retried || len(l.filling) == 0 {
		if t := l.retries.take(g, l.now, anyBucket); t != nil {
			l.retried = true
			return t
		}
	}
	l.retried = false
	if t := l.fresh(g); t != nil {
		return t
	}
	return l.control(g)
}

func anyBucket(*bucket) bool { return true }

// fresh takes the next line that was never tried, in plan order but for a while after the gate has opened.
func (l *lane) fresh(g *gate) *task {
	if l.job.unreadable() {
		return nil
	}
	at := 0
	if g.scatter > 0 && len(l.filling) > 1 {
		g.scatter--
		at = l.job.schedule.rand.IntN(len(l.filling))
	}
	for len(l.filling) > 0 {
		at = min(at, len(l.filling)-1)
		if t := l.from(at, Unit.Take); t != nil {
			return t
		}
	}
	return nil
}

// control takes a line that was kept back, if it is time: when no other is left to be tried first, all of them if no
// line is put off that they could be evidence for; else one at a time with nothing else in flight, while a line that is
// put off has seen no other served since it failed.
func (l *lane) control(g *gate) *task {
	if len(l.controls) == 0 || l.mayHaveFresh() {
		return nil
	}
	free, wanted := l.controlsWanted(g)
	if free = free && (len(l.controls) > 1 || l.inFlight == 0 || l.faults < fewFaults); free || wanted && g.InFlight() == 0 {
		return l.popControl()
	}
	return nil
}

// controlsWanted reports whether the controls may all go: every line that is put off is proven to be at fault itself, or
// has seen another served since it failed and is not due soon; and whether one of those lines has seen none, so that a
// control could be evidence. One line alone that has seen another served needs no more evidence, whenever it is due: its
// next failure proves it.
func (l *lane) controlsWanted(g *gate) (free, wanted bool) {
	r := &l.retries
	free = true
	if r.unproven == 0 {
		return free, false
	}
	looked := 0
	r.each(func(t *task) bool {
		if t.unproven {
			followed := g.Followed(&t.history)
			wanted = wanted || !followed
			free = free && followed && (r.unproven == 1 || t.due.Sub(l.now) > controlClear)
		}
		looked++
		return looked < controlLook && !wanted
	})
	return free && r.count <= controlLook, wanted
}

func (l *lane) popControl() *task {
	if len(l.controls) == 0 {
		return nil
	}
	t := l.controls[0]
	l.controls[0] = nil
	l.controls = l.controls[1:]
	return t
}

// from takes a line of the unit at a place in filling, and the unit off it if it was the last.
func (l *lane) from(at int, take func(Unit) (Line, bool)) *task {
	u := l.filling[at]
	line, ok := take(u.Unit)
	if !u.Untaken() {
		l.filling = append(l.filling[:at], l.filling[at+1:]...)
		l.job.filling--
	}
	if !ok {
		return nil
	}
	return l.task(u, line)
}

func (l *lane) task(u *unit, line Line) *task {
	b := &l.job.batch
	return &task{unit: u, line: line, history: limit.History{Batch: b.ID, Line: line.Number, Small: b.Counts.Total < smallBatch}}
}

// smallBatch is how many lines make a batch that is given up sooner when nobody is served beside it.
const smallBatch = 20

// probe takes a line of one kind for a probe of a closed gate.
func (l *lane) probe(g *gate, turn limit.Turn) *task {
	switch turn {
	case limit.TurnFresh:
		// The farthest line, the last one that is open, and one unit more, so that a block of bad lines longer than what is
		// open is got over.
		for len(l.filling) > 0 && !l.job.unreadable() {
			if t := l.from(len(l.filling)-1, Unit.TakeLast); t != nil {
				l.job.extra++
				return t
			}
		}
		return nil
	case limit.TurnPutOff:
		if g.queue.openElsewhere(g) {
			return nil
		}
		if t := l.retries.take(g, l.now, func(b *bucket) bool { return !b.proven }); t != nil {
			return t
		}
		if t := l.retries.take(g, l.now, anyBucket); t != nil {
			return t
		}
		return l.retries.takeLull()
	case limit.TurnControl:
		return l.popControl()
	default:
		return nil
	}
}
