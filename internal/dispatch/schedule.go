package dispatch

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"
)

// schedule knows the running batches, what is open of them, and which line goes next through which gate. It is pure: it
// holds no lock, starts no goroutine and reads no clock, so that tables of given times can test it. The dispatcher's mutex
// guards all of it.
//
// Batches take turns: the lanes stand in a ring, and each line that is taken moves the turn on. A retry is kept in its
// lane, in a list for the gates that may take it, so that none hides another.
type schedule struct {
	targets []*target
	jobs    map[string]*job
	// ring is the jobs in the order in which they lease; leaseTurn is whose turn that is.
	ring      []*job
	leaseTurn int
	// lanes is the ring of what can be sent; turn is whose turn it is.
	lanes []*lane
	turn  int
	// queues are the models that there is, or was lately, work for.
	queues map[string]*queue
	// scan numbers the looks around the ring.
	scan uint64
	rand *rand.Rand
	// changed is told when a gate finds another number of calls worth having in flight.
	changed func(*gate, limit.Change)
}

const (
	// queueTTL is how long a model without work keeps what its gates have learned; queuesKept how many such models do.
	queueTTL   = time.Hour
	queuesKept = 1000
)

func newSchedule(targets []Target, rng *rand.Rand) *schedule {
	s := &schedule{
		jobs: make(map[string]*job), queues: make(map[string]*queue), rand: rng, changed: func(*gate, limit.Change) {},
	}
	for _, t := range targets {
		most := t.Concurrency
		if most == 0 {
			most = limit.AutoMost
		}
		s.targets = append(s.targets, &target{
			upstream: t.Upstream, concurrency: t.Concurrency, shared: t.Shared, load: t.Load, address: limit.NewAddress(most, rng.Float64),
		})
	}
	return s
}

// add enters a job; it has nothing open yet.
func (s *schedule) add(j *job) {
	j.schedule, j.lanes, j.open = s, make(map[int]*lane), make(map[batch.UnitID]*unit)
	s.jobs[j.batch.ID] = j
	s.ring = append(s.ring, j)
}

// remove takes a job off.
func (s *schedule) remove(j *job, now time.Time) {
	delete(s.jobs, j.batch.ID)
	s.ring = slices.DeleteFunc(s.ring, func(other *job) bool { return other == j })
	for _, l := range j.lanes {
		s.removeLane(l, now)
	}
}

// enter makes an open unit part of the work.
func (s *schedule) enter(j *job, opened Unit, now time.Time) *unit {
	u := &unit{Unit: opened, job: j}
	u.lane = s.laneOf(j, u.Model(), now)
	j.open[u.ID()] = u
	u.lane.open++
	u.lane.left += u.Left()
	for _, line := range u.Controls() {
		u.lane.controls = append(u.lane.controls, u.lane.task(u, line))
	}
	s.fill(u)
	return u
}

// fill puts a unit with lines to take among those that fresh lines are taken from, in the plan's order.
func (s *schedule) fill(u *unit) {
	if !u.Untaken() {
		return
	}
	l := u.lane
	at, _ := slices.BinarySearchFunc(l.filling, u.ID().Ordinal, func(f *unit, ordinal int) int {
		return cmp.Compare(f.ID().Ordinal, ordinal)
	})
	l.filling = slices.Insert(l.filling, at, u)
	u.job.filling++
}

// laneOf returns the lane of a job's model, making it first if there is none.
func (s *schedule) laneOf(j *job, model string, now time.Time) *lane {
	ordinal := slices.Index(j.batch.Models, model)
	if l := j.lanes[ordinal]; l != nil {
		return l
	}
	q := s.queues[model]
	if q == nil {
		q = &queue{model: model}
		q.ask = q.waiting
		s.queues[model] = q
	}
	q.connect(s.targets, s.rand, s.changed)
	l := &lane{job: j, model: ordinal, queue: q}
	j.lanes[ordinal] = l
	s.lanes = append(s.lanes, l)
	q.lanes = append(q.lanes, l)
	q.turn = len(q.lanes) - 1 // a probe for its sake carries a line of its own
	for _, g := range q.gates {
		g.Arrived(now)
	}
	return l
}

// leave takes a sealed unit off.
func (s *schedule) leave(u *unit, now time.Time) {
	delete(u.job.open, u.ID())
	l := u.lane
	// The lane of a batch of one model stays for its next unit: to come anew would be to arrive.
	if l.open--; l.open == 0 && (len(u.job.batch.Models) > 1 || u.job.unleased == 0) {
		s.removeLane(l, now)
	}
}

// removeLane takes a lane off, and forgets models that no work was there for in a long time, or that are too many.
func (s *schedule) removeLane(l *lane, now time.Time) {
	if l.job.lanes[l.model] != l {
		return
	}
	delete(l.job.lanes, l.model)
	l.job.filling -= len(l.filling)
	isLane := func(other *lane) bool { return other == l }
	s.lanes = slices.DeleteFunc(s.lanes, isLane)
	q := l.queue
	q.lanes = slices.DeleteFunc(q.lanes, isLane)
	for _, g := range q.gates {
		g.Forget(l.job.batch.ID)
	}
	if len(q.lanes) == 0 {
		q.idleSince = now
		for model, q := range s.queues {
			idle := len(q.lanes) == 0 && !slices.ContainsFunc(q.gates, func(g *gate) bool { return g.InFlight() > 0 })
			if idle && (now.Sub(q.idleSince) > queueTTL || len(s.queues) > queuesKept) {
				delete(s.queues, model)
			}
		}
	}
}

// connect brings all gates up to date with what the upstreams serve.
func (s *schedule) connect() {
	for _, q := range s.queues {
		q.connect(s.targets, s.rand, s.changed)
	}
}
