package dispatch

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"batchd/internal/batch"
	"batchd/internal/failpoint"
	"batchd/internal/limit"
)

// ErrUnreadable means that a line can never be read again; Load wraps it.
var ErrUnreadable = errors.New("line is unreadable")

// writeRetry is the pause before a result is written again that the disk did not take.
const writeRetry = time.Second

// send makes the call of a, and then further calls with the permit that came free, until there is no line for it. An
// outcome is recorded before its call is landed: what is counted as over is durable.
func (d *Dispatcher) send(a *assignment) {
	for a != nil {
		j := a.unit.job
		loaded, err := a.unit.Load(j.ctx, a.line)
		if err != nil {
			a = d.landUnread(a, err)
			continue
		}
		d.noteRead(a)
		a.sent = true
		answer := a.gate.target.upstream.Call(j.ctx, Call{
			Endpoint: batch.EndpointPath(j.batch.Endpoint), Model: a.unit.Model(), Body: loaded.Body,
			Key: j.batch.ID + "-" + strconv.FormatUint(uint64(a.line.Number), 10), Deadline: j.batch.EndsAt().Add(d.o.CancelGrace),
		})
		failpoint.Hit(failpoint.AnswerReceived)
		switch answer.Signal.Kind {
		case limit.Served, limit.Answered:
			d.record(a, loaded.CustomID, &answer.Outcome)
			_, a = d.land(a, &answer.Signal)
		default:
			a = d.landFailed(a, loaded.CustomID, &answer)
		}
	}
	wake(d.pumpWakeUp) // nobody else may be left to look after the retries that fall due later
}

// landUnread settles a line that could not be read: for good with an error line, or for now with another try.
func (d *Dispatcher) landUnread(a *assignment, err error) *assignment {
	abandoned := limit.Signal{Kind: limit.Abandoned}
	if !errors.Is(err, ErrUnreadable) {
		if a.unit.job.ctx.Err() == nil {
			d.noteUnread(a, err)
			abandoned.Reason = limit.ReasonBlobUnreadable
		}
		_, next := d.land(a, &abandoned)
		return next
	}
	d.noteRead(a)
	d.o.Logger.Debug("input line is unreadable", "batch", a.unit.ID().Batch, "line", a.line.Number, "error", err)
	d.record(a, nil, &batch.Outcome{Code: batch.CodeInputUnreadable, Message: batch.CodeInputUnreadable.Message()})
	// The gate learns nothing from it, but the line is over as if it had been answered.
	now := d.o.Now()
	d.mu.Lock()
	if v := d.schedule.done(a, now, &abandoned); !v.Final {
		a.unit.lane.left--
	}
	next := d.landed(a, now)
	d.unlock()
	d.settleUnit(a.unit)
	return next
}

// noteUnread notes that a line could not be read for now.
func (d *Dispatcher) noteUnread(a *assignment, err error) {
	j := a.unit.job
	pause := d.o.Unread.Failed(j.batch.ID, a.name(), err)
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.unread == 0 {
		j.unread++
	}
	a.unread = pause
}

// noteRead notes that a line needs no further reading. Only the goroutine that has the line in flight changes its unread,
// so it may look at that without the mutex.
func (d *Dispatcher) noteRead(a *assignment) {
	if a.unread == 0 {
		return
	}
	j := a.unit.job
	d.mu.Lock()
	held := j.unreadable()
	j.unread--
	a.unread = 0
	if held && !j.unreadable() {
		wake(d.pumpWakeUp) // lines that were never tried may go again
	}
	d.mu.Unlock()
	d.o.Unread.Done(j.batch.ID, a.name())
}

// name is what the line is called where it waits to be read.
func (a *assignment) name() string { return "line " + strconv.FormatUint(uint64(a.line.Number), 10) }

// landFailed lands a call that failed: the gate decides whose fault that was, and so whether the line goes again.
func (d *Dispatcher) landFailed(a *assignment, customID []byte, answer *Answer) *assignment {
	v, next := d.land(a, &answer.Signal)
	if !v.Final {
		discard(answer)
		if answer.Signal.Kind == limit.Broken {
			d.metrics.repeats.WithLabelValues(answer.Cause).Inc()
		}
		return next
	}
	if v.Poison {
		discard(answer)
		answer.Outcome = batch.Outcome{Code: batch.CodePoisonRequest, Message: fmt.Sprintf(
			"The connection to the upstream broke in each of %d tries of this request, the later ones without other suspects beside it.",
			a.history.Tries())}
	}
	// The permit of a line that is given up is free already; the next line must not wait for the disk.
	if next != nil {
		d.work.Go(func() { d.send(next) })
	}
	d.record(a, customID, &answer.Outcome)
	d.mu.Lock()
	a.unit.inFlight--
	d.mu.Unlock()
	d.settleUnit(a.unit)
	return nil
}

// discard releases the memory or the file of an answer that is not used.
func discard(answer *Answer) {
	if answer.Outcome.Body != nil {
		_ = answer.Outcome.Body.Close() // nothing depends on it; a file left behind is removed at the next start
		answer.Outcome.Body = nil
	}
}

// record makes an outcome final. The work is paid for, so a disk that does not take it is asked again until it does, or
// the process ends; the permit stays taken meanwhile, so nothing piles up.
func (d *Dispatcher) record(a *assignment, customID []byte, o *batch.Outcome) {
	j := a.unit.job
	for waits := false; ; waits = true {
		_, err := a.unit.Record(a.line.Number, customID, o)
		if err != nil && d.o.Final(err) {
			d.fail(err)
			return
		}
		d.noteWrite(j, a.line.Number, waits, err)
		if err == nil {
			return
		}
		select {
		case <-j.ctx.Done():
			return
		case <-time.After(writeRetry):
		}
	}
}

// noteWrite keeps account of a result that the disk did not take, or took at last; waits says that it did not before. It
// tells the log when that begins for a batch and when it has ended.
func (d *Dispatcher) noteWrite(j *job, line uint32, waits bool, err error) {
	if err == nil && !waits {
		return
	}
	d.mu.Lock()
	defer d.unlock()
	w := &j.unwritten
	switch {
	case err == nil:
		if w.results--; w.results == 0 {
			d.tell(slog.LevelInfo, "results are written again", "batch", j.batch.ID, "after", d.o.Now().Sub(w.since).Round(time.Second))
		}
		return
	case !waits:
		if w.results++; w.results == 1 {
			w.since = d.o.Now()
			d.tell(slog.LevelError, "write result; trying again every second", "batch", j.batch.ID, "line", line, "error", err)
		}
	}
	w.last = err
}

// Unwritten returns since when results have waited that the disk does not take; false if none do.
func (d *Dispatcher) Unwritten() (since time.Time, waits bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range d.schedule.jobs {
		if w := j.unwritten; w.results > 0 && (!waits || w.since.Before(since)) {
			since, waits = w.since, true
		}
	}
	return since, waits
}
