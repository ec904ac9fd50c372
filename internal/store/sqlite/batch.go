package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// batchColumns are the columns that batchDest scans, in the same order. Each statement that reads a batch reads all of
// them, so that there is one way to scan a row.
const batchColumns = `b.seq, b.id, b.tenant, b.key_id, b.dialect, b.endpoint, b.input_file_id, b.window, b.metadata,
	b.output_ttl, b.remark, b.status, b.stop, b.ready, b.version, b.created_at, b.expires_at, b.updated_at,
	b.in_progress_at, b.finalizing_at, b.completed_at, b.failed_at, b.expired_at, b.cancelling_at, b.cancelled_at,
	b.model, b.total, b.completed, b.failed, b.usage_input, b.usage_cached, b.usage_output, b.usage_reasoning,
	b.usage_total, b.errors, b.errors_total, b.plan, b.models, b.units, b.sealed_units, b.in_line_order,
	b.output_file_id, b.error_file_id, b.callback_url, b.continued_from, b.window_skew`

// batchDest returns where the columns go, for Scan.
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
		&b.OutputFileID, &b.ErrorFileID, &b.CallbackURL, &b.ContinuedFrom, &b.Skew,
	}
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

// isNotFound reports whether err says that there is no such row. Callers turn that into the sentinel of their contract.
func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// Batch implements store.Batches.
func (s *Store) Batch(ctx context.Context, tenant, id string) (batch.Batch, error) {
	b, err := oneBatch(ctx, s.readers, `b.id = ? AND b.tenant = ?`, id, tenant)
	if err != nil {
		return batch.Batch{}, fmt.Errorf("read batch %s: %w", id, err)
	}
	return b, nil
}

// BatchByID implements store.Work. It asks for no tenant: only the executor, who works for all of them, calls it.
func (s *Store) BatchByID(ctx context.Context, id string) (batch.Batch, error) {
	b, err := oneBatch(ctx, s.readers, `b.id = ?`, id)
	if err != nil {
		return batch.Batch{}, fmt.Errorf("read batch %s: %w", id, err)
	}
	return b, nil
}

// runningQuery selects by stage, a generated column that says what a batch needs next: validate, run, finalize, or NULL
// for nothing. Its partial index holds only batches that need something, so finished ones cost these queries nothing.
const runningQuery = `SELECT ` + batchColumns + ` FROM batches b WHERE b.stage = 'run' ORDER BY b.seq`

// RunningBatches implements store.Work.
func (s *Store) RunningBatches(ctx context.Context) ([]batch.Batch, error) {
	batches, err := all(ctx, s.readers, into(batchDest), runningQuery)
	if err != nil {
		return nil, fmt.Errorf("list running batches: %w", err)
	}
	return batches, nil
}

// CancelBatch implements store.Batches. On an error the batch is returned too, as far as it was read: callers of a
// cancel that came too late are shown in which state it is.
func (s *Store) CancelBatch(ctx context.Context, tenant, id string, now time.Time) (batch.Batch, error) {
	var b batch.Batch
	err := s.writeReserved(ctx, func(ctx context.Context, t *tx) error {
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
		// The conditions repeat what was just checked. Within one transaction they cannot fail; they keep the statement
		// right by itself, as it stands in the contract.
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
