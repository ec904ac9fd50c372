package sqlite

import (
	"context"
	"fmt"

	"batchd/internal/batch"
)

// CreateFailedBatch implements store.Batches. It goes through no other state, so it holds no input file and no stage
// is due. It counts against the rate of batches, or a client could fill the database with failed ones.
func (s *Store) CreateFailedBatch(ctx context.Context, b batch.Batch, errs []batch.LineError) (batch.Batch, error) {
	var got batch.Batch
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if err := checkBatchRate(ctx, t, b); err != nil {
			return err
		}
		if err := insertFailed(ctx, t, b, errs); err != nil {
			return err
		}
		if err := enqueueDeliveries(ctx, t, b, batch.Failed, b.CreatedAt); err != nil {
			return err
		}
		var err error
		got, err = oneBatch(ctx, t, `b.id = ?`, b.ID)
		return err
	})
	if err != nil {
		return batch.Batch{}, fmt.Errorf("create failed batch %s: %w", b.ID, err)
	}
	return got, nil
}

// insertFailed stores a batch and fails it at once, by the same insert as any other batch.
func insertFailed(ctx context.Context, t *tx, b batch.Batch, errs []batch.LineError) error {
	if err := insertBatch(ctx, t, b, 0); err != nil {
		return err
	}
	_, err := t.change(ctx, `
		UPDATE batches SET status = 'failed', failed_at = created_at, updated_at = created_at, version = version + 1,
			errors = ?, errors_total = ?
		WHERE id = ?`, listColumn(&errs), len(errs), b.ID)
	return err
}
