package dispatch

import (
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"
)

// simulation drives a Dispatcher's decisions through virtual time: no goroutine, no clock, no I/O. What the dispatcher
// does at its edges is done here by events: a call ends at a time that the simulated upstream says, units are leased and
// opened at once when the dispatcher asks for them, and a unit is sealed at once when it is done. So a day of a
// thousand refusals takes milliseconds, and the same seed gives the same day.
type simulation struct {
	d         *Dispatcher
	rand      *rand.Rand
	start     time.Time
	now       time.Time
	skew      time.Duration // what the dispatcher's clock shows beside the true time
	events    events
	order     uint64
	batches   []*simBatch
	byID      map[string]*simBatch
	upstreams []*simUpstream
	// open is how many batches have not ended; settledLines and begunCalls are what has happened so far.
	open, settledLines, begunCalls int

	// failed counts calls without a result, refused those refused for want of room, served good answers.
	failed, refused, served int
	// In each second, if kept: lines that were served, calls that began, calls that were refused.
	servedIn, begunIn, refusedIn []int32
	keepSeconds                  bool
	// watch is called after each event, if set.
	watch func()
}

// event is something that happens at a time: a call that ends, or whatever do does.
type event struct {
	at    time.Time
	order uint64
	call  *simCall
	do    func()
}

// simulate sets a world up; every random choice comes from the seed.
func simulate(w *world, seed uint64) *simulation {
	s := &simulation{
		rand: rand.New(rand.NewPCG(seed, 0x5eed)), start: time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC),
		byID: make(map[string]*simBatch), keepSeconds: w.keepSeconds,
	}
	s.now = s.start
	var targets []Target
	for _, u := range w.upstreams {
		sim := newSimUpstream(s, u)
		s.upstreams = append(s.upstreams, sim)
		targets = append(targets, Target{Upstream: sim, Concurrency: u.concurrency})
	}
	o := Options{Now: s.clock, Rand: rand.New(rand.NewPCG(seed, 0xba7c4)), Logger: slog.New(slog.DiscardHandler), MaxFilling: 64, MaxOpen: 2000, MaxBytes: 1 << 50}
	s.d = &Dispatcher{
		o: o, schedule: newSchedule(targets, o.Rand), ctx: context.Background(),
		pumpWakeUp: make(chan struct{}, 1), leaseWakeUp: make(chan struct{}, 1),
	}
	s.open = len(w.batches)
	for i := range w.batches {
		b := newSimBatch(&w.batches[i], i)
		s.batches = append(s.batches, b)
		s.byID[b.id] = b
		if b.spec.at > 0 {
			s.after(b.spec.at, func() { s.arrive(b) })
		} else {
			s.arrive(b) // all that are there at the start are there together
		}
		s.after(b.spec.at+b.window(), func() { s.stop(b, batch.StopExpire) })
	}
	return s
}

// clock is the time as the dispatcher sees it.
func (s *simulation) clock() time.Time { return s.now.Add(s.skew) }

// since is the time since the start.
func (s *simulation) since() time.Duration { return s.now.Sub(s.start) }

func (s *simulation) after(d time.Duration, do func()) { s.push(event{at: s.now.Add(d), do: do}) }

func (s *simulation) push(e event) {
	s.order++
	e.order = s.order
	heap.Push(&s.events, e)
}

// run lets the world go on until every batch has ended, or until nothing will ever happen again.
func (s *simulation) run() *simulation {
	s.settle()
	for s.open > 0 && s.step() {
	}
	return s
}

// step goes on to what happens next: an event or the time at which the pump looks again. False means that there is
// neither.
func (s *simulation) step() bool {
	alarm := s.d.alarm
	if !alarm.IsZero() {
		alarm = alarm.Add(-s.skew)
	}
	switch {
	case len(s.events) > 0 && (alarm.IsZero() || !alarm.Before(s.events[0].at)):
		e := heap.Pop(&s.events).(event) //nolint:errcheck // the heap holds events alone //nolint:errcheck // the heap holds events alone
		s.now = e.at
		if e.call != nil {
			s.land(e.call)
		} else {
			e.do()
		}
	case !alarm.IsZero():
		if alarm.After(s.now) {
			s.now = alarm
		}
		wake(s.d.pumpWakeUp)
	default:
		return false
	}
	s.settle()
	if s.watch != nil {
		s.watch()
	}
	return true
}

// settle does what the pump and the leasing loop do when they are woken, until both sleep.
func (s *simulation) settle() {
	for {
		select {
		case <-s.d.leaseWakeUp:
			s.lease()
		case <-s.d.pumpWakeUp:
			s.d.fillWith(s.clock(), s.send)
		default:
			return
		}
	}
}

