package descriptors

import "sync/atomic"

// Pool counts what may be open at once. It may be used concurrently.
type Pool struct {
	most int64
	open atomic.Int64
}

// NewPool returns a pool of which nothing is open yet.
func NewPool(most int) *Pool { return &Pool{most: int64(most)} }

// Take reports whether one more may be opened, and counts it if so; whoever took it gives it back. It does not wait.
func (p *Pool) Take() bool {
	if p.open.Add(1) <= p.most {
		return true
	}
	p.open.Add(-1)
	return false
}

// Give counts one less.
func (p *Pool) Give() { p.open.Add(-1) }
