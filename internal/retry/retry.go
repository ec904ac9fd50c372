// Package retry makes a new batch of the lines of an ended one that have no good result: those that failed, expired or
// were cancelled. It owns which batches may be retried, what a retry takes over from the batch that it continues, and
// the copying of the lines into a file of its own (docs/adr/0012-retry-copies-lines.md). It
// promises that no file is left behind by a retry that was refused. It knows no HTTP and no idempotency key: how the
// new batch is stored is handed in.
package retry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/clock"
	"batchd/internal/store"
)

// cleanupTimeout bounds the removal of what a refused retry left, which goes on when the client has gone: one delete in
// the metadata store or the blob store, so a longer wait means that it is down.
const cleanupTimeout = 30 * time.Second

// Files is the part of the metadata store that a Retrier needs.
type Files interface {
	CreateFile(ctx context.Context, f batch.File) error
	DeleteFile(ctx context.Context, tenant, id string, now time.Time) error
}

// Options configures a Retrier; all fields but Time are required.
type Options struct {
	Files Files
	Blobs blob.Store
	// CopyUnfinished stores the lines of an ended batch that have no good result as one blob, and returns it with their
	// number. It is Copier.CopyUnfinished everywhere but in tests of those who call a Retrier.
	CopyUnfinished func(ctx context.Context, ended batch.Batch) (batch.Blob, int64, error)
	// Now is the wall clock, whose time is shown and stored. Time is what it shows beside the one that decides what has
	// expired; nil stands for a wall clock that nobody sets.
	Now    func() time.Time
	Time   func() clock.Time
	Logger *slog.Logger
}

// Retrier makes batches that continue ended ones. It may be used concurrently.
type Retrier struct{ o Options }

// New returns a retrier.
func New(o Options) *Retrier {
	if o.Time == nil {
		o.Time = func() clock.Time { return clock.Same(o.Now()) }
	}
	return &Retrier{o: o}
}

// Request says what is to be retried, and how.
type Request struct {
	// Ended is a batch that Check lets through.
	Ended batch.Batch
	// FileID and BatchID are the new ids of the input file that is made and of the batch that reads it.
	FileID, BatchID string
	// KeyID is the API key of the call.
	KeyID string
	// Window is the new batch's window; "" stands for that of the ended one.
	Window string
	// InputTTL is when the input file expires, from its creation on; 0 means never.
	InputTTL time.Duration
	// Create stores the new batch, whose input file is there by then, and returns the batch that is stored: another one
	// if a concurrent call for the same thing was faster.
	Create func(next batch.Batch) (batch.Batch, error)
}

// Check refuses, with a *batch.Error, a batch of which nothing is left to run, or may not be run yet.
func Check(ended batch.Batch) error {
	fault := &batch.Error{Class: batch.Conflict}
	switch {
	case !ended.Status.Terminal():
		fault.Code, fault.Message = "batch_not_ended", "This batch has not ended yet. Wait until it has, or cancel it, before you retry it."
	case ended.Status == batch.Failed:
		fault.Code, fault.Message = "batch_failed", "This batch failed validation, so none of its lines was run. Correct its input file and create a new batch."
	case ended.Counts.Total == 0:
		fault.Code, fault.Message = codeNothing, "This batch ended before its input file was read. Create a new batch with the same file."
	case ended.Counts.Total == ended.Counts.Completed:
		fault.Code, fault.Message = codeNothing, "Every line of this batch has a good result. There is nothing to retry."
	default:
		return nil
	}
	return fault
}

// codeNothing is the code of the refusal of a batch that has no line to retry.
const codeNothing = "nothing_to_retry"

// Retry copies the unfinished lines of a batch into a new input file and has a batch created that reads it. It returns
// what Request.Create returns. When that is an error, or another batch, the file is deleted again. Refusals that the
// user can do something about are *batch.Error or *store.QuotaError.
func (r *Retrier) Retry(ctx context.Context, q Request) (batch.Batch, error) {
	next, err := q.next(r.o.Time())
	if err != nil {
		return batch.Batch{}, err
	}
	if err := r.createInput(ctx, q, next); err != nil {
		return batch.Batch{}, err
	}
	stored, err := q.Create(next)
	if err != nil || stored.ID != next.ID {
		// The file's bytes follow with the sweeper, as those of every deleted file do.
		r.cleanUp(ctx, q.Ended.ID, func(ctx context.Context) error {
			return r.o.Files.DeleteFile(ctx, next.Tenant, next.InputFileID, r.o.Time().Steady)
		})
	}
	return stored, err
}

// next returns the batch that continues the ended one. It keeps the dialect, whichever the call was made in: only the
// dialect that the lines were written for is sure to understand them.
func (q Request) next(now clock.Time) (batch.Batch, error) {
	ended := q.Ended
	window := q.Window
	if window == "" {
		window = ended.Window
	}
	length, err := batch.ParseWindow(window)
	if err != nil {
		return batch.Batch{}, fmt.Errorf("window of the retry of batch %s: %w", ended.ID, err)
	}
	return batch.Batch{
		ID: q.BatchID, Tenant: ended.Tenant, KeyID: q.KeyID, Dialect: ended.Dialect, Endpoint: ended.Endpoint,
		InputFileID: q.FileID, Window: window, Metadata: ended.Metadata, OutputTTL: ended.OutputTTL,
		Remark: ended.Remark, CallbackURL: ended.CallbackURL, ContinuedFrom: ended.ID,
		Status: batch.Validating, Stop: batch.StopNone, CreatedAt: now.Wall, ExpiresAt: now.Wall.Add(length),
		Ahead: now.Ahead(), Shift: now.Shift,
	}, nil
}

// createInput makes the input file of the next batch.
func (r *Retrier) createInput(ctx context.Context, q Request, next batch.Batch) error {
	unfinished, lines, err := r.o.CopyUnfinished(ctx, q.Ended)
	if err != nil {
		return fmt.Errorf("copy unfinished lines of batch %s: %w", q.Ended.ID, err)
	}
	file := batch.File{
		ID: next.InputFileID, Tenant: next.Tenant, Dialect: next.Dialect, Name: q.Ended.ID + "_retry.jsonl",
		Purpose: batch.PurposeBatch, Bytes: unfinished.Size, Lines: lines, CreatedAt: next.CreatedAt,
		Content: batch.Manifest{}.Append(unfinished, 0, unfinished.Size),
	}
	if q.InputTTL > 0 {
		file.ExpiresAt = next.CreatedAt.Add(max(0, -next.Ahead)).Add(q.InputTTL) // early by neither clock
	}
	err = r.o.Files.CreateFile(ctx, file)
	var quota *store.QuotaError
	if errors.As(err, &quota) {
		// After a quota error no row refers to the blob, so it may go at once; a tenant at its quota may try often. After any
		// other error a row might, and the blob is left to the sweeper, which looks before it deletes.
		r.cleanUp(ctx, q.Ended.ID, func(ctx context.Context) error { return r.o.Blobs.Delete(ctx, unfinished.Key) })
	}
	if err != nil {
		return fmt.Errorf("create file %s: %w", file.ID, err)
	}
	return nil
}

// cleanUp removes what a refused retry left, also if the client has gone.
func (r *Retrier) cleanUp(ctx context.Context, ended string, remove func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := remove(ctx); err != nil {
		r.o.Logger.WarnContext(ctx, "remains of a refused retry not removed", "batch", ended, "error", err)
	}
}