// lease does what leaseLoop does, with a store and a disk that take no time.
func (s *simulation) lease() {
	for j, n := s.d.schedule.needs(s.d.o.MaxFilling, s.d.o.MaxOpen); j != nil; j, n = s.d.schedule.needs(s.d.o.MaxFilling, s.d.o.MaxOpen) {
		models := j.wantModels
		j.wantModels = nil
		units := s.byID[j.batch.ID].leaseUnits(models, n)
		j.leasing = false
		j.unleased -= len(units)
		j.opening += len(units)
		if len(units) == 0 {
			j.noneLeft(models)
			wake(s.d.pumpWakeUp)
		}
		for _, u := range units {
			s.d.enter(j, u)
		}
	}
}

// arrive adds a batch.
func (s *simulation) arrive(b *simBatch) {
	if b.over {
		return
	}
	b.job = &job{
		batch: batch.Batch{ID: b.id, Models: b.models, Counts: batch.Counts{Total: int64(len(b.lines))}, ExpiresAt: s.now.Add(b.window())},
		stop:  batch.StopNone, unleased: len(b.units), cancel: func(error) {},
	}
	s.d.schedule.add(b.job)
	s.d.wakeAll()
}

// stop does what Dispatcher.Stop does; calls in flight have all the grace they want.
func (s *simulation) stop(b *simBatch, stop batch.Stop) {
	if b.over || b.job == nil || b.job.stop != batch.StopNone {
		return
	}
	b.job.stop, b.job.unleased, b.next = stop, 0, len(b.units)
	b.end(s)
	b.stopped = true
	for _, u := range b.job.open {
		s.d.drop(u)
		if u.inFlight == 0 {
			s.sealed(u)
		}
	}
	if len(b.job.open) == 0 {
		s.d.remove(b.job)
	}
	wake(s.d.pumpWakeUp)
}

// send starts a call.
func (s *simulation) send(a *assignment) {
	s.begunCalls++
	s.count(&s.begunIn)
	c := &simCall{assignment: a, batch: s.byID[a.unit.job.batch.ID], began: s.since()}
	a.gate.target.upstream.(*simUpstream).take(s, c) //nolint:errcheck // there are no others here //nolint:errcheck // a simulation has no others
}

// ends lets a call end after a time.
func (s *simulation) ends(c *simCall, after time.Duration) {
	s.push(event{at: s.now.Add(after), call: c})
}

// land ends a call: what Dispatcher.send does once the answer is there.
func (s *simulation) land(c *simCall) {
	c.upstream.leave(s, c)
	unit := c.unit.Unit.(*simUnit) //nolint:errcheck // there are no others here //nolint:errcheck // a simulation has no others
	final := c.answer.signal.Kind == limit.Served || c.answer.signal.Kind == limit.Answered
	if final {
		unit.left--
		c.batch.settle(s, c)
	} else {
		s.failed++
		c.batch.failed++
		if c.answer.signal.Kind == limit.NoRoom {
			s.refused++
			s.count(&s.refusedIn)
		}
	}
	v, next, seal := s.d.landLocked(c.assignment, &c.answer.signal, s.clock())
	if next != nil {
		s.send(next)
	} else {
		wake(s.d.pumpWakeUp)
	}
	if v.Final && !final {
		unit.left--
		c.batch.settle(s, c)
		c.unit.inFlight--
		seal = s.d.sealable(c.unit)
	}
	if seal {
		s.sealed(c.unit)
	}
}

// sealed does what follows from the seal of a unit, which takes no time.
func (s *simulation) sealed(u *unit) {
	j := u.job
	s.d.schedule.leave(u, s.clock())
	if len(j.open) == 0 && j.unleased == 0 && j.opening == 0 && !j.leasing {
		s.d.remove(j)
	}
	wake(s.d.leaseWakeUp)
}

// count adds one to the second that it is now, if seconds are kept.
func (s *simulation) count(seconds *[]int32) {
	if !s.keepSeconds {
		return
	}
	at := int(s.since() / time.Second)
	for len(*seconds) <= at {
		*seconds = append(*seconds, 0)
	}
	(*seconds)[at]++
}

// events is a heap of events by time, then by the order in which they were made.
type events []event

func (h events) Len() int { return len(h) }
func (h events) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].order < h[j].order
	}
	return h[i].at.Before(h[j].at)
}
func (h events) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push appends x, an event.
func (h *events) Push(x any) {
	*h = append(*h, x.(event)) //nolint:errcheck // heap.Push passes on what it is given, always an event
}

// Pop removes the last event.
func (h *events) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return last
}
