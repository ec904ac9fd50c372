package store

import (
	"context"
	"fmt"
	"time"
)

// Tenant owns files, batches, keys and webhooks. A tenant id that has no row, which only tests use, has no limits.
type Tenant struct {
	// ID is a UUID; Name is how its operator calls it, unique, and may not change.
	ID        string
	Name      string
	CreatedAt time.Time
	// Weight is its share of upstream capacity beside others', at least 1.
	Weight int
	Limits Limits
}

// Limits are what a tenant may have; 0 is no limit.
type Limits struct {
	// Files counts what is neither deleted nor expired; StoredBytes counts bytes until they are gone, those of deleted and
	// expired files and of parts of uploads included. Result files count, but are never refused.
	StoredBytes int64
	Files       int64
	// OpenBatches, EnqueuedLines and EnqueuedTokens count over batches that are not terminal. Tokens are an estimate.
	OpenBatches    int64
	EnqueuedLines  int64
	EnqueuedTokens int64
	// BatchesPerHour and RequestsPerMinute bound calls. The store enforces all but the last.
	BatchesPerHour    int64
	RequestsPerMinute int64
}

// Key is an API key without the key itself.
type Key struct {
	// ID is "key_" and 32 hexadecimal digits, and may be shown.
	ID     string
	Tenant string
	// Hash is the SHA-256 of the key.
	Hash [32]byte
	// Dialect is the name of the dialect it speaks; "" leaves that to host, query and prefix of each call.
	Dialect string
	// Role is what the key may do beside its own tenant's calls; OpensContent lets one of RoleAdmin read and write what
	// other tenants' files hold too.
	Role         Role
	OpensContent bool
	CreatedAt    time.Time
	// ExpiresAt is zero for a key that never expires, RevokedAt for one that was not revoked.
	ExpiresAt time.Time
	RevokedAt time.Time
}

// Role is whose affairs a key is for.
type Role string

// The roles of keys. Whatever is neither of them is to be treated as RoleTenant.
const (
	// RoleTenant is for the key's tenant alone.
	RoleTenant Role = "tenant"
	// RoleAdmin is for whoever runs the server: it may act for any tenant, and administer them.
	RoleAdmin Role = "admin"
)

// Usable reports whether the key opens anything at now.
func (k Key) Usable(now time.Time) bool {
	return !k.Revoked(now) && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Revoked reports whether the key has been revoked by now.
func (k Key) Revoked(now time.Time) bool { return !k.RevokedAt.IsZero() && !now.Before(k.RevokedAt) }

// DefaultTenantName is the name of the tenant that was minted with the store.
const DefaultTenantName = "default"

// Tenants are the methods on who may call.
type Tenants interface {
	// CreateTenant stores a new tenant. A name or id that is taken is ErrConflict.
	CreateTenant(ctx context.Context, t Tenant) error
	// Tenant returns a tenant by its id, TenantNamed by its name; ErrNotFound.
	Tenant(ctx context.Context, id string) (Tenant, error)
	TenantNamed(ctx context.Context, name string) (Tenant, error)
	// ListTenants returns all tenants in order of their names.
	ListTenants(ctx context.Context) ([]Tenant, error)
	// SetTenant replaces weight and limits of the tenant with this id. What is over a new limit stays.
	SetTenant(ctx context.Context, t Tenant) error
	// Usage returns what counts against a tenant's limits at now; ErrNotFound for a tenant without a row.
	Usage(ctx context.Context, tenant string, now time.Time) (Usage, error)
	// StorageLeft returns how many bytes more the tenant may store, below zero if it is over, math.MaxInt64
	// without a limit.
	StorageLeft(ctx context.Context, tenant string) (int64, error)

	// CreateKey stores a new key, one without a role as of RoleTenant. An id that is taken is ErrConflict, an unknown
	// tenant ErrNotFound.
	CreateKey(ctx context.Context, k Key) error
	// Key returns a key with its tenant, usable or not; ErrNotFound.
	Key(ctx context.Context, id string) (Key, Tenant, error)
	// ListKeys returns the keys of a tenant, or all with "", oldest first.
	ListKeys(ctx context.Context, tenant string) ([]Key, error)
	// EndKey revokes a key from the time at on, which may lie ahead so that clients can change over. One that is
	// revoked earlier stays so.
	EndKey(ctx context.Context, id string, at time.Time) error
	// HasKeys reports whether any key was ever created, revoked ones included.
	HasKeys(ctx context.Context) (bool, error)
}

// Usage is what counts against Limits.
type Usage struct {
	StoredBytes int64
	// DeletedBytes are those of StoredBytes that wait to go: of files that are deleted or have expired, and of parts of
	// uploads that are over.
	DeletedBytes                               int64
	Files                                      int64
	OpenBatches, EnqueuedLines, EnqueuedTokens int64
	BatchesLastHour                            int64
}

// Quota names one of a tenant's limits.
type Quota string

// The quotas that the store enforces.
const (
	QuotaStoredBytes    Quota = "stored bytes"
	QuotaFiles          Quota = "files"
	QuotaOpenBatches    Quota = "open batches"
	QuotaEnqueuedLines  Quota = "enqueued lines"
	QuotaEnqueuedTokens Quota = "enqueued tokens"
	QuotaBatchesPerHour Quota = "batches per hour"
)

// QuotaError refuses a write that would exceed a tenant's limit. Nothing was done.
type QuotaError struct {
	Quota Quota
	Limit int64
	// Asked is how much the write would have added, where that can be more than one. More than Limit can never succeed.
	Asked int64
	// Used is how much of the limit was taken; it may be more than all of it.
	Used int64
	// RetryAfter is after how long the call can succeed if nothing else is called, zero where only the tenant can make
	// room.
	RetryAfter time.Duration
}

// Error names the quota and its limit.
func (e *QuotaError) Error() string {
	return fmt.Sprintf("limit of %d %s is reached", e.Limit, e.Quota)
}
