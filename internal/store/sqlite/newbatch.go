package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// CreateBatch implements store.Batches. Of b it takes what its creator chose; all else starts at its beginning.
func (s *Store) CreateBatch(ctx context.Context, b batch.Batch) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error { return createBatch(ctx, t, b) })
	if err != nil {
		return fmt.Errorf("create batch %s: %w", b.ID, err)
	}
	return nil
}

// createBatch checks the input file and the quotas, and stores the batch. From then on the file is held: it cannot be
// purged while the batch has a stage to come.
func createBatch(ctx context.Context, t *tx, b batch.Batch) error {
	var lines int64
	found, err := one(ctx, t, []any{&lines}, `
		SELECT lines FROM files
		WHERE id = ? AND tenant = ? AND hidden_at IS NULL AND (expires_at IS NULL OR expires_at > ?)`,
		b.InputFileID, b.Tenant, decisive(b).UnixNano())
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("input file %s: %w", b.InputFileID, store.ErrNotFound)
	}
	if err := checkNewBatch(ctx, t, b, lines); err != nil {
		return err
	}
	return insertBatch(ctx, t, b, lines)
}

// decisive returns the time that decides what may be created: that of the clock which expiry goes by.
func decisive(b batch.Batch) time.Time { return b.CreatedAt.Add(-b.Ahead) }

// checkNewBatch refuses a batch of so many lines if it would exceed one of the tenant's quotas. It runs in the
// transaction that stores the batch, so that two calls cannot both take the last room.
func checkNewBatch(ctx context.Context, t *tx, b batch.Batch, lines int64) error {
	a, err := accountOf(ctx, t, b.Tenant)
	if err != nil {
		return err
	}
	open, err := a.openBatches(ctx, t, b.Tenant)
	if err != nil {
		return err
	}
	switch {
	case exceeds(a.limits.OpenBatches, open.batches, 1):
		return &store.QuotaError{Quota: store.QuotaOpenBatches, Limit: a.limits.OpenBatches, Used: open.batches}
	case exceeds(a.limits.EnqueuedLines, open.lines, lines):
		return &store.QuotaError{Quota: store.QuotaEnqueuedLines, Limit: a.limits.EnqueuedLines, Asked: lines, Used: open.lines}
	default:
		return a.checkBatchRate(ctx, t, b)
	}
}

