package dispatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"
	"batchd/internal/readwait"
	"batchd/internal/store"
)

// settleAtOnce is how many units of a stopped batch one transaction seals.
const settleAtOnce = 16

// Stop ends a batch: no new call is made from now on, the calls in flight have their grace, and every line without
// an outcome gets the stop's error. A batch that is not running, or was stopped before, is left as it is.
func (d *Dispatcher) Stop(batchID string, stop batch.Stop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	j := d.schedule.jobs[batchID]
	if j == nil || j.stop != batch.StopNone || d.stopped {
		return
	}
	j.stop = stop
	close(j.stopping)
	var idle []*unit
	for _, u := range j.open {
		d.drop(u)
		if u.inFlight == 0 {
			idle = append(idle, u)
		}
	}
	if len(idle) < len(j.open) {
		j.grace = time.AfterFunc(d.o.CancelGrace, func() { j.cancel(ErrStopped) })
	}
	d.work.Go(func() {
		d.o.Unread.Forget(batchID) // what still has to be read is noted again if it cannot be
		d.settle(j)
	})
	for _, u := range idle {
		d.sealLocked(u)
	}
	wake(d.pumpWakeUp) // a gate may have been held for one of its lines
}

// drop takes the lines of a stopped batch that wait in a unit's lane off, and keeps what they were last answered.
func (d *Dispatcher) drop(u *unit) {
	l := u.lane
	l.retries.each(func(t *task) bool { t.unit.tell(t, false); return true })
	l.retries = retries{}
	l.controls = nil
	u.job.filling -= len(l.filling)
	l.filling = nil
}

// tell keeps what is known of a line for the error that its batch's end gives it: what it was last answered, and whether
// its call was in flight and had to be ended.
func (u *unit) tell(t *task, inFlight bool) {
	last, answered := t.history.Last()
	if !answered && !inFlight {
		return
	}
	text := u.job.stop.Code().Message()
	if inFlight {
		text = u.job.stop.Code().MessageInFlight()
	}
	if answered {
		text += " " + lastAnswer(&last)
	}
	if u.told == nil {
		u.told = make(map[uint32]string)
	}
	u.told[t.line.Number] = text
}

// lastAnswer is what a line was last answered, or what became of its call, as a sentence.
func lastAnswer(s *limit.Signal) string {
	switch {
	case s.Status != 0 && s.Message != "":
		return fmt.Sprintf("The upstream last answered %d: %s", s.Status, s.Message)
	case s.Status != 0:
		return fmt.Sprintf("The upstream last answered %d (%s).", s.Status, http.StatusText(s.Status))
	case s.Message != "":
		return "The last try ended with: " + s.Message
	}
	what := string(s.Reason)
	switch {
	case s.Kind == limit.Unreachable && s.Detail != "":
		what = "upstream unreachable (" + s.Detail + ")"
	case s.Kind == limit.Unreachable:
		what = "upstream unreachable"
	case s.Detail == "truncated":
		what = "answer cut short"
	case s.Detail == "reset", s.Lost:
		what = "connection lost"
	case s.Detail == "timeout":
		what = "no answer in time"
	case s.Detail != "":
		what += " (" + s.Detail + ")"
	}
	return fmt.Sprintf("The last try ended with: %s.", what)
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
			d.o.Unread.Done(j.batch.ID, "settle")
			d.finished(j, result)
			return true, nil
		}
		if errors.Is(err, store.ErrLeaseLost) || ctx.Err() != nil {
			return false, err
		}
		wait := d.unreadPause(j, "settle", err)
		if wait == 0 {
			d.o.Logger.Error("settle units of a stopped batch; trying again", "batch", j.batch.ID, "error", err)
			wait = leaseRetry
		}
		sleep(ctx, wait)
	}
}

// unreadPause notes that a step of a job could not read what is stored, and returns the pause before it is tried again; 0 for
// any other error.
func (d *Dispatcher) unreadPause(j *job, step string, err error) time.Duration {
	if !readwait.Is(err) {
		return 0
	}
	return d.o.Unread.Failed(j.batch.ID, step, err)
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

// sealLocked is seal with the mutex held.
func (d *Dispatcher) sealLocked(u *unit) {
	if u.sealing {
		return
	}
	u.sealing = true
	stop, told := u.job.stop, u.told
	d.work.Go(func() { d.sealUntilDone(u, stop, told) })
}

// sealUntilDone seals a unit, trying again until it works or the process ends. Its place among those that are sealed at
// once is free between two tries, so that a unit which cannot be sealed keeps no other from it.
func (d *Dispatcher) sealUntilDone(u *unit, stop batch.Stop, told map[uint32]string) {
	for {
		d.seals <- struct{}{}
		result, err := u.Seal(context.WithoutCancel(d.runContext()), stop, told)
		<-d.seals
		var reopened *Reopened
		switch {
		case err == nil:
			d.o.Unread.Done(u.job.batch.ID, "seal "+u.ID().String())
			d.finished(u.job, result, u)
			return
		case errors.As(err, &reopened):
			d.o.Logger.Error("sealing found damage in a journal; the lines concerned are sent again", "unit", u.ID().String(), "lines", reopened.Lines)
			d.reenter(u)
			return
		case errors.Is(err, store.ErrLeaseLost):
			d.o.Logger.Warn("unit is held under another lease; its results here are not used", "unit", u.ID().String(), "error", err)
			d.finished(u.job, store.SealResult{}, u)
			return
		case d.o.Final(err):
			d.fail(err)
			return
		}
		wait := d.unreadPause(u.job, "seal "+u.ID().String(), err)
		if wait == 0 {
			d.o.Logger.Error("seal unit; trying again", "unit", u.ID().String(), "error", err)
			wait = leaseRetry
		}
		if !sleep(d.runContext(), wait) {
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
	defer d.mu.Unlock()
	u.sealing = false
	if u.job.stop != batch.StopNone {
		d.sealLocked(u)
		return
	}
	u.lane.left += u.Left()
	d.schedule.fill(u)
	wake(d.pumpWakeUp)
}

// finished takes sealed units off their job, and the job off the schedule when all are sealed.
func (d *Dispatcher) finished(j *job, result store.SealResult, units ...*unit) {
	d.mu.Lock()
	now := d.o.Now()
	for _, u := range units {
		d.schedule.leave(u, now)
		d.noteLeft(u.lane.queue, now)
	}
	// A seal whose commit was durable but reported an error looks like a lost lease when it is tried again, so the
	// store's word may have been missed: a job with nothing left here is over all the same.
	over := result.Ready || len(j.open) == 0 && j.unleased == 0 && j.opening == 0 && !j.leasing
	if over {
		d.remove(j)
	}
	d.unlock()
	wake(d.leaseWakeUp) // there may be room for more open units
	if over {
		d.o.Ready(j.batch.ID)
	}
}

// remove takes a job off. The mutex is held.
func (d *Dispatcher) remove(j *job) {
	now := d.o.Now()
	var left []*queue
	for _, l := range j.lanes {
		left = append(left, l.queue)
	}
	d.schedule.remove(j, now)
	for _, q := range left {
		d.noteLeft(q, now)
	}
	if j.grace != nil {
		j.grace.Stop()
	}
	j.cancel(ErrStopped)
}
