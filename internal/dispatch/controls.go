package dispatch

import (
	"time"
)

const (
	// mostControls lines of a batch, but a quarter of it at most, are kept back for its end.
	mostControls = 16
	controlShare = 4
	// controlClear is how far off the next try of a line must be for controls to go before it; controlLook bounds how many
	// lines are looked at for that.
	controlClear = 10 * time.Second
	controlLook  = 64
)

// KeptBack reports whether the line at a position in the plan of a batch of total lines is a control: one of a few,
// spread evenly, that go last. At the end of a batch, when only failing lines are left, they are what can still show
// whether the upstream works.
func KeptBack(position, total int64) bool {
	n := min(mostControls, total/controlShare)
	if n == 0 {
		return false
	}
	// Control i stands in the middle of the i-th of n equal parts.
	i := position * n / total
	return position == (2*i+1)*total/(2*n)
}

// control takes a line that was kept back, if it is time: when no other is left to be tried first, all of them if no
// line is put off that they could be evidence for, else one at a time with nothing else in flight.
func (l *lane) control(g *gate) *task {
	if len(l.controls) == 0 || l.mayHaveFresh() {
		return nil
	}
	if g.InFlight() > 0 && !l.controlsFree(g) {
		return nil
	}
	return l.popControl()
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

// controlsFree reports whether every line that is put off is proven to be at fault itself, or has seen another served
// since it failed and is not due soon. One line alone that has seen another served needs no more evidence, whenever it
// is due: its next failure proves it.
func (l *lane) controlsFree(g *gate) bool {
	r := &l.retries
	if r.unproven == 0 {
		return true
	}
	if r.count > controlLook {
		return false
	}
	free := true
	r.each(func(t *task) bool {
		free = !t.unproven || g.Followed(&t.history) && (r.unproven == 1 || t.due.Sub(l.now) > controlClear)
		return free
	})
	return free
}
