package unit

import (
	"context"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/store"
)

// Job is a running batch, as the dispatcher sees it: it opens and settles the batch's units.
type Job struct {
	keeper *Keeper
	input  *Input
}

var _ dispatch.Job = Job{}

// Job returns the job of the batch that in belongs to.
func (k *Keeper) Job(in *Input) Job { return Job{keeper: k, input: in} }

// Open opens a freshly leased unit.
func (j Job) Open(ctx context.Context, u batch.Unit) (dispatch.Unit, error) {
	opened, err := j.keeper.Open(ctx, j.input, u)
	if err != nil {
		return nil, err // not opened itself: a nil *Unit in an interface is no nil
	}
	return opened, nil
}

// Settle seals units that were never opened.
func (j Job) Settle(ctx context.Context, units []batch.Unit, stop batch.Stop) (store.SealResult, error) {
	return j.keeper.Settle(ctx, j.input, units, stop)
}
