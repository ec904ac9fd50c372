package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// fileColumns are the columns that fileDest scans, in the same order.
const fileColumns = `f.seq, f.id, f.tenant, f.dialect, f.name, f.purpose, f.bytes, f.lines, f.created_at, f.expires_at,
	f.content, f.content_blob`

func fileDest(f *batch.File) []any {
	return []any{
		&f.Seq, &f.ID, &f.Tenant, &f.Dialect, &f.Name, &f.Purpose, &f.Bytes, &f.Lines,
		timeColumn(&f.CreatedAt), timeColumn(&f.ExpiresAt), manifestColumn(&f.Content), blobColumn(&f.ContentBlob),
	}
}

// CreateFile implements store.Files.
func (s *Store) CreateFile(ctx context.Context, f batch.File) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if err := checkStorage(ctx, t, f.Tenant, growth{bytes: f.Bytes, files: 1}, f.CreatedAt); err != nil {
			return err
		}
		return insertFile(ctx, t, f, nil)
	})
	if err != nil {
		return fmt.Errorf("create file %s: %w", f.ID, err)
	}
	return nil
}

// insertFile stores a file and what it rests on: blobs, and whatever its manifest refers to. It asks for no quota:
// result files are never refused, since the work for them is done.
func insertFile(ctx context.Context, t *tx, f batch.File, blobs []string) error {
	n, err := t.change(ctx, `
		INSERT INTO files (id, tenant, dialect, name, purpose, bytes, lines, created_at, expires_at, content, content_blob)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		f.ID, f.Tenant, f.Dialect, f.Name, string(f.Purpose), f.Bytes, f.Lines, nanos(f.CreatedAt), nanos(f.ExpiresAt),
		manifestColumn(&f.Content), blobColumn(&f.ContentBlob))
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("id is taken: %w", store.ErrConflict)
	}
	// file_blobs is what keeps blobs from being collected: it must name every one that the content rests on.
	keys := append(slices.Clone(blobs), f.Content.Blobs()...)
	if !f.ContentBlob.Zero() {
		keys = append(keys, f.ContentBlob.Key)
	}
	if len(keys) == 0 {
		return nil
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	_, err = t.change(ctx, `
		INSERT INTO file_blobs (blob_key, file)
		SELECT DISTINCT k.value, f.seq FROM files f, json_each(?) k WHERE f.id = ?`, string(list), f.ID)
	return err
}

// File implements store.Files.
func (s *Store) File(ctx context.Context, tenant, id string, now time.Time) (batch.File, error) {
	f, err := oneFile(ctx, s.readers, tenant, id, now)
	if err != nil {
		return batch.File{}, fmt.Errorf("read file %s: %w", id, err)
	}
	return f, nil
}

// oneFile returns a file that is there for its tenant at now, or why it is not: ErrExpired for as long as the row of an
// expired file is kept, else ErrNotFound.
func oneFile(ctx context.Context, q querier, tenant, id string, now time.Time) (batch.File, error) {
	var f batch.File
	var hiddenAt time.Time
	found, err := one(ctx, q, append(fileDest(&f), timeColumn(&hiddenAt)),
		`SELECT `+fileColumns+`, f.hidden_at FROM files f WHERE f.id = ? AND f.tenant = ?`, id, tenant)
	switch {
	case err != nil:
		return batch.File{}, err
	case !found:
		return batch.File{}, store.ErrNotFound
	case hiddenAt.IsZero() && !f.Expired(now):
		return f, nil
	case hiddenAt.IsZero() || f.Expired(hiddenAt):
		return batch.File{}, store.ErrExpired
	default: // its user deleted it, which works only before it expires
		return batch.File{}, store.ErrNotFound
	}
}

// ListFiles implements store.Files. Files that have expired are left out by the query, whether or not the sweeper has
// hidden them.
func (s *Store) ListFiles(ctx context.Context, tenant string, q store.FileQuery) (store.Page[batch.File], error) {
	edge, err := s.cursor(ctx, `SELECT seq FROM files WHERE id = ? AND tenant = ?`, tenant, q.After, q.Ascending)
	if err != nil {
		return store.Page[batch.File]{}, fmt.Errorf("list files: %w", err)
	}
	args := []any{tenant, edge, q.Now.UnixNano(), q.Limit + 1}
	if q.Purpose != "" {
		args = slices.Insert(args, 1, any(string(q.Purpose)))
	}
	files, err := all(ctx, s.readers, into(fileDest), fileListQuery(q.Purpose != "", q.Ascending), args...)
	if err != nil {
		return store.Page[batch.File]{}, fmt.Errorf("list files: %w", err)
	}
	return page(files, q.Limit), nil
}

// fileListQuery returns one of four texts, so that each has its own plan: conditions that are switched off by
// parameters would leave the planner one plan for all.
func fileListQuery(byPurpose, ascending bool) string {
	purpose, order := "", "f.seq < ? AND (f.expires_at IS NULL OR f.expires_at > ?) ORDER BY f.seq DESC"
	if byPurpose {
		purpose = "f.purpose = ? AND "
	}
	if ascending {
		order = "f.seq > ? AND (f.expires_at IS NULL OR f.expires_at > ?) ORDER BY f.seq"
	}
	return `SELECT ` + fileColumns + ` FROM files f WHERE f.tenant = ? AND f.hidden_at IS NULL AND ` + purpose + order + ` LIMIT ?`
}

// cursor returns the sequence number that a page lies beyond: that of the object after, found by query, or the far
// end if there is none.
func (s *Store) cursor(ctx context.Context, query, tenant, after string, ascending bool) (int64, error) {
	var seq int64
	switch {
	case after != "":
		found, err := one(ctx, s.readers, []any{&seq}, query, after, tenant)
		if err == nil && !found {
			err = fmt.Errorf("%w: %q", store.ErrBadCursor, after)
		}
		return seq, err
	case ascending:
		return 0, nil
	default:
		return math.MaxInt64, nil
	}
}

// page cuts one item too many off a list that was read with a limit of one more, which is how it knows whether there
// are more without counting.
func page[T any](items []T, limit int) store.Page[T] {
	if len(items) > limit {
		return store.Page[T]{Items: items[:limit], HasMore: true}
	}
	return store.Page[T]{Items: items}
}

// DeleteFile implements store.Files. The row stays, hidden: batches may be reading it, downloads may be in progress,
// and lists may page on from it. The sweeper purges it later.
func (s *Store) DeleteFile(ctx context.Context, tenant, id string, now time.Time) error {
	err := s.writeReserved(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.change(ctx, `
			UPDATE files SET hidden_at = ?
			WHERE id = ? AND tenant = ? AND hidden_at IS NULL AND (expires_at IS NULL OR expires_at > ?)`,
			now.UnixNano(), id, tenant, now.UnixNano())
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete file %s: %w", id, err)
	}
	return nil
}
