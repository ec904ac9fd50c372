package unit

import (
	"context"
	"errors"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/plan"
)

// Input is what every unit of a batch reads: the batch, and the input file's content.
type Input struct {
	Batch   batch.Batch
	Content batch.Manifest
	// Replan makes the plan anew from the input file, the same bytes under the same key. It is called when the stored
	// plan turns out to be damaged; nil means that nothing can be done about that.
	Replan func(ctx context.Context) error
	blobs  blob.Store
}

// NewInput returns the input of a batch whose file has the given content.
func NewInput(b batch.Batch, content batch.Manifest, blobs blob.Store) *Input {
	return &Input{Batch: b, Content: content, blobs: blobs}
}

// line reads the bytes of one plan entry. They are checked against the blob's sums; a mismatch, and an
// entry that points past the file's end, are blob.ErrCorrupt.
func (in *Input) line(ctx context.Context, e plan.Entry) ([]byte, error) {
	raw := make([]byte, e.Length)
	if err := blob.ReadFileAt(ctx, in.blobs, in.Content, raw, e.Offset); err != nil {
		return nil, fmt.Errorf("read line %d: %w", e.Line, err)
	}
	return raw, nil
}

// entries reads a unit's run of plan entries. A damaged plan is made anew once: it says nothing that the input file
// does not say, and without it the batch would be stuck.
func (in *Input) entries(ctx context.Context, u batch.UnitSpan) ([]plan.Entry, error) {
	entries, err := plan.ReadEntries(ctx, in.blobs, in.Batch.Plan, u.First, u.Count)
	if err != nil && Unreadable(err) && in.Replan != nil {
		if err := in.Replan(ctx); err != nil {
			return nil, fmt.Errorf("make damaged plan anew: %w", err)
		}
		entries, err = plan.ReadEntries(ctx, in.blobs, in.Batch.Plan, u.First, u.Count)
	}
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	return entries, nil
}

// Unreadable reports whether an error of reading stored bytes means that they can never be read again.
func Unreadable(err error) bool {
	return errors.Is(err, blob.ErrCorrupt) || errors.Is(err, blob.ErrNotExist)
}
