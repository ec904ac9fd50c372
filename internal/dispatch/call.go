package dispatch

import (
	"container/heap"
	"errors"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/failpoint"
	"batchd/internal/limit"
)

// ErrUnreadable means that a line can never be read again; Load wraps it.
var ErrUnreadable = errors.New("line is unreadable")

const (
	// backoffBase and backoffCap bound the full-jitter backoff of a line after a failed try.
	backoffBase = time.Second
	backoffCap  = time.Minute
	// putOffCap bounds the pause of a line that was refused for lack of room: the upstream itself is held back by its
	// breaker, so the line need not be.
	putOffCap = 8 * time.Second
	// writeRetry is the pause before a result is written again that the disk did not take.
	writeRetry = time.Second
)

// send makes the call of a, and then further calls with the permit that came free, until there is no line for it.
func (d *Dispatcher) send(a assignment) {
	for ok := true; ok; {
		d.call(a)
		a, ok = d.take(a.target)
	}
	wake(d.kick) // nobody else may be left to look after the retries that fall due later
}

func (d *Dispatcher) take(t *target) (assignment, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.takeLocked(t, d.o.Now())
}

// call reads the line, sends it, and lands what came back.
func (d *Dispatcher) call(a assignment) {
	j := a.unit.job
	loaded, err := a.unit.Load(j.ctx, a.line)
	if err != nil {
		d.landUnread(a, err)
		return
	}
	answer := a.target.upstream.Call(j.ctx, Call{
		Endpoint: j.batch.Endpoint, Model: a.unit.Model(), Body: loaded.Body,
		Key: fmt.Sprintf("%s-%d", j.batch.ID, a.line.Number), Deadline: j.batch.ExpiresAt.Add(d.o.CancelGrace),
	})
	failpoint.Hit(failpoint.AnswerReceived)
	d.judge(a, loaded.CustomID, &answer)
}

// landUnread settles a line that could not be read: for good with an error line, or for now with another try.
func (d *Dispatcher) landUnread(a assignment, err error) {
	if errors.Is(err, ErrUnreadable) {
		d.o.Logger.Debug("input line is unreadable", "batch", a.unit.ID().Batch, "line", a.line.Number, "error", err)
		d.record(a, nil, &batch.Outcome{Code: batch.CodeInputUnreadable, Message: batch.CodeInputUnreadable.Message()})
		d.land(a, abandoned(), nil)
		return
	}
	d.o.Logger.Warn("read input line", "batch", a.unit.ID().Batch, "line", a.line.Number, "error", err)
	d.land(a, abandoned(), d.putOff(a.task))
}

// abandoned is the answer to a call that was never made.
func abandoned() Answer { return Answer{Signal: limit.Signal{Kind: limit.Abandoned}} }

// judge decides what an answer means for its line.
func (d *Dispatcher) judge(a assignment, customID []byte, answer *Answer) {
	switch answer.Signal.Kind {
	case limit.Served, limit.Answered:
		d.record(a, customID, &answer.Outcome)
		d.land(a, *answer, nil)
	case limit.Broken:
		d.judgeFailure(a, customID, answer)
	case limit.NoRoom, limit.Unreachable, limit.Denied:
		discard(answer)
		retry := d.putOff(a.task)
		if answer.Signal.Kind == limit.Denied || answer.Signal.RetryAfter > 0 {
			retry.due = d.o.Now() // the breaker holds the whole upstream back; another one may take the line now
		}
		d.land(a, *answer, retry)
	default:
		// Ended by a stop or a shutdown, which drop the retry; by anything else, the line goes again.
		discard(answer)
		d.land(a, *answer, d.putOff(a.task))
	}
}

