package sqlite

import (
	"context"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// EditBatch implements store.Batches. The version moves even if the value stays, since a client that edits expects to
// see that it did.
func (s *Store) EditBatch(ctx context.Context, tenant, id string, e store.Edit, now time.Time) (batch.Batch, error) {
	var b batch.Batch
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.change(ctx, `
			UPDATE batches SET remark = coalesce(?, remark), updated_at = ?, version = version + 1 WHERE id = ? AND tenant = ?`,
			e.Remark, nanos(now), id, tenant)
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		// Read back in the same transaction, so that the answer shows this edit and no later one.
		b, err = oneBatch(ctx, t, `b.id = ?`, id)
		return err
	})
	if err != nil {
		return batch.Batch{}, fmt.Errorf("edit batch %s: %w", id, err)
	}
	return b, nil
}
