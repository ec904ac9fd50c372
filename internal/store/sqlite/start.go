package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// unitsPerInsert is how many rows one statement inserts: enough to make the cost of a call vanish, and 6 × 250
// parameters are far below SQLite's limit of 32,766.
const unitsPerInsert = 250

var errNoUnits = errors.New("no units")

// InputFile implements store.Work. It looks at neither hidden_at nor expires_at: a batch that was accepted reads its
// input to the end.
func (s *Store) InputFile(ctx context.Context, batchID string) (batch.File, error) {
	var f batch.File
	found, err := one(ctx, s.readers, fileDest(&f), `
		SELECT `+fileColumns+` FROM batches b JOIN files f ON f.id = b.input_file_id WHERE b.id = ?`, batchID)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	if err != nil {
		return batch.File{}, fmt.Errorf("read input file of %s: %w", batchID, err)
	}
	return f, nil
}

// StartBatch implements store.Work. 20,000 units take about 70 ms, during which other writes wait; that is why rows go
// in many at a time.
func (s *Store) StartBatch(ctx context.Context, st store.Start) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if len(st.Units) == 0 {
			return errNoUnits
		}
		b, err := validatedBatch(ctx, t, st.Batch, st.Lease, batch.InProgress)
		if err != nil {
			return err
		}
		if err := checkTokens(ctx, t, b.Tenant, st.Tokens); err != nil {
			return err
		}
		// The model that is shown, if there is one only.
		model := ""
		if len(st.Models) == 1 {
			model = st.Models[0]
		}
		if _, err := t.change(ctx, `
			UPDATE batches SET status = 'in_progress', in_progress_at = ?, updated_at = ?, version = version + 1,
				total = ?, enqueued_lines = ?, enqueued_tokens = ?, plan = ?, plan_key = ?, models = ?, model = ?,
				units = ?, in_line_order = ?, node = NULL
			WHERE seq = ? AND status = 'validating' AND stop = 'none' AND lease = ?`,
			nanos(st.Now), nanos(st.Now), st.Total, st.Total, st.Tokens, blobColumn(&st.Plan), st.Plan.Key,
			listColumn(&st.Models), model, len(st.Units), st.InLineOrder, b.Seq, leaseColumn(&st.Lease)); err != nil {
			return err
		}
		return insertUnits(ctx, t, b.Seq, st.Units)
	})
	if err != nil {
		return fmt.Errorf("start batch %s: %w", st.Batch, err)
	}
	return nil
}

// checkTokens refuses to start a batch of so many tokens if that would exceed the tenant's quota. The batch itself is
// among the open ones, with no tokens yet.
func checkTokens(ctx context.Context, t *tx, tenant string, tokens int64) error {
	a, err := accountOf(ctx, t, tenant)
	if err != nil || a.limits.EnqueuedTokens <= 0 {
		return err
	}
	open, err := a.openBatches(ctx, t, tenant)
	if err == nil && exceeds(a.limits.EnqueuedTokens, open.tokens, tokens) {
		err = &store.QuotaError{Quota: store.QuotaEnqueuedTokens, Limit: a.limits.EnqueuedTokens, Asked: tokens, Used: open.tokens}
	}
	return err
}

// validatedBatch returns the batch whose validation has ended, if it is held under lease, runs, and may go on to next.
func validatedBatch(ctx context.Context, t *tx, id string, lease batch.LeaseID, next batch.Status) (batch.Batch, error) {
	b, err := leasedBatch(ctx, t, id, lease)
	if err != nil {
		return b, err
	}
	if b.Stop != batch.StopNone || !b.Status.CanMoveTo(next) {
		return b, fmt.Errorf("%s, stop %s: %w", b.Status, b.Stop, store.ErrConflict)
	}
	return b, nil
}

// insertUnits inserts full groups of rows, and what is left one by one: two statements to prepare, whatever the number.
func insertUnits(ctx context.Context, t *tx, seq int64, units []batch.UnitSpan) error {
	args := make([]any, 0, 6*unitsPerInsert)
	for i := 0; i < len(units); {
		n := unitsPerInsert
		if len(units)-i < n {
			n = 1
		}
		args = args[:0]
		for _, u := range units[i : i+n] {
			args = append(args, seq, i, u.First, u.Count, u.Model, u.Bytes)
			i++
		}
		query := `INSERT INTO units (batch, ordinal, first, count, model, bytes) VALUES (?, ?, ?, ?, ?, ?)` +
			strings.Repeat(`, (?, ?, ?, ?, ?, ?)`, n-1)
		if _, err := t.change(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}

// FailBatch implements store.Work. It makes no units and no counts: the batch fails as a whole, and none of its lines
// was run.
func (s *Store) FailBatch(ctx context.Context, f store.Failure) error {
	err := s.writeReserved(ctx, func(ctx context.Context, t *tx) error {
		b, err := validatedBatch(ctx, t, f.Batch, f.Lease, batch.Failed)
		if err != nil {
			return err
		}
		if _, err = t.change(ctx, `
			UPDATE batches SET status = 'failed', failed_at = ?, updated_at = ?, version = version + 1,
				errors = ?, errors_total = ?, node = NULL
			WHERE seq = ? AND status = 'validating' AND stop = 'none' AND lease = ?`,
			nanos(f.Now), nanos(f.Now), listColumn(&f.Errors), f.Total, b.Seq, leaseColumn(&f.Lease)); err != nil {
			return err
		}
		return enqueueDeliveries(ctx, t, b, batch.Failed, f.Now)
	})
	if err != nil {
		return fmt.Errorf("fail batch %s: %w", f.Batch, err)
	}
	return nil
}
