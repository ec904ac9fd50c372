package sqlite

import (
	"context"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// CloseBatch implements store.Work. Files, final state and deliveries are one transaction: after a crash the batch has
// all of them or is finalized again, with the same bytes.
func (s *Store) CloseBatch(ctx context.Context, c store.Close) (batch.Batch, error) {
	var b batch.Batch
	err := s.writeReserved(ctx, func(ctx context.Context, t *tx) error {
		var err error
		if b, err = leasedBatch(ctx, t, c.Batch, c.Lease); err != nil {
			return err
		}
		if err := closable(b, c); err != nil {
			return err
		}
		output, err := insertResult(ctx, t, b, c.Output)
		if err != nil {
			return err
		}
		failed, err := insertResult(ctx, t, b, c.Error)
		if err != nil {
			return err
		}
		// The stop is read here and not by the caller, who may have leased the batch before a cancel.
		final := b.Stop.Closed()
		stamp := map[batch.Status]string{
			batch.Completed: "completed_at", batch.Expired: "expired_at", batch.Cancelled: "cancelled_at",
		}[final]
		// This clears the lease. Leaving a state that is not terminal also releases the input file, which may be purged
		// from then on.
		if _, err := t.change(ctx, `
			UPDATE batches SET status = ?, output_file_id = ?, error_file_id = ?, `+stamp+` = ?, updated_at = ?,
				version = version + 1, node = NULL
			WHERE seq = ? AND status = ? AND stop = ? AND lease = ?`,
			string(final), output, failed, nanos(c.Now), nanos(c.Now), b.Seq, string(b.Status), string(b.Stop),
			leaseColumn(&c.Lease)); err != nil {
			return err
		}
		if err := dropWork(ctx, t, b, c.Now); err != nil {
			return err
		}
		if err := enqueueDeliveries(ctx, t, b, final, c.Now); err != nil {
			return err
		}
		b, err = oneBatch(ctx, t, `b.seq = ?`, b.Seq)
		return err
	})
	if err != nil {
		return batch.Batch{}, fmt.Errorf("close batch %s: %w", c.Batch, err)
	}
	return b, nil
}

// closable refuses a batch that still has something to run, and files for one that never ran.
func closable(b batch.Batch, c store.Close) error {
	unstarted := b.Units == 0
	over := b.Ready || unstarted && b.Stop != batch.StopNone
	switch {
	case !over, !b.Status.CanMoveTo(b.Stop.Closed()):
		return fmt.Errorf("%s, stop %s, %d of %d units sealed: %w", b.Status, b.Stop, b.SealedUnits, b.Units, store.ErrConflict)
	case unstarted && (c.Output != nil || c.Error != nil):
		return fmt.Errorf("result files of a batch that never started: %w", store.ErrConflict)
	default:
		return nil
	}
}

// insertResult stores a result file, if there is one, and returns its id. That a caller mixed up tenants must not end
// in one tenant reading another's results, so it is checked here too.
func insertResult(ctx context.Context, t *tx, b batch.Batch, r *store.ResultFile) (string, error) {
	if r == nil {
		return "", nil
	}
	if r.File.Tenant != b.Tenant {
		return "", fmt.Errorf("result file %s is not of the batch's tenant", r.File.ID)
	}
	if err := insertFile(ctx, t, r.File, r.Blobs); err != nil {
		return "", fmt.Errorf("result file %s: %w", r.File.ID, err)
	}
	return r.File.ID, nil
}
