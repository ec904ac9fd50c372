package dispatch

import (
	"cmp"
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

// fill starts as many calls as permits and lines allow, upstreams with the most free permits first, and returns when
// to look again even if nothing happens; zero for never. Looking and asking when to look again go by one and the same
// time: what fell due between two would be found by neither.
func (d *Dispatcher) fill() time.Time {
	d.mu.Lock()
	defer d.unlock()
	d.fillWith(d.o.Now(), func(a *assignment) { d.work.Go(func() { d.send(a) }) })
	return d.alarm
}

// fillWith hands each call that may start to send. The mutex is held.
func (d *Dispatcher) fillWith(now time.Time, send func(*assignment)) {
	order := slices.Clone(d.schedule.targets)
	for more := true; more; {
		more = false
		slices.SortStableFunc(order, func(a, b *target) int { return cmp.Compare(b.free(), a.free()) })
		for _, t := range order {
			if a := d.takeLocked(t, now); a != nil {
				send(a)
				more = true
			}
		}
	}
	if d.schedule.noteWantedModels() {
		wake(d.leaseWakeUp)
	}
	d.alarm = d.schedule.nextTime(now)
}

// takeLocked takes a line for t, with its permit and its share of memory; nil if there is none. The mutex is held. No line
// is so long that it could not go: the bound holds back what comes after it.
func (d *Dispatcher) takeLocked(t *target, now time.Time) *assignment {
	if d.stopped || d.ctx == nil || d.ctx.Err() != nil {
		return nil
	}
	if d.bytes >= d.o.MaxBytes {
		if d.memoryBlocked.IsZero() {
			d.memoryBlocked = now
		}
		return nil
	}
	a := d.schedule.next(t, now)
	if a == nil {
		return nil
	}
	d.inFlight++
	d.bytes += a.charge()
	if a.unit.job.wantsUnits() {
		wake(d.leaseWakeUp)
	}
	return a
}

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

// noteWantedModels notes which models an upstream with permits to spare could take lines of, had units of them been leased,
// and reports whether a job wants units. The plan is sorted by model, so without this an upstream would wait until all
// units of the models before its own are done.
func (s *schedule) noteWantedModels() (any bool) {
	for _, t := range s.targets {
		if t.free() <= 0 {
			continue
		}
		for _, j := range s.ring {
			if len(j.batch.Models) > 1 && j.canLease() {
				j.wantModels = j.wantModels[:0]
				for i, model := range j.batch.Models {
					l := j.lanes[i]
					if !j.exhaustedModels[i] && (l == nil || len(l.filling) == 0) && t.upstream.Serves(model) {
						j.wantModels = append(j.wantModels, i)
					}
				}
			}
			any = any || j.wantsUnits()
		}
	}
	return any
}
