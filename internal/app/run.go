package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/httpapi"
)

// Run works until ctx ends, then stops in order: nothing new is leased or sent; calls in flight have the shutdown
// grace, less what the rest needs; journals are synced. It returns nil after such a stop, and the error that ended
// it otherwise.
func (e *Engine) Run(ctx context.Context) error {
	ctx, e.fatal = context.WithCancelCause(ctx)
	defer e.fatal(nil)
	e.starter.Resume(ctx)
	// Journals are synced until the last result has come in, so the syncer outlives the loops.
	syncing, stopSyncing := context.WithCancel(context.WithoutCancel(ctx))
	// After the end of ctx calls in flight have this long; drained is closed by the timer alone.
	drained := make(chan struct{})
	context.AfterFunc(ctx, func() {
		e.mu.Lock()
		e.draining = true
		e.mu.Unlock()
		time.AfterFunc(max(0, e.cfg.ShutdownGrace-drainReserve), func() { close(drained) })
	})
	var loops, syncer sync.WaitGroup
	syncer.Go(func() {
		if err := e.keeper.Run(syncing); err != nil {
			e.fatal(err)
		}
	})
	loops.Go(func() { e.storage.presence.Run(ctx) })
	loops.Go(func() { e.validating.Run(ctx) })
	loops.Go(func() { e.finalizing.Run(ctx) })
	loops.Go(func() { e.clock.Run(ctx) })
	loops.Go(func() { e.sweeper.Run(ctx) })
	loops.Go(func() { e.scrubber.Run(ctx) })
	loops.Go(func() { e.sender.Run(ctx) })
	loops.Go(func() { e.ups.monitor.KeepModels(ctx, e.dispatcher.ModelsChanged) })
	loops.Go(func() { e.dispatcher.Run(ctx, drained) })
	loops.Wait()
	e.starter.Wait() // a batch that is being started may append a last outcome
	stopSyncing()
	syncer.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("stop at once: %w", cause)
	}
	return nil
}

// Created is called after a batch was stored, and wakes the planner. The loop would find the batch at its next look anyway.
func (e *Engine) Created(string) { e.validating.Wake() }

// Cancelled is called after a batch's cancellation was stored, never before: what stops reads it back.
func (e *Engine) Cancelled(batchID string) { e.stop(batchID, batch.StopCancel) }

// stop ends the work on a batch whose stop is stored, wherever it is. Whoever takes it up later reads the stop.
func (e *Engine) stop(batchID string, s batch.Stop) {
	e.dispatcher.Stop(batchID, s)
	e.validating.Interrupt(batchID)
}

// closed is called after a batch has reached a terminal state, once its transaction has put what webhooks are told in the
// outbox.
func (e *Engine) closed(batchID string) {
	e.progress.Forget(batchID)
	e.unread.Forget(batchID)
	e.mu.Lock()
	waiting := e.watchers[batchID]
	delete(e.watchers, batchID)
	e.mu.Unlock()
	for _, ch := range waiting {
		close(ch)
	}
	e.sender.Wake()
}

// Ready reports whether the node takes work: not while it is going down, nor while the disk or the database takes nothing.
// A disk that is nearly full is a reason and no problem: status and results can still be read.
func (e *Engine) Ready() httpapi.Readiness {
	e.mu.Lock()
	draining := e.draining
	e.mu.Unlock()
	low := e.space.Low()
	var r httpapi.Readiness
	if draining {
		r.Problems = append(r.Problems, "shutting down")
	}
	if e.storage.presence.Gone() != nil {
		r.Problems = append(r.Problems, "the data directory is gone, or another one stands in its place")
		return r
	}
	r.Problems = append(r.Problems, e.writable.Problems(low, e.storage.faulty.Load())...)
	if since, waits := e.dispatcher.Unwritten(); waits {
		r.Reasons = append(r.Reasons, "the disk does not take results: they wait in memory, and their batches with them; since "+since.UTC().Format(time.RFC3339))
	}
	if e.keeper.Short() {
		r.Reasons = append(r.Reasons, "short of file descriptors or memory: results wait to be written")
	}
	if since, waits := e.unread.Since(); waits {
		r.Reasons = append(r.Reasons, "stored bytes cannot be read: batches that need them wait; since "+since.UTC().Format(time.RFC3339))
	}
	if since, damaged := e.scrubber.Since(); damaged {
		r.Reasons = append(r.Reasons, "stored files are damaged and cannot be downloaded whole: the log names them; since "+since.UTC().Format(time.RFC3339))
	}
	if low {
		r.Reasons = append(r.Reasons, "disk nearly full: uploads are refused and no new work is started")
	}
	return r
}