// judgeFailure charges a failed try to the line, and records its outcome after the last.
func (d *Dispatcher) judgeFailure(a assignment, customID []byte, answer *Answer) {
	if !d.blamesAnother(a, answer) {
		a.attempts++
		if answer.Signal.Lost {
			a.lost++
		}
	}
	if a.attempts < maxAttempts {
		discard(answer)
		d.metrics.repeats.WithLabelValues(answer.Cause).Inc()
		a.due = d.o.Now().Add(d.jitter(backoffBase << a.attempts))
		d.land(a, *answer, a.task)
		return
	}
	if a.lost == maxAttempts {
		discard(answer)
		answer.Outcome = batch.Outcome{Code: batch.CodePoisonRequest, Message: fmt.Sprintf(
			"The connection to the upstream broke in each of %d tries of this request, the later ones without other suspects beside it.", maxAttempts)}
	}
	d.record(a, customID, &answer.Outcome)
	d.land(a, *answer, nil)
}

// blamesAnother reports whether a broken connection is put down to a suspect that is in flight on the same
// upstream: a line that crashes its server takes innocent calls with it, which must not cost them their tries.
func (d *Dispatcher) blamesAnother(a assignment, answer *Answer) bool {
	if !answer.Signal.Lost || a.suspect() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return a.target.suspects > 0
}

// putOff returns the task with a due time that costs it none of its tries.
func (d *Dispatcher) putOff(t *task) *task {
	pause := min(backoffBase<<min(t.waits, 10), putOffCap)
	t.waits++
	t.due = d.o.Now().Add(pause/2 + d.jitter(pause/2))
	return t
}

// jitter returns a random pause up to limit, which is itself capped at backoffCap.
func (d *Dispatcher) jitter(limit time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Duration(d.o.Rand.Int64N(int64(min(limit, backoffCap)) + 1))
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
func (d *Dispatcher) record(a assignment, customID []byte, o *batch.Outcome) {
	for told := false; ; told = true {
		_, err := a.unit.Record(a.line.Number, customID, o)
		if err == nil {
			return
		}
		if d.o.Final(err) {
			d.fail(err)
			return
		}
		if !told {
			d.o.Logger.Error("write result; trying again every second", "batch", a.unit.ID().Batch, "line", a.line.Number, "error", err)
		}
		select {
		case <-a.unit.job.ctx.Done():
			return
		case <-time.After(writeRetry):
		}
	}
}

// land gives back what the call held, tells limiter and breaker what it taught, and queues the retry, if there is one.
func (d *Dispatcher) land(a assignment, answer Answer, retry *task) {
	d.mu.Lock()
	u, j := a.unit, a.unit.job
	u.flying--
	d.flying--
	d.bytes -= int64(a.line.Length) + lineCharge
	if a.suspected {
		a.target.suspects--
	}
	a.target.limiter.Release(answer.Signal)
	if d.starved {
		d.starved = false
		wake(d.kick)
	}
	d.noteLocked(a.target, answer)
	if retry != nil && j.stop == batch.StopNone {
		heap.Push(&j.retries, retry)
		wake(d.kick)
	}
	done := u.flying == 0 && j.stop != batch.StopNone
	d.mu.Unlock()
	if done || u.Left() == 0 {
		d.seal(u)
	}
}

// noteLocked tells the breaker what an answer says about the upstream's health.
func (d *Dispatcher) noteLocked(t *target, answer Answer) {
	now := d.o.Now()
	wasOpen, wasDenied := t.breaker.Open()
	switch answer.Signal.Kind {
	case limit.Served, limit.Answered:
		t.breaker.Served(now)
	case limit.NoRoom, limit.Unreachable:
		t.breaker.Refused(now, answer.Signal.RetryAfter)
	case limit.Denied:
		t.breaker.Denied(now)
	case limit.Broken:
		t.breaker.Failed(now)
	default:
		t.breaker.Abandoned()
	}
	open, denied := t.breaker.Open()
	if denied != wasDenied {
		d.logDenied(t, denied)
	}
	if open || wasOpen {
		wake(d.kick) // the pump must learn when to probe, or that it may go on
	}
}

func (d *Dispatcher) logDenied(t *target, denied bool) {
	if denied {
		d.o.Logger.Error("upstream refuses our credentials; it is paused and tried again every 30 s", "upstream", t.upstream.Name())
		return
	}
	d.o.Logger.Info("upstream accepts our credentials again", "upstream", t.upstream.Name())
}
