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

// allFilesQuery walks the primary key.
const allFilesQuery = `
	SELECT ` + fileColumns + ` FROM files f WHERE f.seq > ? AND f.hidden_at IS NULL ORDER BY f.seq LIMIT ?`

// AllFiles implements store.Audit.
func (s *Store) AllFiles(ctx context.Context, after int64, n int) ([]batch.File, error) {
	files, err := all(ctx, s.readers, into(fileDest), allFilesQuery, after, max(n, 0))
	if err != nil {
		return nil, fmt.Errorf("list files of all tenants: %w", err)
	}
	return files, nil
}

// allPartsQuery walks the primary key.
const allPartsQuery = `
	SELECT p.seq, p.id, u.id, p.content, p.broken, p.head, p.tail, p.whole, p.created_at
	FROM upload_parts p JOIN uploads u ON u.seq = p.upload WHERE p.seq > ? ORDER BY p.seq LIMIT ?`

// AllParts implements store.Audit.
func (s *Store) AllParts(ctx context.Context, after int64, n int) ([]store.StoredPart, error) {
	parts, err := all(ctx, s.readers, into(func(p *store.StoredPart) []any {
		return []any{
			&p.Seq, &p.ID, &p.Upload, blobColumn(&p.Content), &p.Lines.Broken, &p.Lines.Head, &p.Lines.Tail, &p.Lines.Whole,
			timeColumn(&p.CreatedAt),
		}
	}), allPartsQuery, after, max(n, 0))
	if err != nil {
		return nil, fmt.Errorf("list parts of all uploads: %w", err)
	}
	return parts, nil
}

// Verify implements store.Audit: every page, every index against its table, and every reference from row to row.
func (s *Store) Verify(ctx context.Context, problem func(text string) error) error {
	pages, err := all(ctx, s.readers, func(rows *sql.Rows) (string, error) {
		var text string
		err := rows.Scan(&text)
		return text, err
	}, `PRAGMA integrity_check(100)`)
	if err != nil {
		return fmt.Errorf("verify store: %w", damaged(s.path, err))
	}
	for _, text := range pages {
		if text == "ok" {
			continue
		}
		if err := problem(text); err != nil {
			return err
		}
	}
	rows, err := all(ctx, s.readers, func(rows *sql.Rows) (string, error) {
		var table, parent string
		var row sql.NullInt64
		var constraint int
		err := rows.Scan(&table, &row, &parent, &constraint)
		which := "a row"
		if row.Valid {
			which = fmt.Sprintf("row %d", row.Int64)
		}
		return fmt.Sprintf("%s of %s refers to a row of %s that is not there", which, table, parent), err
	}, `PRAGMA foreign_key_check`)
	if err != nil {
		return fmt.Errorf("verify store: %w", damaged(s.path, err))
	}
	for _, text := range rows {
		if err := problem(text); err != nil {
			return err
		}
	}
	return nil
}
