package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// notHeld keeps out files that a batch with a stage to come may have to read again.
const notHeld = `NOT EXISTS (SELECT 1 FROM batches b WHERE b.input_file_id = f.id AND b.stage IS NOT NULL)`

// hiddenQuery finds hidden files that no batch reads any more.
const hiddenQuery = `
	SELECT f.id, f.seq, f.hidden_at, (SELECT COUNT(*) FROM file_blobs r WHERE r.file = f.seq)
	FROM files f INDEXED BY files_hidden
	WHERE f.hidden_at IS NOT NULL AND (f.hidden_at, f.seq) > (?, ?) AND f.hidden_at < ? AND ` + notHeld + `
	ORDER BY f.hidden_at, f.seq LIMIT ?`

// HiddenFiles implements store.Maintenance.
func (s *Store) HiddenFiles(ctx context.Context, q store.HiddenQuery) ([]store.HiddenFile, error) {
	after, before := int64(math.MinInt64), int64(math.MaxInt64)
	if !q.After.HiddenAt.IsZero() {
		after = q.After.HiddenAt.UnixNano()
	}
	if !q.Before.IsZero() {
		before = q.Before.UnixNano()
	}
	files, err := all(ctx, s.readers, into(func(f *store.HiddenFile) []any {
		return []any{&f.ID, &f.Seq, timeColumn(&f.HiddenAt), &f.Blobs}
	}), hiddenQuery, after, q.After.Seq, before, max(q.Limit, 0))
	if err != nil {
		return nil, fmt.Errorf("find hidden files: %w", err)
	}
	return files, nil
}

// purgeable selects those of some files, by a JSON array of their ids, that may be forgotten.
const purgeable = `
	SELECT f.seq FROM json_each(?) k JOIN files f ON f.id = k.value WHERE f.hidden_at IS NOT NULL AND ` + notHeld

// lastReferencesQuery finds what the purgeable ones of some files alone refer to.
const lastReferencesQuery = `
	WITH going AS MATERIALIZED (` + purgeable + `)
	SELECT DISTINCT r.blob_key FROM going JOIN file_blobs r ON r.file = going.seq
	WHERE NOT EXISTS (SELECT 1 FROM file_blobs o WHERE o.blob_key = r.blob_key AND o.file NOT IN (SELECT seq FROM going))
		AND NOT EXISTS (SELECT 1 FROM upload_parts p WHERE p.blob_key = r.blob_key)
		AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.plan_key = r.blob_key AND b.stage IS NOT NULL)
		AND NOT EXISTS (SELECT 1 FROM units u JOIN batches b ON b.seq = u.batch
			WHERE u.segment_key = r.blob_key AND b.stage IS NOT NULL)`

// LastReferences implements store.Maintenance. No reference is added later: what refers to a blob of a hidden file is there
// from before it was hidden.
func (s *Store) LastReferences(ctx context.Context, fileIDs []string) ([]string, error) {
	var keys []string
	list, err := json.Marshal(fileIDs)
	if err == nil {
		keys, err = all(ctx, s.readers, scanText, lastReferencesQuery, string(list))
	}
	if err != nil {
		return nil, fmt.Errorf("find last references: %w", err)
	}
	return keys, nil
}

func scanText(rows *sql.Rows) (string, error) {
	var text string
	err := rows.Scan(&text)
	return text, err
}

// PurgeFiles implements store.Maintenance. Deleting the row deletes its references to blobs by the foreign key's cascade,
// and a trigger takes its bytes off what the tenant stores.
func (s *Store) PurgeFiles(ctx context.Context, fileIDs []string) (int, error) {
	done := 0
	list, err := json.Marshal(fileIDs)
	if err == nil {
		done, err = s.changeRows(ctx, `DELETE FROM files WHERE seq IN (`+purgeable+`)`, string(list))
	}
	if err != nil {
		return 0, fmt.Errorf("purge files: %w", err)
	}
	return done, nil
}

// dropPartsOf drops the parts of an upload: those that a file refers to by now are forgotten, the others are on their way
// out and count until they are gone.
const dropPartsOf = `
	INSERT INTO dropped_blobs (blob_key, tenant, bytes, dropped_at)
	SELECT p.blob_key, p.tenant, p.bytes, ? FROM upload_parts p
	WHERE p.upload = ? AND NOT EXISTS (SELECT 1 FROM file_blobs r WHERE r.blob_key = p.blob_key)`

// dropParts drops the parts of an upload that leaves the state pending.
func dropParts(ctx context.Context, t *tx, upload int64, now time.Time) error {
	if _, err := t.change(ctx, dropPartsOf, now.UnixNano(), upload); err != nil {
		return err
	}
	_, err := t.change(ctx, `DELETE FROM upload_parts WHERE upload = ?`, upload)
	return err
}

