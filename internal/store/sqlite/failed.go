package sqlite

import (
	"context"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// CreateFailedBatch implements store.Batches. It goes through no other state, so it holds nothing and no stage is due.
func (s *Store) CreateFailedBatch(ctx context.Context, b batch.Batch, errs []batch.LineError) (batch.Batch, error) {
	var got batch.Batch
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if err := checkBatchRate(ctx, t, b); err != nil {
			return err
		}
		if err := insertFailed(ctx, t, b, errs); err != nil {
			return err
		}
		if err := tell(ctx, t, b, batch.Failed, b.CreatedAt); err != nil {
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

func insertFailed(ctx context.Context, t *tx, b batch.Batch, errs []batch.LineError) error {
	created := nanos(b.CreatedAt)
	n, err := t.change(ctx, `
		INSERT INTO batches (id, tenant, key_id, dialect, endpoint, input_file_id, window, metadata, output_ttl, remark,
			callback_url, continued_from, status, stop, version, created_at, expires_at, updated_at, failed_at, errors,
			errors_total)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		b.ID, b.Tenant, b.KeyID, b.Dialect, b.Endpoint, b.InputFileID, b.Window, b.Metadata, int64(b.OutputTTL), b.Remark,
		b.CallbackURL, b.ContinuedFrom, string(batch.Failed), string(batch.StopNone), created, nanos(b.ExpiresAt), created,
		created, listColumn(&errs), len(errs))
	if err == nil && n == 0 {
		err = fmt.Errorf("id is taken: %w", store.ErrConflict)
	}
	return err
}
