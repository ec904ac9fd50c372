// Package leaseloop runs the steps that hold a lease on a batch as a whole: validating and finalizing. It owns the loop
// around a step: lease a batch, run the step, give back what failed so that it is tried again, go on with the next. It
// promises that a lease it took is given back unless the step ended it, that no more steps run at a time than was asked
// for, and that a batch whose stored bytes cannot be read holds up no other. What a step does is handed in, and what is due is for the store to say.
package leaseloop

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/readwait"
	"batchd/internal/store"
)

const (
	// retryAfter is the pause of a worker whose step failed. What fails a step, like a full disk, rarely ends sooner, and
	// each try logs an error.
	retryAfter = time.Second
	// pollEvery bounds how long work waits of which nobody woke the loop: batches that were given back or left by another
	// process. Asking in vain costs a transaction that is rolled back, and so no fsync.
	pollEvery = 10 * time.Second
)

// Store is the part of the metadata store that a loop needs.
type Store interface {
	LeaseBatch(ctx context.Context, stage store.Stage, h store.Holder) (batch.Batch, error)
	ReleaseBatch(ctx context.Context, id string, lease batch.LeaseID) error
}

// Options configures a Loop; all fields are required.
type Options struct {
	Store Store
	Stage store.Stage
	// Node is this process's random name.
	Node string
	// Parallel is how many batches are in this stage at once.
	Parallel int
	// Do takes one batch through the stage. When it returns nil, or an error that wraps store.ErrLeaseLost, the lease is
	// gone; after any other error the batch is given back and tried again.
	Do func(ctx context.Context, b batch.Batch, lease batch.LeaseID) error
	// Unread is the account of what waits because stored bytes cannot be read, where batches have the stage as a step.
	Unread *readwait.Waits
	Logger *slog.Logger
}

// Loop takes batches through one stage. Its methods may be called concurrently; Run is called once.
type Loop struct {
	o Options
	// wakeup has room for one signal per worker: Wake sends without waiting, idle workers receive, nobody closes it. A
	// signal that finds no room can be dropped, since every worker will look for work then anyway.
	wakeup chan struct{}

	// asides counts the goroutines that wait with the lease of a batch that cannot be read.
	asides sync.WaitGroup

	// mu guards running and aside: what ends the step of each batch in progress, and the wait of each that cannot be read.
	// Nothing else is locked, and no step runs, while it is held.
	mu             sync.Mutex
	running, aside map[string]context.CancelFunc
}

// New returns a loop that does nothing until Run.
func New(o Options) *Loop {
	return &Loop{
		o: o, wakeup: make(chan struct{}, o.Parallel),
		running: make(map[string]context.CancelFunc), aside: make(map[string]context.CancelFunc),
	}
}

// Wake says that there may be work. It does not block, and may be called before Run and after it.
func (l *Loop) Wake() {
	select {
	case l.wakeup <- struct{}{}:
	default:
	}
}

// Interrupt ends the step of a batch whose stop was set, if one is running, or the wait for its bytes, and has the batch
// leased again at once. It does not wait for the step to return.
func (l *Loop) Interrupt(batchID string) {
	l.mu.Lock()
	for _, which := range []map[string]context.CancelFunc{l.running, l.aside} {
		if cancel := which[batchID]; cancel != nil {
			cancel()
		}
	}
	l.mu.Unlock()
	l.Wake()
}

// Run works until ctx ends, and returns when every running step has returned. A worker for which nothing is due sleeps until
// somebody wakes it, or until it is time to look for what nobody tells of.
func (l *Loop) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for range l.o.Parallel {
		workers.Go(func() {
			tick := time.NewTicker(pollEvery)
			defer tick.Stop()
			for ctx.Err() == nil {
				if l.one(ctx) {
					continue
				}
				select {
				case <-ctx.Done():
				case <-l.wakeup:
				case <-tick.C:
				}
			}
		})
	}
	workers.Wait()
	l.asides.Wait()
}

// one takes one batch through the stage and reports whether to look for another at once.
func (l *Loop) one(ctx context.Context) bool {
	h := store.Holder{Node: l.o.Node, Lease: batch.NewLeaseID()}
	b, err := l.o.Store.LeaseBatch(ctx, l.o.Stage, h)
	switch {
	case errors.Is(err, store.ErrNoWork) || ctx.Err() != nil:
		return false
	case err != nil:
		l.o.Logger.Error("lease batch; trying again", "stage", string(l.o.Stage), "error", err)
		return pause(ctx, retryAfter)
	}
	interrupted, aside, err := l.runStep(ctx, b, h.Lease)
	if aside != nil {
		length := l.o.Unread.Failed(b.ID, string(l.o.Stage), err)
		l.asides.Go(func() { l.waitAside(ctx, aside, b.ID, h.Lease, length) })
		return true
	}
	done := err == nil || errors.Is(err, store.ErrLeaseLost)
	if done || interrupted || ctx.Err() != nil {
		l.o.Unread.Done(b.ID, string(l.o.Stage))
	} else {
		l.o.Unread.Failed(b.ID, string(l.o.Stage), err) // so that the batch says what it waits for
	}
	if done {
		return true
	}
	l.release(ctx, b.ID, h.Lease)
	if interrupted || ctx.Err() != nil {
		return true
	}
	l.o.Logger.Error("batch stage; trying again", "stage", string(l.o.Stage), "batch", b.ID, "error", err)
	return pause(ctx, retryAfter)
}

// waitAside keeps the lease of a batch that cannot be read, so that others are leased, and gives it back after a pause, when
// the batch is interrupted and with it the context aside, or when ctx ends.
func (l *Loop) waitAside(ctx, aside context.Context, batchID string, lease batch.LeaseID, length time.Duration) {
	pause(aside, length)
	l.mu.Lock()
	l.aside[batchID]()
	delete(l.aside, batchID)
	l.mu.Unlock()
	l.release(ctx, batchID, lease)
	l.Wake()
}

// release gives a batch back, trying again until it works or ctx ends: nobody else can take it before. It must reach the
// store during a shutdown too: the batch would else wait for the next start.
func (l *Loop) release(ctx context.Context, id string, lease batch.LeaseID) {
	for told := false; ; told = true {
		err := l.o.Store.ReleaseBatch(context.WithoutCancel(ctx), id, lease)
		if err == nil || errors.Is(err, store.ErrLeaseLost) {
			return
		}
		if !told {
			l.o.Logger.Error("give batch back", "batch", id, "error", err)
		}
		if ctx.Err() != nil {
			return
		}
		pause(ctx, retryAfter)
	}
}

// runStep runs the step of a leased batch in a way that Interrupt can end, and reports whether it did. Where the step ended
// because stored bytes cannot be read, it returns the context of the wait for them, which Interrupt ends in the same way: no
// interruption falls between the two.
func (l *Loop) runStep(ctx context.Context, b batch.Batch, lease batch.LeaseID) (interrupted bool, aside context.Context, err error) {
	step, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	l.running[b.ID] = cancel
	l.mu.Unlock()
	err = l.o.Do(step, b, lease)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, b.ID)
	if readwait.Is(err) && step.Err() == nil {
		aside, l.aside[b.ID] = context.WithCancel(ctx)
	}
	return step.Err() != nil && ctx.Err() == nil, aside, err
}

// pause waits for a while or until ctx ends; it always reports true.
func pause(ctx context.Context, length time.Duration) bool {
	t := time.NewTimer(length)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return true
}
