package dispatch

import (
	"context"
	"errors"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// settleAtOnce is how many units of a stopped batch one transaction seals.
const settleAtOnce = 16

// Stop ends a batch: no new call is made from now on, the calls in flight have their grace, and every line without
// an outcome gets the stop's error. A batch that is not running, or was stopped before, is left as it is.
func (d *Dispatcher) Stop(batchID string, stop batch.Stop) {
	d.mu.Lock()
	j := d.jobs[batchID]
	if j == nil || j.stop != batch.StopNone || d.stopped {
		d.mu.Unlock()
		return
	}
	j.stop = stop
	j.retries, j.filling = nil, nil
	var idle []*unit
	for _, u := range j.open {
		if u.flying == 0 {
			idle = append(idle, u)
		}
	}
	if len(idle) < len(j.open) {
		j.grace = time.AfterFunc(d.o.CancelGrace, func() { j.cancel(ErrStopped) })
	}
	d.work.Go(func() { d.settle(j) })
	for _, u := range idle {
		d.sealLocked(u)
	}
	d.mu.Unlock()
}

// settle seals the units of a stopped batch that nobody has leased. It needs no permit and no upstream.
func (d *Dispatcher) settle(j *job) {
	for {
		left, err := d.settleSome(j)
		if err == nil && !left {
			return
		}
		ctx := d.runContext()
		if err != nil && ctx.Err() == nil {
			d.o.Logger.Error("settle units of a stopped batch; trying again", "batch", j.batch.ID, "error", err)
			pause(ctx)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// settleSome leases and seals some units; false when there are none left. The job's own context is not for this: it
// ends with the grace of the calls in flight, which a large batch outlasts.
func (d *Dispatcher) settleSome(j *job) (bool, error) {
	ctx := d.runContext()
	units, err := d.o.Store.LeaseUnits(ctx, j.batch.ID, d.o.Node, settleAtOnce)
	if err != nil || len(units) == 0 {
		return false, err
	}
	for {
		result, err := j.job.Settle(ctx, units, j.stop)
		if err == nil {
			d.finished(j, result)
			return true, nil
		}
		if errors.Is(err, store.ErrLeaseLost) || ctx.Err() != nil {
			return false, err
		}
		d.o.Logger.Error("settle units of a stopped batch; trying again", "batch", j.batch.ID, "error", err)
		pause(ctx)
	}
}

// runContext is the context Run was called with, or one that never ends before that.
func (d *Dispatcher) runContext() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx == nil {
		return context.Background()
	}
	return d.ctx
}

// seal seals a unit in the background, once. Only goroutines that Run waits for may call it.
func (d *Dispatcher) seal(u *unit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sealLocked(u)
}

func (d *Dispatcher) sealLocked(u *unit) {
	if u.sealing {
		return
	}
	u.sealing = true
	stop := u.job.stop
	d.work.Go(func() {
		d.seals <- struct{}{}
		defer func() { <-d.seals }()
		d.sealUntilDone(u, stop)
	})
}

// sealUntilDone seals a unit, trying again until it works or the process ends.
func (d *Dispatcher) sealUntilDone(u *unit, stop batch.Stop) {
	for {
		result, err := u.Seal(context.WithoutCancel(d.runContext()), stop)
		var reopened *Reopened
		switch {
		case err == nil:
			d.finished(u.job, result, u)
			return
		case errors.As(err, &reopened):
			d.o.Logger.Error("sealing found damage in a journal; the lines concerned are sent again", "unit", u.ID().String(), "lines", reopened.Lines)
			d.reenter(u)
			return
		case errors.Is(err, store.ErrLeaseLost):
			d.o.Logger.Warn("unit is held under another lease; its results here are dropped", "unit", u.ID().String())
			d.finished(u.job, store.SealResult{}, u)
			return
		case d.o.Final(err):
			d.fail(err)
			return
		}
		d.o.Logger.Error("seal unit; trying again", "unit", u.ID().String(), "error", err)
		if pause(d.runContext()); d.runContext().Err() != nil {
			return
		}
	}
}

// Reopened is the error of a seal that found outcomes missing: the unit has lines to take again.
type Reopened struct{ Lines int }

// Error says how many lines came back.
func (e *Reopened) Error() string { return "unit has lines to send again" }

// reenter makes a unit whose lines came back part of the work again.
func (d *Dispatcher) reenter(u *unit) {
	d.mu.Lock()
	u.sealing = false
	stopped := u.job.stop != batch.StopNone
	if !stopped {
		u.job.filling = append(u.job.filling, u)
	}
	d.mu.Unlock()
	if stopped {
		d.seal(u)
		return
	}
	wake(d.kick)
}

// finished takes sealed units off their job, and the job off the ring when all are sealed.
func (d *Dispatcher) finished(j *job, result store.SealResult, units ...*unit) {
	d.mu.Lock()
	for _, u := range units {
		delete(j.open, u.ID())
	}
	// A seal whose commit was durable but reported an error looks like a lost lease when it is tried again, so the
	// store's word may have been missed: a job with nothing left here is over all the same.
	over := result.Ready || len(j.open) == 0 && j.unleased == 0 && !j.leasing
	if over {
		d.removeLocked(j)
	}
	d.mu.Unlock()
	wake(d.lease) // there may be room for more open units
	if over {
		d.o.Ready(j.batch.ID)
	}
}

func (d *Dispatcher) removeLocked(j *job) {
	delete(d.jobs, j.batch.ID)
	for i, other := range d.ring {
		if other == j {
			d.ring = append(d.ring[:i], d.ring[i+1:]...)
			break
		}
	}
	if j.grace != nil {
		j.grace.Stop()
	}
	j.cancel(ErrStopped)
}
