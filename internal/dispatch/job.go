package dispatch

import (
	"container/heap"
	"context"
	"time"

	"batchd/internal/batch"
)

// job is a running batch. The dispatcher's mutex guards all of it but batch, job, ctx and cancel.
type job struct {
	batch  batch.Batch
	job    Job
	ctx    context.Context
	cancel context.CancelCauseFunc

	stop batch.Stop
	// filling are the units with lines to take, oldest first.
	filling []*unit
	// open are all units that are leased and not sealed.
	open map[batch.UnitID]*unit
	// unleased is how many units nobody has leased, as far as this node knows.
	unleased int
	leasing  bool
	// hungry are models that an upstream with a free permit serves while no unit in filling names one; barren those
	// of which nothing is left to lease.
	hungry  []int
	barren  map[int]bool
	retries retries
	grace   *time.Timer
}

// unit is an open unit with what the scheduler knows of it.
type unit struct {
	Unit
	job *job
	// flying is how many of its calls are in flight.
	flying int
	// sealing is set while a seal is under way.
	sealing bool
}

// task is one line on its way, with the history of its tries.
type task struct {
	unit *unit
	line Line
	// attempts is how many tries have been used up.
	attempts int
	// lost is how many of them ended with a broken connection: a line with two is suspected of breaking its server.
	lost int
	// waits is how many times the line was put off without fault, for its own backoff.
	waits int
	due   time.Time
}

// suspect reports whether the line is to be sent alone among its like.
func (t *task) suspect() bool { return t.lost >= suspectAfter }

// retries is a heap of tasks by the time they are due.
type retries []*task

// Len, Less, Swap, Push and Pop are for container/heap.
func (r retries) Len() int           { return len(r) }
func (r retries) Less(i, j int) bool { return r[i].due.Before(r[j].due) }
func (r retries) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }

// Push appends x, a *task.
func (r *retries) Push(x any) {
	*r = append(*r, x.(*task)) //nolint:errcheck // heap.Push passes on what it is given, always a *task
}

// Pop removes the last task.
func (r *retries) Pop() any {
	old := *r
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*r = old[:len(old)-1]
	return last
}

// next returns the next task of the job for target t: a due retry first, then the next line in plan order of a unit
// whose model t serves. The dispatcher's mutex is held.
func (j *job) next(t *target, now time.Time) *task {
	if j.stop != batch.StopNone {
		return nil
	}
	if r := j.retry(t, now); r != nil {
		return r
	}
	for _, u := range j.filling {
		if !t.upstream.Serves(u.Model()) {
			continue
		}
		line, ok := u.Take()
		if !u.Untaken() {
			j.drained(u)
		}
		if ok {
			return &task{unit: u, line: line}
		}
		return j.next(t, now)
	}
	return nil
}

// retry returns a due retry that t may take. Only the head of the heap is looked at, and those right behind it that
// are due as well.
func (j *job) retry(t *target, now time.Time) *task {
	for i := 0; i < len(j.retries) && i < retryLookahead; i++ {
		r := j.retries[i]
		if r.due.After(now) || !t.upstream.Serves(r.unit.Model()) || (r.suspect() && t.suspects > 0) {
			continue
		}
		heap.Remove(&j.retries, i)
		return r
	}
	return nil
}

// drained takes a unit with nothing left to take off the filling list.
func (j *job) drained(u *unit) {
	for i, f := range j.filling {
		if f == u {
			j.filling = append(j.filling[:i], j.filling[i+1:]...)
			return
		}
	}
}

// wantsUnits reports whether units should be leased ahead of need.
func (j *job) wantsUnits() bool {
	return j.stop == batch.StopNone && !j.leasing && j.unleased > 0 && (len(j.filling) < leaseAhead || len(j.hungry) > 0)
}

// hungerFor notes that t could take lines of this job, had units of its models been leased. The plan is sorted by
// model, so without this an upstream would wait until all units of the models before its own are done.
func (j *job) hungerFor(t *target) {
	if len(j.batch.Models) < 2 || j.leasing || j.unleased == 0 {
		return
	}
	j.hungry = j.hungry[:0]
	for i, model := range j.batch.Models {
		if !j.barren[i] && t.upstream.Serves(model) {
			j.hungry = append(j.hungry, i)
		}
	}
}

// noneLeft notes that a lease of the given models, or of any, found nothing.
func (j *job) noneLeft(models []int) {
	if len(models) == 0 {
		j.unleased = 0 // another node has the rest
		return
	}
	if j.barren == nil {
		j.barren = make(map[int]bool)
	}
	for _, i := range models {
		j.barren[i] = true
	}
}
