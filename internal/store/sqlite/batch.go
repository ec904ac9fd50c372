package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// batchColumns are the columns that batchDest scans.
const batchColumns = `b.seq, b.id, b.tenant, b.key_id, b.dialect, b.endpoint, b.input_file_id, b.window, b.metadata,
	b.output_ttl, b.remark, b.status, b.stop, b.ready, b.version, b.created_at, b.expires_at, b.updated_at,
	b.in_progress_at, b.finalizing_at, b.completed_at, b.failed_at, b.expired_at, b.cancelling_at, b.cancelled_at,
	b.model, b.total, b.completed, b.failed, b.usage_input, b.usage_cached, b.usage_output, b.usage_reasoning,
	b.usage_total, b.errors, b.errors_total, b.plan, b.models, b.units, b.sealed_units, b.in_line_order,
	b.output_file_id, b.error_file_id, b.callback_url, b.continued_from`

func batchDest(b *batch.Batch) []any {
	return []any{
		&b.Seq, &b.ID, &b.Tenant, &b.KeyID, &b.Dialect, &b.Endpoint, &b.InputFileID, &b.Window, &b.Metadata,
		&b.OutputTTL, &b.Remark, &b.Status, &b.Stop, &b.Ready, &b.Version,
		timeColumn(&b.CreatedAt), timeColumn(&b.ExpiresAt), timeColumn(&b.UpdatedAt), timeColumn(&b.InProgressAt),
		timeColumn(&b.FinalizingAt), timeColumn(&b.CompletedAt), timeColumn(&b.FailedAt), timeColumn(&b.ExpiredAt),
		timeColumn(&b.CancellingAt), timeColumn(&b.CancelledAt),
		&b.Model, &b.Counts.Total, &b.Counts.Completed, &b.Counts.Failed, &b.Usage.Input, &b.Usage.Cached,
		&b.Usage.Output, &b.Usage.Reasoning, &b.Usage.Total, listColumn(&b.Errors), &b.ErrorsTotal,
		blobColumn(&b.Plan), listColumn(&b.Models), &b.Units, &b.SealedUnits, &b.InLineOrder,
		&b.OutputFileID, &b.ErrorFileID, &b.CallbackURL, &b.ContinuedFrom,
	}
}

func scanBatch(rows *sql.Rows) (batch.Batch, error) {
	var b batch.Batch
	err := rows.Scan(batchDest(&b)...)
	return b, err
}

// oneBatch returns the batch that a condition on the columns of b selects, or ErrNotFound.
func oneBatch(ctx context.Context, q querier, condition string, args ...any) (batch.Batch, error) {
	var b batch.Batch
	found, err := one(ctx, q, batchDest(&b), `SELECT `+batchColumns+` FROM batches b WHERE `+condition, args...)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return b, err
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// Batch implements store.Batches.
func (s *Store) Batch(ctx context.Context, tenant, id string) (batch.Batch, error) {
	b, err := oneBatch(ctx, s.readers, `b.id = ? AND b.tenant = ?`, id, tenant)
	if err != nil {
		return batch.Batch{}, fmt.Errorf("read batch %s: %w", id, err)
	}
	return b, nil
}

// BatchByID implements store.Work.
func (s *Store) BatchByID(ctx context.Context, id string) (batch.Batch, error) {
	b, err := oneBatch(ctx, s.readers, `b.id = ?`, id)
	if err != nil {
		return batch.Batch{}, fmt.Errorf("read batch %s: %w", id, err)
	}
	return b, nil
}

const runningQuery = `SELECT ` + batchColumns + ` FROM batches b WHERE b.stage = 'run' ORDER BY b.seq`

// RunningBatches implements store.Work.
func (s *Store) RunningBatches(ctx context.Context) ([]batch.Batch, error) {
	batches, err := all(ctx, s.readers, scanBatch, runningQuery)
	if err != nil {
		return nil, fmt.Errorf("list running batches: %w", err)
	}
	return batches, nil
}

// CancelBatch implements store.Batches.
func (s *Store) CancelBatch(ctx context.Context, tenant, id string, now time.Time) (batch.Batch, error) {
	var b batch.Batch
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		var err error
		if b, err = oneBatch(ctx, t, `b.id = ? AND b.tenant = ?`, id, tenant); err != nil {
			return err
		}
		if b.Status == batch.Cancelling || b.Status == batch.Cancelled {
			return nil
		}
		if b.Stop != batch.StopNone || !b.Status.CanMoveTo(batch.Cancelling) {
			return fmt.Errorf("%s, stop %s: %w", b.Status, b.Stop, store.ErrConflict)
		}
		if _, err := t.change(ctx, `
			UPDATE batches SET stop = 'cancel', status = 'cancelling', cancelling_at = ?, updated_at = ?, version = version + 1
			WHERE seq = ? AND stop = 'none' AND status = ?`,
			nanos(now), nanos(now), b.Seq, string(b.Status)); err != nil {
			return err
		}
		b, err = oneBatch(ctx, t, `b.seq = ?`, b.Seq)
		return err
	})
	if err != nil {
		return b, fmt.Errorf("cancel batch %s: %w", id, err)
	}
	return b, nil
}
