package sqlite

import (
	"context"
	"fmt"
	"time"

	"batchd/internal/store"
)

// limitColumns are the columns that limitDest scans, tenantColumns those of tenantDest, in the same order.
const (
	limitColumns = `t.max_stored_bytes, t.max_files, t.max_open_batches, t.max_enqueued_lines, t.max_enqueued_tokens,
	t.max_batches_per_hour, t.max_requests_per_minute`
	tenantColumns = `t.id, t.name, t.created_at, t.weight, ` + limitColumns
)

func limitDest(l *store.Limits) []any {
	return []any{
		&l.StoredBytes, &l.Files, &l.OpenBatches, &l.EnqueuedLines, &l.EnqueuedTokens,
		&l.BatchesPerHour, &l.RequestsPerMinute,
	}
}

func tenantDest(t *store.Tenant) []any {
	return append([]any{&t.ID, &t.Name, timeColumn(&t.CreatedAt), &t.Weight}, limitDest(&t.Limits)...)
}

// CreateTenant implements store.Tenants. Its secret for callbacks is minted here, so that no tenant is without one
// when its first batch ends.
func (s *Store) CreateTenant(ctx context.Context, n store.Tenant) error {
	l := n.Limits
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		rows, err := t.change(ctx, `
			INSERT INTO tenants (id, name, created_at, weight, max_stored_bytes, max_files, max_open_batches,
				max_enqueued_lines, max_enqueued_tokens, max_batches_per_hour, max_requests_per_minute, callback_secret)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			n.ID, n.Name, nanos(n.CreatedAt), max(n.Weight, 1), l.StoredBytes, l.Files, l.OpenBatches,
			l.EnqueuedLines, l.EnqueuedTokens, l.BatchesPerHour, l.RequestsPerMinute, store.NewSecret())
		if err == nil && rows == 0 {
			err = fmt.Errorf("id or name is taken: %w", store.ErrConflict)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create tenant %q: %w", n.Name, err)
	}
	return nil
}

// Tenant implements store.Tenants.
func (s *Store) Tenant(ctx context.Context, id string) (store.Tenant, error) {
	t, err := s.oneTenant(ctx, `t.id = ?`, id)
	if err != nil {
		return store.Tenant{}, fmt.Errorf("read tenant %s: %w", id, err)
	}
	return t, nil
}

// TenantNamed implements store.Tenants.
func (s *Store) TenantNamed(ctx context.Context, name string) (store.Tenant, error) {
	t, err := s.oneTenant(ctx, `t.name = ?`, name)
	if err != nil {
		return store.Tenant{}, fmt.Errorf("read tenant %q: %w", name, err)
	}
	return t, nil
}

// oneTenant returns the tenant that a condition with one argument selects, or ErrNotFound.
func (s *Store) oneTenant(ctx context.Context, condition, arg string) (store.Tenant, error) {
	var t store.Tenant
	found, err := one(ctx, s.readers, tenantDest(&t), `SELECT `+tenantColumns+` FROM tenants t WHERE `+condition, arg)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return t, err
}

// ListTenants implements store.Tenants.
func (s *Store) ListTenants(ctx context.Context) ([]store.Tenant, error) {
	tenants, err := all(ctx, s.readers, into(tenantDest), `SELECT `+tenantColumns+` FROM tenants t ORDER BY t.name`)
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	return tenants, nil
}

// SetTenant implements store.Tenants. What a tenant stores and runs is not looked at: a lower limit refuses new things
// only.
func (s *Store) SetTenant(ctx context.Context, n store.Tenant) error {
	l := n.Limits
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		rows, err := t.change(ctx, `
			UPDATE tenants SET weight = ?, max_stored_bytes = ?, max_files = ?, max_open_batches = ?,
				max_enqueued_lines = ?, max_enqueued_tokens = ?, max_batches_per_hour = ?, max_requests_per_minute = ?
			WHERE id = ?`,
			max(n.Weight, 1), l.StoredBytes, l.Files, l.OpenBatches,
			l.EnqueuedLines, l.EnqueuedTokens, l.BatchesPerHour, l.RequestsPerMinute, n.ID)
		if err == nil && rows == 0 {
			err = store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("set tenant %s: %w", n.ID, err)
	}
	return nil
}

// usageQuery reads everything in one statement, so that its numbers are of one point in time. Files that have expired are
// taken off what the row counts, as quotas do.
const usageQuery = `
	SELECT t.stored_bytes, g.bytes + g.held, t.files - f.n, o.n, o.lines, o.tokens,
		(SELECT COUNT(*) FROM batches b WHERE b.tenant = ? AND b.created_at > ?)
	FROM tenants t, (` + endedFilesQuery + `) f, (` + openBatchesQuery + `) o, (` + freeingQuery + `) g
	WHERE t.id = ?`

// Usage implements store.Tenants.
func (s *Store) Usage(ctx context.Context, tenant string, now time.Time) (store.Usage, error) {
	args := append([]any{tenant, now.Add(-time.Hour).UnixNano(), now.UnixNano(), tenant, tenant}, freeingArgs(tenant, now)...)
	var u store.Usage
	found, err := one(ctx, s.readers, []any{
		&u.StoredBytes, &u.DeletedBytes, &u.Files, &u.OpenBatches, &u.EnqueuedLines, &u.EnqueuedTokens, &u.BatchesLastHour,
	}, usageQuery, append(args, tenant)...)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Usage{}, fmt.Errorf("read usage of tenant %s: %w", tenant, err)
	}
	return u, nil
}
