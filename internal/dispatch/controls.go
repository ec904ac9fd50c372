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
	// fewFaults failed tries of lines that are at fault themselves make a lane's last control wait for what is in flight
	// there: some of that may fail too, and then nobody else is left to be served.
	fewFaults = 3
)

// KeptBack reports whether the line at a position in the plan of a batch of total lines is a control: one of a few,
// spread over it, that go last. At the end of a batch, when only failing lines are left, they are what can still show
// whether the upstream works. There is one in each of as many equal parts, at an irregular place: faults are often
// regular.
func KeptBack(position, total int64) bool {
	n := min(mostControls, total/controlShare)
	if n == 0 {
		return false
	}
	part := position * n / total
	first := (part*total + n - 1) / n
	length := ((part+1)*total+n-1)/n - first
	return position == first+int64(scatter(uint64(total)<<8|uint64(part))%uint64(length))
}

// scatter mixes the bits of a number (the finalizer of SplitMix64).
func scatter(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
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

func (l *lane) popControl() *task {
	if len(l.controls) == 0 {
		return nil
	}
	t := l.controls[0]
	l.controls[0] = nil
	l.controls = l.controls[1:]
	return t
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
