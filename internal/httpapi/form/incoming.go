package form

import "sync"

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
