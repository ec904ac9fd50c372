package dispatch

import (
	"cmp"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"
)

// Waiting is why some lines of a batch are not in flight.
type Waiting struct {
	limit.Condition
	// Upstream and Model say where; both are empty for what is no upstream's matter. Target is the upstream's place among
	// the targets, counted from 1; 0 for none.
	Upstream, Model string
	Target          int
	// Lines is how many lines wait for it. Those of units that are not open are counted by the units' mean.
	Lines int
	// Own is set if Status, Code and Message are an answer to a line of the same batch.
	Own bool
}

// GateState is how one model stands at one upstream. Its condition is there for what few lines wait for, too.
type GateState struct {
	Model string
	limit.State
	// Waiting is how many lines are not in flight, WaitingOf how many of each tenant that has open units. A line that several upstreams may
	// take waits at each of them.
	Waiting   int
	WaitingOf map[string]int
}

// UpstreamState is how an upstream stands.
type UpstreamState struct {
	Name string
	// InFlight of at most Cap calls are under way.
	InFlight, Cap int
	Gates         []GateState
	// Condition is what keeps it from being reached; its reason is empty if it can be.
	Condition limit.Condition
	// Called is set once a call to it has ended.
	Called bool
	// Refused is what its calls have been told if every one of them was denied or found it unreachable, since the first;
	// its reason is empty else.
	Refused limit.Condition
}

// Upstreams returns how each upstream stands now, its gates by model.
func (d *Dispatcher) Upstreams() []UpstreamState {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.o.Now()
	states := make([]UpstreamState, 0, len(d.schedule.targets))
	for _, t := range d.schedule.targets {
		state := UpstreamState{Name: t.upstream.Name(), InFlight: t.address.InFlight(), Cap: t.address.Cap(), Refused: t.refused, Called: t.worked || t.refused.Reason != ""}
		state.Condition = t.condition(d.schedule.queues, now)
		for _, q := range d.schedule.queues {
			for _, g := range q.gates {
				if g.target == t {
					state.Gates = append(state.Gates, g.state(now))
				}
			}
		}
		slices.SortFunc(state.Gates, func(a, b GateState) int { return cmp.Compare(a.Model, b.Model) })
		states = append(states, state)
	}
	return states
}

func (g *gate) state(now time.Time) GateState {
	s := GateState{Model: g.queue.model, State: g.State()}
	s.Condition = g.condition(now)
	for _, l := range g.queue.lanes {
		n := l.waiting() + l.behind()
		if s.WaitingOf == nil {
			s.WaitingOf = make(map[string]int)
		}
		s.Waiting += n
		s.WaitingOf[l.job.batch.Tenant] += n
	}
	return s
}

// behind is about how many lines stand behind the lane's open units, in units that are not open; of a batch of several
// models nobody knows whose these are.
func (l *lane) behind() int {
	if len(l.job.batch.Models) != 1 || l.job.stop != batch.StopNone {
		return 0
	}
	return l.job.share(l.job.unleased + l.job.opening)
}

// share is about how many lines so many of the job's units have.
func (j *job) share(units int) int {
	if units == 0 || j.batch.Units == 0 {
		return 0
	}
	return int(j.batch.Counts.Total * int64(units) / int64(j.batch.Units))
}

// waiting is how many lines of the lane's open units are not in flight.
func (l *lane) waiting() int { return max(0, l.left-l.inFlight) }

// WaitingFor returns why lines of a running batch wait, what concerns most lines first; nil for a batch that is not
// running here, or that waits for nothing.
func (d *Dispatcher) WaitingFor(batchID string) []Waiting {
	d.mu.Lock()
	defer d.mu.Unlock()
	j := d.schedule.jobs[batchID]
	if j == nil || j.stop != batch.StopNone {
		return nil
	}
	now := d.o.Now()
	var all []Waiting
	stuck := true // whether what is not open waits for something else than the lines that are
	switch {
	case j.unopened > 0:
		all = append(all, Waiting{Condition: d.unreadIn(j), Lines: j.share(j.unleased + j.opening)})
	case !d.full.IsZero() && j.filling == 0 && j.unleased > 0:
		all = append(all, Waiting{Condition: limit.Condition{Reason: limit.ReasonDisk, Since: d.full, Next: now.Add(leaseRetry)}, Lines: j.share(j.unleased)})
	default:
		stuck = false
	}
	if w := j.unwritten; w.results > 0 {
		all = append(all, Waiting{
			Condition: limit.Condition{Reason: limit.ReasonDisk, Detail: limit.DetailUnwritable, Since: w.since, Next: now.Add(writeRetry), Message: w.last.Error()},
			Lines:     w.results,
		})
	}
	for _, l := range j.lanes {
		if l.waiting() == 0 {
			continue
		}
		in := d.waitingIn(l)
		if !stuck && len(in) > 0 {
			in[0].Lines += l.behind()
		}
		all = append(all, in...)
	}
	for i := range all {
		all[i].Condition = upcoming(all[i].Condition, now)
	}
	slices.SortStableFunc(all, func(a, b Waiting) int { return cmp.Or(cmp.Compare(b.Lines, a.Lines), cmp.Compare(a.Model, b.Model)) })
	return all
}

