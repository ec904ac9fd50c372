package limit

import "sync"

// Fixed is a Limiter with a constant number of permits.
type Fixed struct {
	limit int

	// mu guards inUse.
	mu    sync.Mutex
	inUse int
}

// NewFixed returns a limiter of n permits. It panics if n is less than 1.
func NewFixed(n int) *Fixed {
	if n < 1 {
		panic("limit: NewFixed needs at least one permit")
	}
	return &Fixed{limit: n}
}

// TryAcquire takes a permit if one is free.
func (f *Fixed) TryAcquire() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inUse >= f.limit {
		return false
	}
	f.inUse++
	return true
}

// Release gives a permit back. It panics if none is taken: permits would otherwise grow without notice.
func (f *Fixed) Release(Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inUse == 0 {
		panic("limit: Release without TryAcquire")
	}
	f.inUse--
}

// Limit returns the number of permits.
func (f *Fixed) Limit() int { return f.limit }

// InUse returns how many permits are taken.
func (f *Fixed) InUse() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inUse
}
