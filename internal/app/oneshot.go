package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/config"
	"batchd/internal/dialect"
	"batchd/internal/oneshot"
	"batchd/internal/store"
	"batchd/internal/tenant"
	"batchd/internal/upstream"
)

const (
	// endless is how far away the end of a one-shot run's window is: whoever waits for a run decides when to give up.
	endless = 50 * 365 * 24 * time.Hour
	// endlessWindow is what the window is called in the store; nobody sees it.
	endlessWindow = "30d"
)

var _ oneshot.Engine = (*Engine)(nil)

// OneShot returns the options of a one-shot run: engines by the settings, each in the directory of its run, where nothing
// expires.
func OneShot(cfg config.Config, logger *slog.Logger, observe func(oneshot.Progress)) oneshot.Options {
	return oneshot.Options{
		Endpoints: append(dialect.Endpoints(), cfg.Endpoints...),
		Open: func(ctx context.Context, dir string) (oneshot.Engine, error) {
			// A run reads its results once, at its end.
			cfg.DataDir, cfg.Retention, cfg.Scrub.Every = dir, config.Retention{}, 0
			// The progress shows the reasons to wait; a log would say them a second time.
			e, err := open(ctx, cfg, logger, slog.New(slog.DiscardHandler), time.Now)
			if err != nil {
				return nil, err // not e, a nil pointer in an interface that is not nil
			}
			return e, nil
		},
		Observe: observe,
	}
}

// Submit implements oneshot.Engine.
func (e *Engine) Submit(ctx context.Context, s oneshot.Submission) (batch.Batch, error) {
	b, err := e.storage.store.BatchByID(ctx, s.Batch)
	if !errors.Is(err, store.ErrNotFound) {
		return b, err
	}
	if err := e.importInput(ctx, s); err != nil {
		return batch.Batch{}, err
	}
	who, err := tenant.Open{Tenant: e.tenant}.Authenticate(nil)
	if err != nil {
		return batch.Batch{}, err
	}
	now := e.clock.Read()
	b = batch.Batch{
		ID: s.Batch, Tenant: who.Tenant, KeyID: who.KeyID, Dialect: e.cfg.Dialect.Default, Endpoint: s.Endpoint,
		InputFileID: s.File, Window: endlessWindow, Status: batch.Validating, Stop: batch.StopNone,
		CreatedAt: now.Wall, ExpiresAt: now.Wall.Add(endless), Ahead: now.Ahead(), Shift: now.Shift,
	}
	if err := e.storage.store.CreateBatch(ctx, b); err != nil {
		return batch.Batch{}, fmt.Errorf("create batch: %w", err)
	}
	return b, nil
}

// importInput copies an input into the blob store, unless an earlier process did: the file's row, written last, says so.
func (e *Engine) importInput(ctx context.Context, s oneshot.Submission) error {
	_, err := e.storage.store.File(ctx, e.tenant, s.File, e.clock.Now())
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	input, err := s.Input()
	if err != nil {
		return err
	}
	defer input.Close()
	stored, err := e.storage.blobs.Put(ctx, "files/"+s.File, input)
	if err != nil {
		return fmt.Errorf("copy input: %w", err)
	}
	file := batch.File{
		ID: s.File, Tenant: e.tenant, Dialect: e.cfg.Dialect.Default, Name: s.Name, Purpose: batch.PurposeBatch,
		Bytes: stored.Size, Lines: s.Lines, CreatedAt: e.clock.Wall(),
	}
	if stored.Size > 0 {
		file.Content = batch.Manifest{}.Append(stored, 0, stored.Size)
	}
	if err := e.storage.store.CreateFile(ctx, file); err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	return nil
}

// Wait implements oneshot.Engine.
func (e *Engine) Wait(ctx context.Context, batchID string) (batch.Batch, error) {
	ended := e.watch(batchID)
	running, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-ended:
			stop()
		case <-running.Done():
		}
	})
	stopped := e.Run(running)
	stop()
	watching.Wait()
	b, err := e.storage.store.BatchByID(context.WithoutCancel(ctx), batchID)
	return b, errors.Join(stopped, err)
}

// watch returns a channel that is closed when the batch has reached its end.
func (e *Engine) watch(batchID string) <-chan struct{} {
	ended := make(chan struct{})
	e.mu.Lock()
	e.watchers[batchID] = append(e.watchers[batchID], ended)
	e.mu.Unlock()
	return ended
}

// Progress implements oneshot.Engine.
func (e *Engine) Progress(ctx context.Context, batchID string) (oneshot.Progress, error) {
	b, err := e.storage.store.BatchByID(ctx, batchID)
	if err != nil {
		return oneshot.Progress{}, err
	}
	p := oneshot.Progress{
		Status: b.Status, Total: b.Counts.Total, Completed: b.Counts.Completed, Failed: b.Counts.Failed,
		InFlight: e.dispatcher.InFlight(), OutputTokens: b.Usage.Output,
	}
	if live, ok := e.progress.Counts(b.ID); ok && !b.Status.Terminal() {
		p.Completed, p.Failed = live.Completed, live.Failed
	}
	for _, u := range e.dispatcher.Upstreams() {
		if len(u.Gates) > 0 { // lines go there
			p.Refusals = append(p.Refusals, oneshot.Refusal{Host: u.Name, Reason: upstream.Reason(u.Refused)})
		}
	}
	p.Waiting = e.waitingAt(b.ID, func(place int) string {
		if place == 0 || len(e.ups.targets) == 1 {
			return ""
		}
		return e.ups.targets[place-1].Upstream.Name()
	})
	return p, nil
}

// Open implements oneshot.Engine.
func (e *Engine) Open(ctx context.Context, fileID string) (io.ReadCloser, error) {
	f, err := e.storage.store.File(ctx, e.tenant, fileID, e.clock.Now())
	if err != nil {
		return nil, fmt.Errorf("find result file: %w", err)
	}
	content, err := blob.Content(ctx, e.storage.blobs, f)
	if err != nil {
		return nil, err
	}
	return blob.NewReader(ctx, e.storage.blobs, content, 0, f.Bytes), nil
}
