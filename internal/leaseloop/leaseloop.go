// Package leaseloop runs the steps of a batch that hold a lease on the batch as a whole: validating and finalizing. It
// leases, runs, and gives back what failed so that it is tried again. What a step does is handed in.
package leaseloop

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

const (
	// retryAfter is the pause before a step that failed is tried again.
	retryAfter = time.Second
	// pollEvery bounds how long work lies that nobody was told of.
	pollEvery = 10 * time.Second
)

// Store is the part of the metadata store that a loop needs.
type Store interface {
	LeaseBatch(ctx context.Context, stage store.Stage, h store.Holder) (batch.Batch, error)
	ReleaseBatch(ctx context.Context, id string, lease batch.LeaseID) error
}

// Options are what a Loop works with; all fields are required.
type Options struct {
	Store Store
	Stage store.Stage
	// Node is this process's random name.
	Node string
	// Parallel is how many batches are in this stage at once.
	Parallel int
	// Do takes one batch through the stage. When it returns nil, or an error that wraps store.ErrLeaseLost, the lease is
	// gone; after any other error the batch is given back and tried again.
	Do     func(ctx context.Context, b batch.Batch, lease batch.LeaseID) error
	Logger *slog.Logger
}

// Loop takes batches through one stage.
type Loop struct {
	o    Options
	kick chan struct{}

	// mu guards running: what ends the step of each batch under way.
	mu      sync.Mutex
	running map[string]context.CancelFunc
}

// New returns a loop that does nothing until Run.
func New(o Options) *Loop {
	return &Loop{o: o, kick: make(chan struct{}, o.Parallel), running: make(map[string]context.CancelFunc)}
}

// Wake says that there may be work.
func (l *Loop) Wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// Interrupt ends the step of a batch, if it is under way, and has it looked at again: its stop was set.
func (l *Loop) Interrupt(batchID string) {
	l.mu.Lock()
	if cancel := l.running[batchID]; cancel != nil {
		cancel()
	}
	l.mu.Unlock()
	l.Wake()
}

// Run works until ctx ends, and returns when every step under way has returned.
func (l *Loop) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for range l.o.Parallel {
		workers.Go(func() { l.work(ctx) })
	}
	workers.Wait()
}

func (l *Loop) work(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if l.one(ctx) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-l.kick:
		case <-tick.C:
		}
	}
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
	step, cancel := context.WithCancel(ctx)
	l.enter(b.ID, cancel)
	err = l.o.Do(step, b, h.Lease)
	interrupted := step.Err() != nil && ctx.Err() == nil
	l.leave(b.ID)
	cancel()
	if err == nil || errors.Is(err, store.ErrLeaseLost) {
		return true
	}
	if rerr := l.o.Store.ReleaseBatch(context.WithoutCancel(ctx), b.ID, h.Lease); rerr != nil {
		l.o.Logger.Error("give batch back", "batch", b.ID, "error", rerr)
	}
	if interrupted || ctx.Err() != nil {
		return true
	}
	l.o.Logger.Error("batch stage; trying again", "stage", string(l.o.Stage), "batch", b.ID, "error", err)
	return pause(ctx, retryAfter)
}

func (l *Loop) enter(batchID string, cancel context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running[batchID] = cancel
}

func (l *Loop) leave(batchID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, batchID)
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
