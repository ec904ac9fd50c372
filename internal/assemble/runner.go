package assemble

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/extsort"
	"batchd/internal/failpoint"
	"batchd/internal/store"
)

// Store is the part of the metadata store that the finalizing stage needs.
type Store interface {
	Seals
	CloseBatch(ctx context.Context, c store.Close) (batch.Batch, error)
}

// RunnerOptions configures a Runner; all fields but OutputTTL and TTLFrom are required.
type RunnerOptions struct {
	Store   Store
	Blobs   blob.Store
	Dialect func(name string) (dialect.Dialect, error)
	Temp    extsort.Temp
	// OutputTTL is when result files expire whose batch says nothing, from their creation on; 0 means never.
	OutputTTL time.Duration
	// Closed is called after a batch reached its terminal state.
	Closed func(batchID string)
	// Now is the wall clock, whose time is stored. TTLFrom is the time from which the files' TTL counts, as package clock says;
	// nil stands for Now.
	Now     func() time.Time
	TTLFrom func() time.Time
	Logger  *slog.Logger
}

// Runner takes leased batches whose units are all sealed to their files.
type Runner struct{ o RunnerOptions }

// NewRunner returns a runner.
func NewRunner(o RunnerOptions) *Runner {
	if o.TTLFrom == nil {
		o.TTLFrom = o.Now
	}
	return &Runner{o: o}
}

// Run makes a batch's files and closes it, both under the lease. An error means that the batch is as it was.
func (r *Runner) Run(ctx context.Context, b batch.Batch, lease batch.LeaseID) error {
	d, err := r.o.Dialect(b.Dialect)
	if err != nil {
		return fmt.Errorf("finalize batch %s: %w", b.ID, err)
	}
	if b.OutputTTL == 0 {
		b.OutputTTL = r.o.OutputTTL
	}
	now := r.o.Now()
	output, failed, err := Assemble(ctx, Input{
		Seals: r.o.Store, Blobs: r.o.Blobs, Batch: b, Lease: lease, NewFileID: d.NewFileID, Now: now, TTLFrom: r.o.TTLFrom(),
		Temp: r.o.Temp, Logger: r.o.Logger,
	})
	if err != nil {
		return fmt.Errorf("finalize batch %s: %w", b.ID, err)
	}
	failpoint.Hit(failpoint.ManifestsStored)
	_, err = r.o.Store.CloseBatch(ctx, store.Close{Batch: b.ID, Lease: lease, Now: now, Output: output, Error: failed})
	if err != nil {
		return fmt.Errorf("close batch %s: %w", b.ID, err)
	}
	failpoint.Hit(failpoint.BatchClosed)
	r.o.Closed(b.ID)
	return nil
}
