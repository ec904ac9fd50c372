package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"batchd/internal/store"
)

var _ store.Maintenance = (*Store)(nil)

// endingQuery is answered by a partial index of batches that can still expire, so looking four times a second costs
// nothing while none is due.
const endingQuery = `
	SELECT id FROM batches
	WHERE stop = 'none' AND status IN ('validating', 'in_progress') AND ends_at <= ? ORDER BY ends_at`

// ExpireBatches implements store.Maintenance.
func (s *Store) ExpireBatches(ctx context.Context, now time.Time) ([]string, error) {
	var ids []string
	err := s.writeReserved(ctx, func(ctx context.Context, t *tx) error {
		var err error
		ids, err = all(ctx, t, func(rows *sql.Rows) (string, error) {
			var id string
			err := rows.Scan(&id)
			return id, err
		}, endingQuery, now.UnixNano())
		if err != nil || len(ids) == 0 {
			return err // nothing changed, so nothing is committed
		}
		// The same condition again, in the same transaction: it changes exactly the batches that were listed.
		_, err = t.change(ctx, `
			UPDATE batches SET stop = 'expire'
			WHERE stop = 'none' AND status IN ('validating', 'in_progress') AND ends_at <= ?`, now.UnixNano())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("expire batches: %w", err)
	}
	return ids, nil
}

// unsettledQuery is answered by a partial index that is nearly always empty.
const unsettledQuery = `SELECT count(*) FROM batches b WHERE b.clock_ahead IS NOT NULL`

// SettleWindows implements store.Maintenance. Its look is a read, so that one that finds nothing takes no turn of the writer.
// Batches that have ended meanwhile are settled too, or they would be found again for ever.
func (s *Store) SettleWindows(ctx context.Context, shift time.Duration) (int, error) {
	var unsettled int
	settled := 0
	_, err := one(ctx, s.readers, []any{&unsettled}, unsettledQuery)
	if err == nil && unsettled > 0 {
		settled, err = s.changeRows(ctx, `
			UPDATE batches SET window_skew = ? - clock_ahead, clock_ahead = NULL WHERE clock_ahead IS NOT NULL`, int64(shift))
	}
	if err != nil {
		return 0, fmt.Errorf("settle windows: %w", err)
	}
	return settled, nil
}

// expiredFilesQuery finds files to hide. The trigger on hidden_at takes them off the number of files.
const expiredFilesQuery = `
	SELECT seq FROM files WHERE hidden_at IS NULL AND expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?`

// DeleteExpiredFiles implements store.Maintenance.
func (s *Store) DeleteExpiredFiles(ctx context.Context, now time.Time, n int) (int, error) {
	done, err := s.changeRows(ctx, `UPDATE files SET hidden_at = ? WHERE seq IN (`+expiredFilesQuery+`)`,
		now.UnixNano(), now.UnixNano(), max(n, 0))
	if err != nil {
		return 0, fmt.Errorf("delete expired files: %w", err)
	}
	return done, nil
}

// oldKeysQuery uses the index by age. The batches of the keys stay.
const oldKeysQuery = `SELECT tenant, key FROM idempotency_keys WHERE created_at < ? ORDER BY created_at LIMIT ?`

// ForgetIdempotencyKeys implements store.Maintenance.
func (s *Store) ForgetIdempotencyKeys(ctx context.Context, before time.Time, n int) (int, error) {
	done, err := s.changeRows(ctx, `DELETE FROM idempotency_keys WHERE (tenant, key) IN (`+oldKeysQuery+`)`,
		before.UnixNano(), max(n, 0))
	if err != nil {
		return 0, fmt.Errorf("forget idempotency keys: %w", err)
	}
	return done, nil
}

// changeRows runs one statement in a transaction and returns how many rows it changed. Where there are none, nothing is
// committed.
func (s *Store) changeRows(ctx context.Context, query string, args ...any) (int, error) {
	var n int64
	err := s.writeReserved(ctx, func(ctx context.Context, t *tx) error {
		var err error
		n, err = t.change(ctx, query, args...)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}

// unreferencedQuery lists the positions, in a JSON array, of keys that no row refers to. Plans and segments count only
// while their batch has a stage to come: after that its result files refer to the segments they are made of, and the
// plan has served.
const unreferencedQuery = `
	SELECT k.key FROM json_each(?) k
	WHERE NOT EXISTS (SELECT 1 FROM file_blobs r WHERE r.blob_key = k.value)
		AND NOT EXISTS (SELECT 1 FROM upload_parts p WHERE p.blob_key = k.value)
		AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.plan_key = k.value AND b.stage IS NOT NULL)
		AND NOT EXISTS (SELECT 1 FROM units u JOIN batches b ON b.seq = u.batch
			WHERE u.segment_key = k.value AND b.stage IS NOT NULL)
	ORDER BY k.key`

// Unreferenced implements store.Maintenance. It reads one snapshot: a reference that is committed later is seen at the
// sweeper's next look.
func (s *Store) Unreferenced(ctx context.Context, keys []string) ([]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, fmt.Errorf("find unreferenced blobs: %w", err)
	}
	free, err := all(ctx, s.readers, func(rows *sql.Rows) (string, error) {
		var i int
		err := rows.Scan(&i)
		return keys[i], err
	}, unreferencedQuery, string(list))
	if err != nil {
		return nil, fmt.Errorf("find unreferenced blobs: %w", err)
	}
	return free, nil
}

// ownersQuery lists for each key of a JSON array, in its order, what it is kept for and by whom: a digit, by which the
// use comes first that applies first, and the tenant's id. It is NULL for an unreferenced key.
const ownersQuery = `
	SELECT (SELECT min(u.use) FROM (
			SELECT CASE WHEN f.hidden_at IS NOT NULL THEN '3' WHEN f.purpose = 'batch_output' THEN '1' ELSE '0' END || f.tenant AS use
				FROM file_blobs r JOIN files f ON f.seq = r.file WHERE r.blob_key = k.value
			UNION ALL SELECT '0' || p.tenant FROM upload_parts p WHERE p.blob_key = k.value
			UNION ALL SELECT '3' || d.tenant FROM dropped_blobs d WHERE d.blob_key = k.value
			UNION ALL SELECT '2' || b.tenant FROM batches b WHERE b.plan_key = k.value AND b.stage IS NOT NULL
			UNION ALL SELECT '1' || b.tenant FROM units n JOIN batches b ON b.seq = n.batch
				WHERE n.segment_key = k.value AND b.stage IS NOT NULL
		) u)
	FROM json_each(?) k ORDER BY k.key`

// blobUses are the uses by their digit in ownersQuery.
var blobUses = [...]store.BlobUse{store.BlobInput, store.BlobResult, store.BlobPlan, store.BlobDeleted}

// BlobOwners implements store.Maintenance. Like Unreferenced it reads one snapshot.
func (s *Store) BlobOwners(ctx context.Context, keys []string) ([]store.BlobOwner, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, fmt.Errorf("find owners of blobs: %w", err)
	}
	owners, err := all(ctx, s.readers, func(rows *sql.Rows) (store.BlobOwner, error) {
		var use sql.NullString
		if err := rows.Scan(&use); err != nil || !use.Valid {
			return store.BlobOwner{Use: store.BlobUnreferenced}, err
		}
		return store.BlobOwner{Use: blobUses[use.String[0]-'0'], Tenant: use.String[1:]}, nil
	}, ownersQuery, string(list))
	if err != nil {
		return nil, fmt.Errorf("find owners of blobs: %w", err)
	}
	return owners, nil
}
