package sqlite

import (
	"context"
	"fmt"
	"math"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// account is a tenant's limits and what its row counts against them.
type account struct {
	limits store.Limits
	// storedBytes and files are kept by triggers on files, parts and dropped blobs. A file that has expired is counted
	// among files until the sweeper takes notice.
	storedBytes int64
	files       int64
}

const accountQuery = `SELECT ` + limitColumns + `, t.stored_bytes, t.files FROM tenants t WHERE t.id = ?`

// accountOf returns a tenant's account; one without a row has no limits. A tenant without limits costs each check this
// one lookup and no more.
func accountOf(ctx context.Context, q querier, tenant string) (account, error) {
	var a account
	_, err := one(ctx, q, append(limitDest(&a.limits), &a.storedBytes, &a.files), accountQuery, tenant)
	return a, err
}

// exceeds reports whether more on top of used is over limit, where 0 is no limit. Asking for nothing exceeds none,
// however far over it the tenant is already. The sum is never formed: it could overflow.
func exceeds(limit, used, more int64) bool {
	return limit > 0 && more > 0 && used > limit-more
}

// growth is what a write would add to what a tenant stores.
type growth struct{ bytes, files int64 }

// checkStorage refuses what would exceed the tenant's quotas of bytes or files.
func checkStorage(ctx context.Context, t *tx, tenant string, more growth, now time.Time) error {
	a, err := accountOf(ctx, t, tenant)
	if err != nil || a.overStorage(more) == nil {
		return err // there is room even with files that have expired
	}
	// The row counts files that have expired until maintenance takes notice. Those are only looked for where it decides;
	// their bytes count until they are gone.
	ended, err := endedFiles(ctx, t, tenant, now)
	if err != nil {
		return err
	}
	a.files -= ended
	return a.overStorage(more)
}

// overStorage returns the quota that storing more would exceed, nil for none.
func (a account) overStorage(more growth) error {
	switch {
	case exceeds(a.limits.StoredBytes, a.storedBytes, more.bytes):
		return &store.QuotaError{Quota: store.QuotaStoredBytes, Limit: a.limits.StoredBytes, Asked: more.bytes, Used: a.storedBytes}
	case exceeds(a.limits.Files, a.files, more.files):
		return &store.QuotaError{Quota: store.QuotaFiles, Limit: a.limits.Files, Used: a.files}
	default:
		return nil
	}
}

// endedFilesQuery counts files that have expired and that the tenant's row still counts. It names its index, because the
// planner would rather walk all files of the tenant.
const endedFilesQuery = `
	SELECT COUNT(*) AS n FROM files f INDEXED BY files_ending
	WHERE f.hidden_at IS NULL AND f.expires_at IS NOT NULL AND f.expires_at <= ? AND f.tenant = ?`

// endedFiles returns how many expired files are still counted in the tenant's row.
func endedFiles(ctx context.Context, q querier, tenant string, now time.Time) (int64, error) {
	var n int64
	_, err := one(ctx, q, []any{&n}, endedFilesQuery, now.UnixNano(), tenant)
	return n, err
}

// StorageLeft implements store.Tenants.
func (s *Store) StorageLeft(ctx context.Context, tenant string) (int64, error) {
	a, err := accountOf(ctx, s.readers, tenant)
	if err != nil {
		return 0, fmt.Errorf("read storage left of tenant %s: %w", tenant, err)
	}
	if a.limits.StoredBytes <= 0 {
		return math.MaxInt64, nil
	}
	return a.limits.StoredBytes - a.storedBytes, nil
}

// enqueued is what a tenant's batches that are not terminal count.
type enqueued struct{ batches, lines, tokens int64 }

// openBatchesQuery reads nothing but an index; it would have to read the rows for their stage, which says the same.
const openBatchesQuery = `
	SELECT COUNT(*) AS n, COALESCE(SUM(b.enqueued_lines), 0) AS lines, COALESCE(SUM(b.enqueued_tokens), 0) AS tokens
	FROM batches b WHERE b.tenant = ? AND b.status IN ('validating', 'in_progress', 'finalizing', 'cancelling')`

// openBatches counts what is open, if any limit asks for it.
func (a account) openBatches(ctx context.Context, t *tx, tenant string) (enqueued, error) {
	var open enqueued
	if a.limits.OpenBatches <= 0 && a.limits.EnqueuedLines <= 0 && a.limits.EnqueuedTokens <= 0 {
		return open, nil
	}
	_, err := one(ctx, t, []any{&open.batches, &open.lines, &open.tokens}, openBatchesQuery, tenant)
	return open, err
}

// checkBatchRate refuses a batch that would exceed the tenant's quota of batches per hour, failed ones included.
func checkBatchRate(ctx context.Context, t *tx, b batch.Batch) error {
	a, err := accountOf(ctx, t, b.Tenant)
	if err != nil {
		return err
	}
	return a.checkBatchRate(ctx, t, b)
}

// rateQuery finds the batch that has to be an hour old before there is room: with a limit of n, the n-th newest.
const rateQuery = `
	SELECT b.created_at FROM batches b WHERE b.tenant = ? AND b.created_at > ? ORDER BY b.created_at DESC LIMIT 1 OFFSET ?`

// checkBatchRate looks for the batch that has to become an hour old first; its age says when to try again.
func (a account) checkBatchRate(ctx context.Context, t *tx, b batch.Batch) error {
	limit := a.limits.BatchesPerHour
	if limit <= 0 {
		return nil
	}
	var blocking time.Time
	found, err := one(ctx, t, []any{timeColumn(&blocking)}, rateQuery,
		b.Tenant, decisive(b).Add(-time.Hour).UnixNano(), limit-1)
	if err != nil || !found {
		return err
	}
	return &store.QuotaError{
		Quota: store.QuotaBatchesPerHour, Limit: limit, Used: limit, RetryAfter: blocking.Add(time.Hour).Sub(decisive(b)),
	}
}
