package upstream

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Reasons why a call's own timers end it.
var (
	errFirstByte = errors.New("no answer in time")
	errIdle      = errors.New("the answer stalled")
	errTotal     = errors.New("the call took too long")
	errDeadline  = errors.New("the window ended")
)

// watch ends a call whose current phase lasts too long. One timer serves all phases, and no goroutine waits.
type watch struct {
	cancel context.CancelCauseFunc
	// end is when the call as a whole must be over, and endCause what it means then.
	end      time.Time
	endCause error

	// mu guards the fields below.
	mu    sync.Mutex
	timer *time.Timer
	// cause is what the timer means when it fires.
	cause error
}

// newWatch derives a context that the watch ends. The first phase lasts first; the call must be over after total.
func newWatch(ctx context.Context, first, total time.Duration, totalCause error) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{cancel: cancel, end: time.Now().Add(total), endCause: totalCause}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cause = errFirstByte
	if first >= total {
		first, w.cause = total, totalCause
	}
	w.timer = time.AfterFunc(first, w.fire)
	return ctx, w
}

func (w *watch) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cancel(w.cause)
}

// next begins a phase of at most d.
func (w *watch) next(d time.Duration, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cause = cause
	if rest := time.Until(w.end); rest <= d {
		d, w.cause = max(rest, 0), w.endCause
	}
	w.timer.Reset(d)
}

// stop frees the timer and the context.
func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// watchedBody restarts the idle phase with every piece of the answer.
type watchedBody struct {
	body  io.Reader
	watch *watch
	idle  time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.next(b.idle, errIdle)
	return b.body.Read(p)
}