// insertBatch stores what the creator of a batch chose; all else starts at its beginning.
func insertBatch(ctx context.Context, t *tx, b batch.Batch, lines int64) error {
	n, err := t.change(ctx, `
		INSERT INTO batches (id, tenant, key_id, dialect, endpoint, input_file_id, window, metadata, output_ttl, remark,
			callback_url, continued_from, enqueued_lines, status, stop, created_at, expires_at, clock_ahead, window_skew)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		b.ID, b.Tenant, b.KeyID, b.Dialect, b.Endpoint, b.InputFileID, b.Window, b.Metadata, int64(b.OutputTTL), b.Remark,
		b.CallbackURL, b.ContinuedFrom, lines, string(batch.Validating), string(batch.StopNone), nanos(b.CreatedAt),
		nanos(b.ExpiresAt), clockAhead(b), int64(max(0, -b.Ahead)))
	if err == nil && n == 0 {
		err = fmt.Errorf("id is taken: %w", store.ErrConflict)
	}
	return err
}

// clockAhead returns the column for a batch whose window is to be settled: by how much the wall clock was ahead of a clock
// that takes no steps at all. NULL is for all others.
func clockAhead(b batch.Batch) driver.Value {
	if b.Ahead == 0 {
		return nil
	}
	return int64(b.Ahead + b.Shift)
}

// CreateBatchOnce implements store.Batches. Looking for the key and taking it are one transaction, and writes follow
// one another, so of concurrent calls exactly one finds the key free.
func (s *Store) CreateBatchOnce(ctx context.Context, b batch.Batch, key store.IdempotencyKey) (batch.Batch, error) {
	got, err := s.once(ctx, b, key, func(ctx context.Context, t *tx) error { return createBatch(ctx, t, b) })
	if err != nil {
		return batch.Batch{}, fmt.Errorf("create batch %s once: %w", b.ID, err)
	}
	return got, nil
}

// CreateFailedBatchOnce implements store.Batches.
func (s *Store) CreateFailedBatchOnce(
	ctx context.Context, b batch.Batch, key store.IdempotencyKey, errs []batch.LineError,
) (batch.Batch, error) {
	got, err := s.once(ctx, b, key, func(ctx context.Context, t *tx) error { return createFailedBatch(ctx, t, b, errs) })
	if err != nil {
		return batch.Batch{}, fmt.Errorf("create failed batch %s once: %w", b.ID, err)
	}
	return got, nil
}

// once returns the batch of the key or, if the key is free, what create made of b, which then has it.
func (s *Store) once(
	ctx context.Context, b batch.Batch, key store.IdempotencyKey, create func(context.Context, *tx) error,
) (batch.Batch, error) {
	var got batch.Batch
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		var err error
		if got, err = batchOfKey(ctx, t, b.Tenant, key, decisive(b)); !isNotFound(err) {
			return err
		}
		if err = create(ctx, t); err != nil {
			return err
		}
		if got, err = oneBatch(ctx, t, `b.id = ?`, b.ID); err != nil {
			return err
		}
		// In place of any batch that had the key so long ago that it is forgotten. Its TTL begins at the later of both clocks:
		// one that is forgotten early would let a batch be made twice.
		_, err = t.change(ctx, `
			INSERT INTO idempotency_keys (tenant, key, fingerprint, batch, created_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (tenant, key) DO UPDATE SET
				fingerprint = excluded.fingerprint, batch = excluded.batch, created_at = excluded.created_at`,
			got.Tenant, key.Key, key.Fingerprint[:], got.Seq, b.CreatedAt.Add(max(0, -b.Ahead)).UnixNano())
		return err
	})
	return got, err
}

// BatchOfKey implements store.Batches.
func (s *Store) BatchOfKey(ctx context.Context, tenant string, key store.IdempotencyKey, now time.Time) (batch.Batch, error) {
	b, err := batchOfKey(ctx, s.readers, tenant, key, now)
	if err != nil {
		return batch.Batch{}, fmt.Errorf("read batch of a key: %w", err)
	}
	return b, nil
}

// keyQuery finds a key that is still remembered. One that is too old may be in the table until the sweeper comes by.
const keyQuery = `SELECT batch, fingerprint FROM idempotency_keys WHERE tenant = ? AND key = ? AND created_at > ?`

// batchOfKey returns the batch of a key, ErrNotFound for a free one, ErrKeyReused if the call asked for something else.
func batchOfKey(ctx context.Context, q querier, tenant string, key store.IdempotencyKey, now time.Time) (batch.Batch, error) {
	var seq int64
	var fingerprint []byte
	found, err := one(ctx, q, []any{&seq, &fingerprint}, keyQuery, tenant, key.Key, now.Add(-store.IdempotencyKeyTTL).UnixNano())
	switch {
	case err != nil:
		return batch.Batch{}, err
	case !found:
		return batch.Batch{}, store.ErrNotFound
	case !bytes.Equal(fingerprint, key.Fingerprint[:]):
		return batch.Batch{}, store.ErrKeyReused
	}
	return oneBatch(ctx, q, `b.seq = ?`, seq)
}

// CreateFailedBatch implements store.Batches. It goes through no other state, so it holds no input file and no stage
// is due. It counts against the rate of batches, or a client could fill the database with failed ones.
func (s *Store) CreateFailedBatch(ctx context.Context, b batch.Batch, errs []batch.LineError) (batch.Batch, error) {
	var got batch.Batch
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if err := createFailedBatch(ctx, t, b, errs); err != nil {
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

// createFailedBatch stores the batch, its end, and the deliveries that tell of it.
func createFailedBatch(ctx context.Context, t *tx, b batch.Batch, errs []batch.LineError) error {
	if err := checkBatchRate(ctx, t, b); err != nil {
		return err
	}
	if err := insertBatch(ctx, t, b, 0); err != nil {
		return err
	}
	if _, err := t.change(ctx, `
		UPDATE batches SET status = 'failed', failed_at = created_at, updated_at = created_at, version = version + 1,
			errors = ?, errors_total = ?
		WHERE id = ?`, listColumn(&errs), len(errs), b.ID); err != nil {
		return err
	}
	return enqueueDeliveries(ctx, t, b, batch.Failed, b.CreatedAt)
}
