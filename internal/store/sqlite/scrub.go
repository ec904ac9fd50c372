package sqlite

import (
	"context"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

var _ store.Scrub = (*Store)(nil)

// ScrubState implements store.Scrub.
func (s *Store) ScrubState(ctx context.Context) (store.ScrubState, error) {
	var st store.ScrubState
	_, err := one(ctx, s.readers, []any{timeColumn(&st.Started), timeColumn(&st.Finished), &st.File, &st.Offset},
		`SELECT started_at, finished_at, file, position FROM scrub`)
	if err != nil {
		return store.ScrubState{}, fmt.Errorf("read state of scrubbing: %w", err)
	}
	return st, nil
}

// SaveScrub implements store.Scrub.
func (s *Store) SaveScrub(ctx context.Context, st store.ScrubState) error {
	_, err := s.changeRows(ctx, `INSERT OR REPLACE INTO scrub (one, started_at, finished_at, file, position) VALUES (1, ?, ?, ?, ?)`,
		nanos(st.Started), nanos(st.Finished), st.File, st.Offset)
	if err != nil {
		return fmt.Errorf("save state of scrubbing: %w", err)
	}
	return nil
}

// filesFromQuery goes along the table in its own order.
const filesFromQuery = `SELECT ` + fileColumns + ` FROM files f WHERE f.seq >= ? AND f.hidden_at IS NULL ORDER BY f.seq LIMIT ?`

// FilesFrom implements store.Scrub.
func (s *Store) FilesFrom(ctx context.Context, first int64, n int) ([]batch.File, error) {
	files, err := all(ctx, s.readers, into(fileDest), filesFromQuery, first, max(n, 0))
	if err != nil {
		return nil, fmt.Errorf("list files from %d on: %w", first, err)
	}
	return files, nil
}

// RecordDamage implements store.Scrub. Whether the file is there and the damage new is decided in the same transaction.
func (s *Store) RecordDamage(ctx context.Context, d store.Damage) (added bool, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		known, err := t.change(ctx, `
			UPDATE damages SET problem = ?, seen_at = ? WHERE blob_key = ? AND file = (SELECT seq FROM files WHERE id = ?)`,
			string(d.Problem), d.Seen.UnixNano(), d.Key, d.File)
		if err != nil || known > 0 {
			return err
		}
		n, err := t.change(ctx, `
			INSERT INTO damages (file, blob_key, problem, found_at, seen_at)
			SELECT seq, ?, ?, ?, ? FROM files WHERE id = ? AND hidden_at IS NULL`,
			d.Key, string(d.Problem), d.Seen.UnixNano(), d.Seen.UnixNano(), d.File)
		added = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("record damage of %s: %w", d.Key, err)
	}
	return added, nil
}

// ForgetDamage implements store.Scrub. There are few rows, so it looks at all of them.
func (s *Store) ForgetDamage(ctx context.Context, before time.Time) error {
	if _, err := s.changeRows(ctx, `DELETE FROM damages WHERE seen_at < ?`, before.UnixNano()); err != nil {
		return fmt.Errorf("forget damage: %w", err)
	}
	return nil
}

// DropDamage implements store.Scrub.
func (s *Store) DropDamage(ctx context.Context, fileID, key string) error {
	_, err := s.changeRows(ctx, `DELETE FROM damages WHERE file = (SELECT seq FROM files WHERE id = ?) AND blob_key = ?`, fileID, key)
	if err != nil {
		return fmt.Errorf("drop damage of %s: %w", key, err)
	}
	return nil
}

// Damages implements store.Scrub.
func (s *Store) Damages(ctx context.Context, n int) ([]store.Damage, error) {
	found, err := all(ctx, s.readers, into(func(d *store.Damage) []any {
		return []any{&d.File, &d.Seq, &d.Key, &d.Problem, timeColumn(&d.Found), timeColumn(&d.Seen)}
	}), `
		SELECT f.id, f.seq, d.blob_key, d.problem, d.found_at, d.seen_at FROM damages d JOIN files f ON f.seq = d.file
		WHERE f.hidden_at IS NULL ORDER BY d.found_at, d.file, d.blob_key LIMIT ?`, max(n, 0))
	if err != nil {
		return nil, fmt.Errorf("list damage: %w", err)
	}
	return found, nil
}
