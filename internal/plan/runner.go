package plan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/extsort"
	"batchd/internal/failpoint"
	"batchd/internal/store"
)

// Store is the part of the metadata store that the validating stage needs.
type Store interface {
	InputFile(ctx context.Context, batchID string) (batch.File, error)
	StartBatch(ctx context.Context, s store.Start) error
	FailBatch(ctx context.Context, f store.Failure) error
	CloseBatch(ctx context.Context, c store.Close) (batch.Batch, error)
}

// RunnerOptions configures a Runner; all fields but KnownModel are required.
type RunnerOptions struct {
	Store       Store
	Blobs       blob.Store
	Dialect     func(name string) (dialect.Dialect, error)
	MixedModels bool
	Limits      func(dialectName string) batch.Limits
	// KnownModel returns the check that Input.KnownModel describes, as it stands now.
	KnownModel func(ctx context.Context) func(model string) bool
	Temp       extsort.Temp
	// Started is called after a batch was started, Closed after it reached a terminal state here.
	Started func(batchID string)
	Closed  func(batchID string)
	Now     func() time.Time
	Logger  *slog.Logger
}

// Runner takes leased batches through validation.
type Runner struct{ o RunnerOptions }

// NewRunner returns a runner.
func NewRunner(o RunnerOptions) *Runner { return &Runner{o: o} }

// Run validates one batch under a lease and starts it, fails it, or closes it if it was stopped. An error means that
// nothing was decided.
func (r *Runner) Run(ctx context.Context, b batch.Batch, lease batch.LeaseID) error {
	if b.Stop != batch.StopNone {
		return r.closeStopped(ctx, b, lease)
	}
	result, err := r.validate(ctx, b, blob.BatchKey("plans", b.ID, lease.String()), r.o.KnownModel(ctx))
	if fault := faultOf(err, b); fault != nil {
		r.o.Logger.Error("input file is unusable", "batch", b.ID, "error", err)
		result, err = Result{Errors: []batch.LineError{*fault}, ErrorsTotal: 1}, nil
	}
	if err != nil {
		return fmt.Errorf("validate batch %s: %w", b.ID, err)
	}
	if result.ErrorsTotal == 0 {
		result, err = r.start(ctx, b, lease, result)
	}
	if err == nil && result.ErrorsTotal > 0 {
		err = r.o.Store.FailBatch(ctx, store.Failure{
			Batch: b.ID, Lease: lease, Now: r.o.Now(), Errors: result.Errors, Total: result.ErrorsTotal,
		})
	}
	switch {
	case errors.Is(err, store.ErrConflict): // stopped meanwhile
		return r.closeStopped(ctx, b, lease)
	case err != nil:
		return fmt.Errorf("end validation of batch %s: %w", b.ID, err)
	case result.ErrorsTotal > 0:
		r.o.Closed(b.ID)
	default:
		failpoint.Hit(failpoint.BatchStarted)
		r.o.Started(b.ID)
	}
	return nil
}

// BytesPerToken is how many bytes of a request stand for a token in the estimate that quotas of tokens work with: about
// what English text has, and JSON around it.
const BytesPerToken = 4

// start starts a batch whose lines are all good. A batch that its tenant has no room for gets the error that says so.
func (r *Runner) start(ctx context.Context, b batch.Batch, lease batch.LeaseID, result Result) (Result, error) {
	failpoint.Hit(failpoint.PlanStored)
	var bytes int64
	for _, u := range result.Units {
		bytes += u.Bytes
	}
	err := r.o.Store.StartBatch(ctx, store.Start{
		Batch: b.ID, Lease: lease, Now: r.o.Now(), Units: result.Units, Total: result.Total, Tokens: bytes / BytesPerToken,
		Plan: result.Plan, Models: result.Models, InLineOrder: result.InLineOrder,
	})
	var over *store.QuotaError
	if !errors.As(err, &over) {
		return result, err
	}
	d, err := r.o.Dialect(b.Dialect)
	if err != nil {
		return result, err
	}
	return Result{Errors: []batch.LineError{d.TokenLimit(result.Model, over.Asked, over.Limit)}, ErrorsTotal: 1}, nil
}

// Replan puts the plan of a started batch again, after the stored one was found damaged. Planning is a pure function
// of the input file, so the bytes are the same; if they are not, the error says so and the plan is of no use.
func (r *Runner) Replan(ctx context.Context, b batch.Batch) error {
	r.o.Logger.Error("stored plan is damaged; making it anew from the input file", "batch", b.ID, "key", b.Plan.Key)
	result, err := r.validate(ctx, b, b.Plan.Key, nil)
	if err != nil {
		return fmt.Errorf("plan batch %s again: %w", b.ID, err)
	}
	if !slices.Equal(result.Plan.Sums, b.Plan.Sums) {
		return fmt.Errorf("plan batch %s again: %w: the input file gives another plan than before", b.ID, blob.ErrCorrupt)
	}
	return nil
}

// validate runs the pass over a batch's input file; known is the check of models, nil for none.
func (r *Runner) validate(ctx context.Context, b batch.Batch, planKey string, known func(string) bool) (Result, error) {
	d, err := r.o.Dialect(b.Dialect)
	if err != nil {
		return Result{}, err
	}
	file, err := r.o.Store.InputFile(ctx, b.ID)
	if err != nil {
		return Result{}, fmt.Errorf("find input file: %w", err)
	}
	content, err := blob.Content(ctx, r.o.Blobs, file)
	if err != nil {
		return Result{}, fmt.Errorf("read manifest of input file: %w", err)
	}
	return Validate(ctx, Input{
		Blobs: r.o.Blobs, Dialect: d, Content: content, Rules: dialect.LineRules{Endpoint: b.Endpoint},
		MixedModels: r.o.MixedModels, Limits: r.o.Limits(b.Dialect), KnownModel: known,
		PlanKey: planKey, Temp: r.o.Temp, Logger: r.o.Logger,
	})
}

// closeStopped closes a batch that was stopped before anything was sent: total 0, no files.
func (r *Runner) closeStopped(ctx context.Context, b batch.Batch, lease batch.LeaseID) error {
	if _, err := r.o.Store.CloseBatch(ctx, store.Close{Batch: b.ID, Lease: lease, Now: r.o.Now()}); err != nil {
		return fmt.Errorf("close stopped batch %s: %w", b.ID, err)
	}
	r.o.Closed(b.ID)
	return nil
}

// faultOf returns what to show for an input file that can never be validated, nil for any other error.
func faultOf(err error, b batch.Batch) *batch.LineError {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &batch.LineError{Code: "invalid_request", Param: "file_id", Message: fmt.Sprintf("Cannot find file %s.", b.InputFileID)}
	case errors.Is(err, blob.ErrCorrupt), errors.Is(err, blob.ErrNotExist):
		return &batch.LineError{Code: string(batch.CodeInputUnreadable), Message: fmt.Sprintf(
			"The stored bytes of file %s have changed since the upload. Upload the file again.", b.InputFileID)}
	default:
		return nil
	}
}