// dropWork drops the plan of a batch that has ended, and those of its segments that its result files are not made of.
func dropWork(ctx context.Context, t *tx, b batch.Batch, now time.Time) error {
	if b.Plan.Zero() {
		return nil
	}
	if _, err := t.change(ctx, `INSERT INTO dropped_blobs (blob_key, tenant, bytes, dropped_at) VALUES (?, ?, 0, ?)`,
		b.Plan.Key, b.Tenant, now.UnixNano()); err != nil {
		return err
	}
	_, err := t.change(ctx, `
		INSERT INTO dropped_blobs (blob_key, tenant, bytes, dropped_at)
		SELECT u.segment_key, ?, 0, ? FROM units u
		WHERE u.batch = ? AND u.segment_key IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM file_blobs r WHERE r.blob_key = u.segment_key)`,
		b.Tenant, now.UnixNano(), b.Seq)
	return err
}

// droppedQuery finds dropped blobs. That nothing refers to them was so when they were dropped; it is asked again because
// what is deleted by mistake is lost.
const droppedQuery = `
	SELECT d.blob_key FROM dropped_blobs d
	WHERE (d.dropped_at < ? OR d.dropped_at > ?)
		AND NOT EXISTS (SELECT 1 FROM file_blobs r WHERE r.blob_key = d.blob_key)
		AND NOT EXISTS (SELECT 1 FROM upload_parts p WHERE p.blob_key = d.blob_key)
		AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.plan_key = d.blob_key AND b.stage IS NOT NULL)
		AND NOT EXISTS (SELECT 1 FROM units u JOIN batches b ON b.seq = u.batch
			WHERE u.segment_key = d.blob_key AND b.stage IS NOT NULL)
	LIMIT ?`

// DroppedBlobs implements store.Maintenance.
func (s *Store) DroppedBlobs(ctx context.Context, before, beyond time.Time, n int) ([]string, error) {
	keys, err := all(ctx, s.readers, scanText, droppedQuery, before.UnixNano(), beyond.UnixNano(), max(n, 0))
	if err != nil {
		return nil, fmt.Errorf("find dropped blobs: %w", err)
	}
	return keys, nil
}

// ForgetDroppedBlobs implements store.Maintenance. A trigger takes their bytes off what their tenants store.
func (s *Store) ForgetDroppedBlobs(ctx context.Context, keys []string) error {
	list, err := json.Marshal(keys)
	if err == nil {
		_, err = s.changeRows(ctx, `DELETE FROM dropped_blobs WHERE blob_key IN (SELECT k.value FROM json_each(?) k)`, string(list))
	}
	if err != nil {
		return fmt.Errorf("forget dropped blobs: %w", err)
	}
	return nil
}

// What is deleted or over and counts all the same, one select for each kind: hidden files, files that have expired unnoticed,
// dropped blobs, parts of uploads that have expired unnoticed. What was not noticed yet is so from now on.
const (
	goingSum = `
	SELECT COALESCE(SUM(bytes) FILTER (WHERE NOT held), 0) AS bytes, MAX(since) FILTER (WHERE bytes > 0 AND NOT held) AS since,
		COALESCE(SUM(bytes) FILTER (WHERE held), 0) AS held
	FROM (`
	goingHidden = `
		SELECT f.bytes, f.hidden_at AS since, NOT (` + notHeld + `) AS held FROM files f INDEXED BY files_going
		WHERE f.hidden_at IS NOT NULL`
	goingExpired = `
		UNION ALL
		SELECT f.bytes, ?, NOT (` + notHeld + `) FROM files f INDEXED BY files_ending
		WHERE f.hidden_at IS NULL AND f.expires_at IS NOT NULL AND f.expires_at <= ?`
	goingDropped = `
		UNION ALL
		SELECT d.bytes, d.dropped_at, 0 FROM dropped_blobs d INDEXED BY dropped_blobs_going WHERE d.bytes > 0`
	goingParts = `
		UNION ALL
		SELECT u.received, ?, 0 FROM uploads u INDEXED BY uploads_ending WHERE u.status = 'pending' AND u.expires_at <= ?`
)

// freeingQuery is of one tenant, freeingAllQuery of all of them.
const (
	freeingQuery = goingSum + goingHidden + ` AND f.tenant = ?` + goingExpired + ` AND f.tenant = ?` +
		goingDropped + ` AND d.tenant = ?` + goingParts + ` AND u.tenant = ?)`
	freeingAllQuery = goingSum + goingHidden + goingExpired + goingDropped + goingParts + `)`
)

// freeingArgs are the arguments of freeingQuery.
func freeingArgs(tenant string, now time.Time) []any {
	at := now.UnixNano()
	return []any{tenant, at, at, tenant, tenant, at, at, tenant}
}

// Freeing implements store.Maintenance.
func (s *Store) Freeing(ctx context.Context, tenant string, now time.Time) (store.Freeing, error) {
	at := now.UnixNano()
	query, args := freeingAllQuery, []any{at, at, at, at}
	if tenant != "" {
		query, args = freeingQuery, freeingArgs(tenant, now)
	}
	var f store.Freeing
	var since time.Time
	if _, err := one(ctx, s.readers, []any{&f.Bytes, timeColumn(&since), &f.Held}, query, args...); err != nil {
		return store.Freeing{}, fmt.Errorf("sum up deleted bytes: %w", err)
	}
	if !since.IsZero() {
		f.By = since.Add(store.DeletedGone)
	}
	return f, nil
}
