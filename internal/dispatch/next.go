package dispatch

import (
	"slices"
	"time"

	"batchd/internal/limit"
)

// assignment is a line with the permit of the gate that it goes through.
type assignment struct {
	*task
	gate   *gate
	permit limit.Permit
	// sent is set once its call was made.
	sent bool
}

// charge is what the call is charged of the memory for calls in flight.
func (a *assignment) charge() int64 { return int64(a.line.Length) + lineCharge }

// next takes the next line that t may send now, and starts its permit; nil if there is none.
func (s *schedule) next(t *target, now time.Time) *assignment {
	s.scan++
	for i := range s.lanes {
		l := s.lanes[(s.turn+i)%len(s.lanes)]
		g := l.queue.at(t)
		if g == nil || g.refused == s.scan || !l.has(now) {
			continue
		}
		if a := s.through(g, l, now); a != nil {
			s.turn = (s.turn + i + 1) % len(s.lanes)
			return a
		}
	}
	return nil
}

// through takes a line of a lane for a gate.
func (s *schedule) through(g *gate, l *lane, now time.Time) *assignment {
	permit, _, ok := g.Take(now)
	if !ok {
		if a := s.proven(g, l, now); a != nil {
			return a
		}
		if g.Closed() {
			return nil // another lane may have a line that is known to be at fault itself
		}
		g.refused = s.scan
		return nil
	}
	switch permit.Turn() {
	case limit.TurnAny:
		if t := l.next(g); t != nil {
			return start(t, g, permit, now)
		}
	case limit.TurnLull:
		if t := l.retries.takeLull(); t != nil {
			return start(t, g, permit, now)
		}
		if !slices.ContainsFunc(g.queue.lanes, func(l *lane) bool { return len(l.retries.lulls) > 0 }) {
			g.Unhold(now)
		}
	default:
		g.refused = s.scan // a probe is looked for in all lanes at once
		return s.probe(g, permit, now)
	}
	return nil
}

// start sends a line on its way.
func start(t *task, g *gate, permit limit.Permit, now time.Time) *assignment {
	a := &assignment{task: t, gate: g, permit: permit}
	a.permit.Start(now, &t.history)
	t.unit.inFlight++
	t.unit.lane.inFlight++
	return a
}

// proven takes a line whose failures are known to be its own for a gate that is closed, once no line is left there that
// was never tried.
func (s *schedule) proven(g *gate, l *lane, now time.Time) *assignment {
	if !g.Closed() || l.retries.count == l.retries.unproven || g.queue.waiting().Fresh {
		return nil
	}
	permit, ok := g.TakeProven(now)
	if !ok {
		return nil
	}
	t := l.retries.take(g, now, func(b *bucket) bool { return b.proven })
	if t == nil {
		t = l.retries.takeLull() // a closed gate is as quiet as can be
	}
	if t == nil {
		return nil
	}
	return start(t, g, permit, now)
}

// probe finds the line for a probe: of the kind whose turn it is if there is one, from the lanes in turn.
func (s *schedule) probe(g *gate, permit limit.Permit, now time.Time) *assignment {
	kinds := []limit.Turn{limit.TurnFresh, limit.TurnPutOff, limit.TurnControl}
	first := slices.Index(kinds, permit.Turn())
	q := g.queue
	for k := range kinds {
		kind := kinds[(first+k)%len(kinds)]
		for i := range q.lanes {
			l := q.lanes[(q.turn+i)%len(q.lanes)]
			if !l.has(now) {
				continue
			}
			if t := l.probe(g, kind); t != nil {
				q.turn = (q.turn + i + 1) % len(q.lanes)
				return start(t, g, permit, now)
			}
		}
	}
	return nil
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

// putOff queues the line for another try.
func (s *schedule) putOff(a *assignment, v limit.Verdict, now time.Time) {
	a.due, a.lull, a.failedAt, a.back = now.Add(v.Pause), v.Lull, a.gate, time.Time{}
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

// nextTime returns the earliest time after now at which a line falls due or a gate is to be asked again; zero for
// never.
func (s *schedule) nextTime(now time.Time) time.Time {
	var next time.Time
	earlier := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, q := range s.queues {
		for _, g := range q.gates {
			if len(q.lanes) == 0 || !g.serves {
				continue
			}
			if _, wait, ok := g.Take(now); !ok {
				earlier(wait.Next)
			}
		}
	}
	for _, l := range s.lanes {
		l.retries.advance(now) // what is due by now may still have to wait before it goes back to where it failed
		if len(l.retries.waiting) > 0 {
			earlier(l.retries.waiting[0].due)
		}
		for _, b := range l.retries.ready {
			for _, t := range b.tasks[:min(len(b.tasks), backLook)] {
				earlier(t.back)
			}
		}
		if len(l.retries.lulls) > 0 {
			for _, g := range l.queue.gates {
				found, asked := g.LullAt(l.retries.lulls[0].lull)
				earlier(found)
				earlier(asked)
			}
		}
	}
	return next
}
