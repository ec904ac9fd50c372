package httpapi

import (
	"fmt"
	"sync"

	"batchd/internal/store"
)

// incoming counts the bytes of uploads under way, by tenant. No row counts them yet, so without it any number of
// uploads at the same time could each take all the room that their tenant has left.
type incoming struct {
	// mu guards bytes, which has no entry for tenants without uploads under way.
	mu    sync.Mutex
	bytes map[string]int64
}

// add counts n more bytes, or fewer if n is below zero, and returns how many there are then.
func (i *incoming) add(tenant string, n int64) int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.bytes == nil {
		i.bytes = make(map[string]int64)
	}
	total := i.bytes[tenant] + n
	if total == 0 {
		delete(i.bytes, tenant)
	} else {
		i.bytes[tenant] = total
	}
	return total
}

// allowance is the room for one upload's bytes. It is for one goroutine.
type allowance struct {
	incoming *incoming
	tenant   string
	// left is what the tenant could still store when the upload began, taken how much the upload has of it.
	left, taken int64
}

// take counts n more bytes of the upload and reports whether all of the tenant's uploads under way have room together.
func (a *allowance) take(n int64) bool {
	a.taken += n
	return a.incoming.add(a.tenant, n) <= a.left
}

func (a *allowance) release() {
	a.incoming.add(a.tenant, -a.taken)
	a.taken = 0
}

// allowance asks what the caller may still store. A body that is longer by its own account is refused unread.
func (c *Call) allowance() (*allowance, error) {
	left, err := c.Store.StorageLeft(c.Context(), c.Who.Tenant, c.Now())
	if err != nil {
		return nil, fmt.Errorf("storage left: %w", err)
	}
	left = max(left, 0)
	if c.Request.ContentLength-formOverhead > left {
		return nil, c.overQuota(left)
	}
	return &allowance{incoming: &c.incoming, tenant: c.Who.Tenant, left: left}, nil
}

// overQuota is what the store would say of a file that passes the tenant's quota of bytes, of which so many are left.
func (c *Call) overQuota(left int64) error {
	t, err := c.Store.Tenant(c.Context(), c.Who.Tenant)
	if err != nil {
		return fmt.Errorf("limit of stored bytes: %w", err)
	}
	return &store.QuotaError{Quota: store.QuotaStoredBytes, Limit: t.Limits.StoredBytes, Used: t.Limits.StoredBytes - left}
}
