package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/store"
)

var _ store.Audit = (*Store)(nil)

// unknownBatchesQuery lists the positions, in a JSON array, of ids that no batch has.
const unknownBatchesQuery = `
	SELECT k.key FROM json_each(?) k
	WHERE NOT EXISTS (SELECT 1 FROM batches b WHERE b.id = k.value) ORDER BY k.key`

// UnknownBatches implements store.Audit.
func (s *Store) UnknownBatches(ctx context.Context, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, fmt.Errorf("find unknown batches: %w", err)
	}
	unknown, err := all(ctx, s.readers, func(rows *sql.Rows) (string, error) {
		var i int
		err := rows.Scan(&i)
		return ids[i], err
	}, unknownBatchesQuery, string(list))
	if err != nil {
		return nil, fmt.Errorf("find unknown batches: %w", err)
	}
	return unknown, nil
}

// sealColumns are the columns of a unit that say what became of it.
const sealColumns = `u.lease, u.segment, u.output_bytes, u.output_lines, u.error_bytes, u.error_lines, u.failed,
	u.usage_input, u.usage_cached, u.usage_output, u.usage_reasoning, u.usage_total`

// sealDest returns where sealColumns go; batch and ordinal are the caller's to set.
func sealDest(s *batch.Seal) []any {
	return []any{
		leaseColumn(&s.Lease), blobColumn(&s.Segment), &s.OutputBytes, &s.OutputLines, &s.ErrorBytes, &s.ErrorLines, &s.Failed,
		&s.Usage.Input, &s.Usage.Cached, &s.Usage.Output, &s.Usage.Reasoning, &s.Usage.Total,
	}
}

// unitRowsQuery goes by ordinal, so that each page costs what it holds.
const unitRowsQuery = `
	SELECT u.state, ` + unitColumns + `, ` + sealColumns + ` FROM units u
	WHERE u.batch = ? AND u.ordinal >= ? ORDER BY u.ordinal LIMIT ?`

// UnitRows implements store.Audit.
func (s *Store) UnitRows(ctx context.Context, batchID string, first, n int) ([]store.UnitRow, error) {
	seq, err := batchSeq(ctx, s.readers, batchID)
	var units []store.UnitRow
	if err == nil {
		units, err = all(ctx, s.readers, func(rows *sql.Rows) (store.UnitRow, error) {
			var state int
			u := store.UnitRow{Unit: batch.Unit{UnitID: batch.UnitID{Batch: batchID}}}
			seal := &batch.Seal{}
			err := rows.Scan(append(append([]any{&state}, unitDest(&u.Unit)...), sealDest(seal)...)...)
			u.Lease, u.Held = seal.Lease, state == unitLeased
			if state == unitSealed {
				u.Seal, seal.UnitID = seal, u.UnitID
			}
			return u, err
		}, unitRowsQuery, seq, first, max(n, 0))
	}
	if err != nil {
		return nil, fmt.Errorf("read units of %s: %w", batchID, err)
	}
	return units, nil
}
