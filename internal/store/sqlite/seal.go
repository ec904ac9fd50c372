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

var errMixedSeals = errors.New("seals must be of one batch, and at least one")

// SealUnits implements store.Work. It is the hot path of the store: some three commits for a thousand requests are all
// that running them costs. So it changes each unit's row once, and the batch's row as often for many seals as for one.
func (s *Store) SealUnits(ctx context.Context, seals []batch.Seal, now time.Time) (store.SealResult, error) {
	if len(seals) == 0 {
		return store.SealResult{}, fmt.Errorf("seal units: %w", errMixedSeals)
	}
	id := seals[0].Batch
	var result store.SealResult
	err := s.writeReserved(ctx, func(ctx context.Context, t *tx) error {
		seq, err := batchSeq(ctx, t, id)
		if isNotFound(err) {
			return store.ErrLeaseLost // as for any write under a lease
		}
		if err != nil {
			return err
		}
		var sum sealed
		for _, seal := range seals {
			if seal.Batch != id {
				return errMixedSeals
			}
			if err := sealUnit(ctx, t, seq, seal); err != nil {
				return err
			}
			sum.add(seal)
		}
		c, u := sum.counts, sum.usage
		if _, err := t.change(ctx, `
			UPDATE batches SET sealed_units = sealed_units + ?, completed = completed + ?, failed = failed + ?,
				usage_input = usage_input + ?, usage_cached = usage_cached + ?, usage_output = usage_output + ?,
				usage_reasoning = usage_reasoning + ?, usage_total = usage_total + ?
			WHERE seq = ?`,
			sum.units, c.Completed, c.Failed, u.Input, u.Cached, u.Output, u.Reasoning, u.Total, seq); err != nil {
			return err
		}
		result, err = markReady(ctx, t, seq, now)
		return err
	})
	if err != nil {
		return store.SealResult{}, fmt.Errorf("seal units of %s: %w", id, err)
	}
	return result, nil
}

// sealUnit seals one unit if it is leased under the seal's lease. Units are sealed once: a second seal finds state 2
// and is refused, whatever its lease.
func sealUnit(ctx context.Context, t *tx, seq int64, seal batch.Seal) error {
	n, err := t.change(ctx, `
		UPDATE units SET state = 2, segment = ?, segment_key = ?, output_bytes = ?, output_lines = ?, error_bytes = ?,
			error_lines = ?, failed = ?, usage_input = ?, usage_cached = ?, usage_output = ?, usage_reasoning = ?, usage_total = ?
		WHERE batch = ? AND ordinal = ? AND state = 1 AND lease = ?`,
		blobColumn(&seal.Segment), seal.Segment.Key, seal.OutputBytes, seal.OutputLines, seal.ErrorBytes,
		seal.ErrorLines, seal.Failed, seal.Usage.Input, seal.Usage.Cached, seal.Usage.Output, seal.Usage.Reasoning,
		seal.Usage.Total, seq, seal.Ordinal, leaseColumn(&seal.Lease))
	if err == nil && n == 0 {
		err = fmt.Errorf("unit %d: %w", seal.Ordinal, store.ErrLeaseLost)
	}
	return err
}

// sealed is what some seals add to their batch.
type sealed struct {
	units  int
	counts batch.Counts
	usage  batch.Usage
}

// add adds one more seal.
func (s *sealed) add(seal batch.Seal) {
	s.units++
	s.counts, s.usage = s.counts.Add(seal.Counts()), s.usage.Add(seal.Usage)
}

// markReady makes the batch ready once all its units are sealed, and moves one that was not stopped to finalizing.
func markReady(ctx context.Context, t *tx, seq int64, now time.Time) (store.SealResult, error) {
	if _, err := t.change(ctx, `UPDATE batches SET ready = 1 WHERE seq = ? AND sealed_units = units`, seq); err != nil {
		return store.SealResult{}, err
	}
	if _, err := t.change(ctx, `
		UPDATE batches SET status = 'finalizing', finalizing_at = ?, updated_at = ?, version = version + 1
		WHERE seq = ? AND ready AND status = 'in_progress' AND stop = 'none'`,
		nanos(now), nanos(now), seq); err != nil {
		return store.SealResult{}, err
	}
	var result store.SealResult
	_, err := one(ctx, t, []any{&result.Ready, &result.Stop}, `SELECT ready, stop FROM batches WHERE seq = ?`, seq)
	return result, err
}

// SealedUnits implements store.Work. It goes by ordinal and not by an offset, so that each page costs what it holds.
func (s *Store) SealedUnits(ctx context.Context, batchID string, first, n int) ([]batch.Seal, error) {
	seq, err := batchSeq(ctx, s.readers, batchID)
	var seals []batch.Seal
	if err == nil {
		seals, err = all(ctx, s.readers, func(rows *sql.Rows) (batch.Seal, error) {
			seal := batch.Seal{UnitID: batch.UnitID{Batch: batchID}}
			err := rows.Scan(append([]any{&seal.Ordinal}, sealDest(&seal)...)...)
			return seal, err
		}, `SELECT u.ordinal, `+sealColumns+` FROM units u
			WHERE u.batch = ? AND u.ordinal >= ? AND u.state = 2 ORDER BY u.ordinal LIMIT ?`, seq, first, max(n, 0))
	}
	if err != nil {
		return nil, fmt.Errorf("read seals of %s: %w", batchID, err)
	}
	return seals, nil
}