// unreadIn is why the job waits for what is stored.
func (d *Dispatcher) unreadIn(j *job) limit.Condition {
	c := limit.Condition{Reason: limit.ReasonBlobUnreadable}
	if w, ok := d.o.Unread.Of(j.batch.ID); ok {
		c.Since, c.Next, c.Message = w.Since, w.Next, w.Err.Error()
	}
	return c
}

// placeOf is a gate's upstream among the targets, counted from 1.
func (d *Dispatcher) placeOf(g *gate) int { return slices.Index(d.schedule.targets, g.target) + 1 }

// waitingIn returns why the lines of a lane wait, what concerns most of them first.
func (d *Dispatcher) waitingIn(l *lane) []Waiting {
	var open, shut []*gate // those that take calls, and those that do not
	for _, g := range l.queue.gates {
		switch {
		case !g.serves:
		case g.Closed():
			shut = append(shut, g)
		default:
			open = append(open, g)
		}
	}
	if len(open) == 0 {
		if len(shut) == 0 {
			return []Waiting{{Condition: limit.Condition{Reason: limit.ReasonMisconfigured, Detail: "no upstream lists the model"}, Model: l.queue.model, Lines: l.waiting()}}
		}
		slices.SortFunc(shut, func(a, b *gate) int { return soonest(a).Compare(soonest(b)) })
		c, _ := shut[0].Condition()
		w := Waiting{
			Condition: c, Upstream: shut[0].target.upstream.Name(), Model: l.queue.model, Target: d.placeOf(shut[0]), Lines: l.waiting(),
		}
		l.own(&w)
		return []Waiting{w}
	}
	all := d.putOffs(l)
	if rest := l.waiting() - l.retries.count; rest > 0 {
		w := Waiting{Model: l.queue.model, Lines: rest, Upstream: open[0].target.upstream.Name(), Target: d.placeOf(open[0])}
		w.Reason = d.idleReason(l, open)
		switch w.Reason {
		case limit.ReasonMemory:
			w.Since, w.Upstream, w.Target = d.memoryBlocked, "", 0
		case limit.ReasonBlobUnreadable:
			w.Condition, w.Upstream, w.Target = d.unreadIn(l.job), "", 0
		}
		all = append(all, w)
	}
	slices.SortStableFunc(all, func(a, b Waiting) int { return cmp.Compare(b.Lines, a.Lines) })
	return all
}

// own puts an answer to a line of the lane's own batch in place of one to another batch's that says the same.
func (l *lane) own(w *Waiting) {
	if w.Own = w.Batch == l.job.batch.ID; w.Own {
		return
	}
	looked := 0
	l.retries.each(func(t *task) bool {
		if last, ok := t.history.Last(); ok && last.Reason == w.Reason && last.Detail == w.Detail {
			w.Status, w.Code, w.Message, w.Batch, w.Own = last.Status, last.Code, last.Message, l.job.batch.ID, true
		}
		looked++
		return !w.Own && looked < lookAt
	})
}

// soonest is when a closed gate is asked again; one whose probe is under way comes first.
func soonest(g *gate) time.Time {
	c, _ := g.Condition()
	return c.Next
}

// idleReason is why lines that could go now do not.
func (d *Dispatcher) idleReason(l *lane, open []*gate) limit.Reason {
	switch {
	case l.job.unreadable():
		return limit.ReasonBlobUnreadable
	case !d.memoryBlocked.IsZero():
		return limit.ReasonMemory
	case slices.ContainsFunc(open, func(g *gate) bool { return g.Holding() }):
		return limit.ReasonNoRoom
	case len(d.schedule.lanes) > 1 && l.left == l.waiting():
		return limit.ReasonWaitingTurn
	default:
		return limit.ReasonConcurrency
	}
}

// lookAt bounds how many lines are looked at to tell why they wait, as no call starts or ends meanwhile.
const lookAt = 10_000

// putOffs tells the lines that were put off, together where they were answered alike.
func (d *Dispatcher) putOffs(l *lane) []Waiting {
	type kind struct {
		reason limit.Reason
		status int
		at     *gate
	}
	found := make(map[kind]*Waiting)
	looked := 0
	l.retries.each(func(t *task) bool {
		last, ok := t.history.Last()
		if ok = ok && t.unread == 0; !ok {
			last = limit.Signal{Reason: limit.ReasonBlobUnreadable}
		}
		k := kind{last.Reason, last.Status, t.failedAt}
		w := found[k]
		if w == nil {
			w = &Waiting{Model: l.queue.model, Own: ok}
			if ok {
				w.Upstream, w.Target = t.failedAt.target.upstream.Name(), d.placeOf(t.failedAt)
			}
			w.Condition = limit.Condition{Reason: last.Reason, Detail: last.Detail, Status: last.Status, Code: last.Code, Message: last.Message, Batch: l.job.batch.ID, Since: t.since, Next: t.due}
			found[k] = w
		}
		w.Lines++
		if t.since.Before(w.Since) {
			w.Since = t.since
		}
		if t.due.Before(w.Next) {
			w.Next = t.due
		}
		looked++
		return looked < lookAt
	})
	all := make([]Waiting, 0, len(found))
	for _, w := range found {
		all = append(all, *w)
	}
	return all
}
