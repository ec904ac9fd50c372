package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dispatch"
	"batchd/internal/journal"
	"batchd/internal/unit"
)

// startRetry is the pause before a batch is handed to the dispatcher again after an error.
const startRetry = 2 * time.Second

// Run works until ctx ends, then stops in order: nothing new is leased or sent; calls in flight have the shutdown
// grace, less what the rest needs; journals are synced. It returns nil after such a stop, and the error that ended
// it otherwise.
func (e *Engine) Run(ctx context.Context) error {
	ctx, e.fatal = context.WithCancelCause(ctx)
	defer e.fatal(nil)
	e.mu.Lock()
	e.run = ctx
	e.mu.Unlock()
	e.resume()
	syncing, stopSyncing := context.WithCancel(context.WithoutCancel(ctx))
	var loops, syncer sync.WaitGroup
	syncer.Go(func() {
		if err := e.keeper.Run(syncing); err != nil {
			e.fatal(err)
		}
	})
	loops.Go(func() { e.validating.Run(ctx) })
	loops.Go(func() { e.finalizing.Run(ctx) })
	loops.Go(func() { e.sweeper.Run(ctx) })
	loops.Go(func() { e.sender.Run(ctx) })
	loops.Go(func() { e.ups.monitor.KeepModels(ctx, e.dispatcher.ModelsChanged) })
	loops.Go(func() { e.dispatcher.Run(ctx, e.drained(ctx)) })
	loops.Wait()
	e.starting.Wait()
	stopSyncing()
	syncer.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("stop at once: %w", cause)
	}
	return nil
}

// drained returns a channel that is closed when the calls in flight have had their time after the end of ctx.
func (e *Engine) drained(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	context.AfterFunc(ctx, func() {
		e.mu.Lock()
		e.draining = true
		e.mu.Unlock()
		time.AfterFunc(max(0, e.cfg.ShutdownGrace-drainReserve), func() { close(done) })
	})
	return done
}

// diskFailed reports whether nothing can be made durable any more.
func diskFailed(err error) bool { return errors.Is(err, journal.ErrDiskFailed) }

// resume hands the batches that were running to the dispatcher.
func (e *Engine) resume() {
	for _, id := range e.resuming {
		e.startBatch(id, e.adopted[id])
	}
	e.resuming, e.adopted = nil, nil
}

// started is told of each batch that validation has just started.
func (e *Engine) started(batchID string) { e.startBatch(batchID, nil) }

// startBatch hands a running batch to the dispatcher, trying again until it works or the process stops: a batch must not
// be stuck because its input could not be read for a moment.
func (e *Engine) startBatch(batchID string, adopted []*unit.Adopted) {
	e.mu.Lock()
	ctx := e.run
	e.mu.Unlock()
	e.starting.Go(func() {
		for ctx.Err() == nil {
			err := e.dispatchBatch(ctx, batchID, adopted)
			if err == nil || ctx.Err() != nil {
				return
			}
			e.log.Error("bring batch to the dispatcher; trying again", "batch", batchID, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(startRetry):
			}
		}
	})
}

func (e *Engine) dispatchBatch(ctx context.Context, batchID string, adopted []*unit.Adopted) error {
	b, err := e.storage.store.BatchByID(ctx, batchID)
	if err != nil {
		return fmt.Errorf("read batch: %w", err)
	}
	file, err := e.storage.store.InputFile(ctx, batchID)
	if err != nil {
		return fmt.Errorf("find input file: %w", err)
	}
	content, err := blob.Content(ctx, e.storage.blobs, file)
	if err != nil {
		return fmt.Errorf("read manifest of input file: %w", err)
	}
	in := unit.NewInput(b, content, e.storage.blobs)
	in.Replan = func(ctx context.Context) error { return e.planner.Replan(ctx, b) }
	var open []dispatch.Unit
	for _, a := range adopted {
		u, err := e.keeper.Resume(ctx, in, a)
		if err != nil {
			return err
		}
		open = append(open, u)
	}
	if _, loaded := e.progress.Counts(batchID); !loaded {
		e.progress.Load(batchID, b.Counts)
	}
	e.dispatcher.Add(b, e.keeper.Job(in), open)
	// A stop that was stored after b was read found no job to stop.
	if b, err = e.storage.store.BatchByID(ctx, batchID); err == nil && b.Stop != batch.StopNone {
		e.dispatcher.Stop(batchID, b.Stop)
	}
	return nil
}

// Created is told of each batch that was just stored.
func (e *Engine) Created(string) { e.validating.Wake() }

// Cancelled is told of each batch whose cancellation was just stored.
func (e *Engine) Cancelled(batchID string) { e.stop(batchID, batch.StopCancel) }

func (e *Engine) expired(batchID string) { e.stop(batchID, batch.StopExpire) }

func (e *Engine) stop(batchID string, s batch.Stop) {
	e.dispatcher.Stop(batchID, s)
	e.validating.Interrupt(batchID)
}

// closed is told of each batch that has just reached a terminal state.
func (e *Engine) closed(batchID string) {
	e.progress.Forget(batchID)
	e.mu.Lock()
	waiting := e.watchers[batchID]
	delete(e.watchers, batchID)
	e.mu.Unlock()
	for _, ch := range waiting {
		close(ch)
	}
	e.sender.Wake()
}
