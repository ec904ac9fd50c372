package dispatch

import (
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"
)

// land gives back what the call held, tells the gate what it taught, puts the line off if it is to go again, and
// returns what the gate made of it and what to send next. A line that is given up still counts as in flight at its unit,
// until its outcome is recorded.
func (d *Dispatcher) land(a *assignment, signal *limit.Signal) (limit.Verdict, *assignment) {
	now := d.o.Now()
	d.mu.Lock()
	v, next, seal := d.landLocked(a, signal, now)
	d.unlock()
	if seal {
		d.seal(a.unit)
	}
	return v, next
}

// landLocked is land with the mutex held; seal says that the unit is to be sealed.
func (d *Dispatcher) landLocked(a *assignment, signal *limit.Signal, now time.Time) (v limit.Verdict, next *assignment, seal bool) {
	closed := a.gate.Closed()
	v = d.schedule.done(a, now, signal)
	over := v.Final && signal.Kind != limit.Served && signal.Kind != limit.Answered
	if over {
		a.unit.inFlight++ // until its outcome is recorded
	}
	switch {
	case v.Final:
	case a.unit.job.stop != batch.StopNone:
		a.unit.tell(a.task, a.sent && signal.Kind == limit.Abandoned)
	default:
		d.schedule.putOff(a, v, now)
		if d.earlier(a.due) {
			wake(d.pumpWakeUp)
		}
	}
	d.noteGate(a.gate, now)
	next = d.landed(a, now)
	grows, growing := a.gate.Growing()
	spare := next != nil && a.gate.target.free() > 0 && a.gate.InFlight() < a.gate.Limit()
	// The goroutine goes on with one line only, for its own upstream. What else has changed is the pump's: permits to spare,
	// a gate that opened or closed, and a limit that will have grown before the pump looks again. At the end of a lane other
	// gates may have permits for its controls, which this answer may have set free.
	last := len(a.unit.lane.controls) > 0 && !a.unit.lane.mayHaveFresh()
	if a.gate.Closed() != closed || spare || last || growing && d.earlier(grows) {
		wake(d.pumpWakeUp)
	}
	return v, next, !over && d.sealable(a.unit)
}

// earlier reports whether the pump would look again only after t. The mutex is held.
func (d *Dispatcher) earlier(t time.Time) bool { return d.alarm.IsZero() || t.Before(d.alarm) }

// landed gives back what a call held and takes the next line for its upstream. The mutex is held.
func (d *Dispatcher) landed(a *assignment, now time.Time) *assignment {
	d.inFlight--
	d.bytes -= a.charge()
	if !d.memoryBlocked.IsZero() {
		d.memoryBlocked = time.Time{}
		wake(d.pumpWakeUp)
	}
	return d.takeLocked(a.gate.target, now)
}

// done ends the call of a; it returns what that means for the line, and takes note of a gate that has opened.
func (s *schedule) done(a *assignment, now time.Time, signal *limit.Signal) limit.Verdict {
	closed := a.gate.Closed()
	a.gate.target.learn(a.history.Batch, signal, now)
	v := a.permit.Done(now, &a.history, signal, a.gate.queue.ask)
	a.unit.inFlight--
	a.unit.lane.inFlight--
	if closed && !a.gate.Closed() {
		a.gate.scatter = scatterFor
	}
	if v.Final {
		a.unit.lane.left--
	}
	return v
}

// learn notes what a call was told, for those who ask whether the target has ever worked.
func (t *target) learn(batchID string, s *limit.Signal, now time.Time) {
	switch {
	case t.worked, s.Kind == limit.Abandoned:
	case s.Kind != limit.Denied && s.Kind != limit.Unreachable:
		t.worked, t.refused = true, limit.Condition{}
	default:
		since := t.refused.Since
		if since.IsZero() {
			since = now
		}
		t.refused = limit.Condition{
			Reason: s.Reason, Detail: s.Detail, Since: since, Status: s.Status, Code: s.Code, Message: s.Message, Batch: batchID,
		}
	}
}

// putOff queues the line for another try.
func (s *schedule) putOff(a *assignment, v limit.Verdict, now time.Time) {
	a.due, a.lull, a.failedAt, a.back = now.Add(max(v.Pause, a.unread)), v.Lull, a.gate, time.Time{}
	serving := 0 // while no other upstream serves the model there is no elsewhere
	for _, g := range a.gate.queue.gates {
		if g.serves {
			serving++
		}
	}
	if v.Elsewhere > 0 && v.Elsewhere < v.Pause && serving > 1 {
		a.due, a.back = now.Add(v.Elsewhere), a.due
	}
	if a.since.IsZero() {
		a.since = now
	}
	if a.history.Proven() {
		a.unit.lane.faults++
	}
	a.unit.lane.retries.add(a.task)
}

// settleUnit seals a unit that nothing more comes for.
func (d *Dispatcher) settleUnit(u *unit) {
	d.mu.Lock()
	seal := d.sealable(u)
	d.mu.Unlock()
	if seal {
		d.seal(u)
	}
}

// sealable reports whether nothing more comes for a unit: all its lines have outcomes, or its batch is stopped and
// nothing is in flight. The mutex is held.
func (d *Dispatcher) sealable(u *unit) bool {
	return u.inFlight == 0 && (u.job.stop != batch.StopNone || u.Left() == 0)
}
