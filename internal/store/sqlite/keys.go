package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"batchd/internal/store"
)

// keyColumns are the columns that keyDest scans, in the same order.
const keyColumns = `k.id, k.tenant, k.hash, k.dialect, k.role, k.opens_content, k.created_at,
	k.expires_at, k.revoked_at`

func keyDest(k *store.Key) []any {
	return []any{
		&k.ID, &k.Tenant, hashColumn(&k.Hash), &k.Dialect, &k.Role, &k.OpensContent,
		timeColumn(&k.CreatedAt), timeColumn(&k.ExpiresAt), timeColumn(&k.RevokedAt),
	}
}

// hashColumn is a SHA-256 as it is. It only reads: the hash is written as a parameter.
func hashColumn(hash *[32]byte) column[[32]byte] {
	return column[[32]byte]{v: hash, decode: decodeBytes(func(raw []byte) ([32]byte, error) {
		if len(raw) != len(hash) {
			return [32]byte{}, fmt.Errorf("hash of %d bytes", len(raw))
		}
		return [32]byte(raw), nil
	})}
}

// CreateKey implements store.Tenants. The tenant is looked for first, to answer ErrNotFound where the foreign key
// would give an error that says nothing.
func (s *Store) CreateKey(ctx context.Context, k store.Key) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		found, err := one(ctx, t, []any{new(int)}, `SELECT 1 FROM tenants WHERE id = ?`, k.Tenant)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("tenant %s: %w", k.Tenant, store.ErrNotFound)
		}
		n, err := t.change(ctx, `
			INSERT INTO api_keys (id, tenant, hash, dialect, role, opens_content, created_at, expires_at, revoked_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			k.ID, k.Tenant, k.Hash[:], k.Dialect, string(cmp.Or(k.Role, store.RoleTenant)), k.OpensContent, nanos(k.CreatedAt), nanos(k.ExpiresAt), nanos(k.RevokedAt))
		if err == nil && n == 0 {
			err = fmt.Errorf("id is taken: %w", store.ErrConflict)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create key %s: %w", k.ID, err)
	}
	return nil
}

const keyByIDQuery = `
	SELECT ` + keyColumns + `, ` + tenantColumns + ` FROM api_keys k JOIN tenants t ON t.id = k.tenant WHERE k.id = ?`

// Key implements store.Tenants. It is on the path of every API request: one query, by two indexes.
func (s *Store) Key(ctx context.Context, id string) (store.Key, store.Tenant, error) {
	var k store.Key
	var t store.Tenant
	found, err := one(ctx, s.readers, append(keyDest(&k), tenantDest(&t)...), keyByIDQuery, id)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Key{}, store.Tenant{}, fmt.Errorf("read key %s: %w", id, err)
	}
	return k, t, nil
}

const (
	allKeysQuery      = `SELECT ` + keyColumns + ` FROM api_keys k ORDER BY k.seq`
	keysOfTenantQuery = `SELECT ` + keyColumns + ` FROM api_keys k WHERE k.tenant = ? ORDER BY k.seq`
)

// ListKeys implements store.Tenants.
func (s *Store) ListKeys(ctx context.Context, tenant string) ([]store.Key, error) {
	query, args := allKeysQuery, []any(nil)
	if tenant != "" {
		query, args = keysOfTenantQuery, []any{tenant}
	}
	keys, err := all(ctx, s.readers, into(keyDest), query, args...)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return keys, nil
}

// EndKey implements store.Tenants. A key is never deleted: its id stands on the batches it made, and must not be given
// to another.
func (s *Store) EndKey(ctx context.Context, id string, at time.Time) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		found, err := one(ctx, t, []any{new(int)}, `SELECT 1 FROM api_keys WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		_, err = t.change(ctx, `
			UPDATE api_keys SET revoked_at = ? WHERE id = ? AND (revoked_at IS NULL OR revoked_at > ?)`,
			at.UnixNano(), id, at.UnixNano())
		return err
	})
	if err != nil {
		return fmt.Errorf("end key %s: %w", id, err)
	}
	return nil
}

// HasKeys implements store.Tenants. Revoked keys count, so that a server that demanded keys once never opens again by
// itself.
func (s *Store) HasKeys(ctx context.Context) (bool, error) {
	found, err := one(ctx, s.readers, []any{new(int)}, `SELECT 1 FROM api_keys LIMIT 1`)
	if err != nil {
		return false, fmt.Errorf("look for keys: %w", err)
	}
	return found, nil
}
