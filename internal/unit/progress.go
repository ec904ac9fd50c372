package unit

import (
	"sync"

	"batchd/internal/batch"
)

// Progress holds the shown counts of the batches that run on this node: one counter per batch, loaded before the
// API listens, advanced only by outcomes that are durable. A read never touches the disk. All methods may be
// called concurrently.
type Progress struct {
	// mu guards counts.
	mu     sync.Mutex
	counts map[string]batch.Counts
}

// NewProgress returns counters that know no batch.
func NewProgress() *Progress { return &Progress{counts: make(map[string]batch.Counts)} }

// Load sets the counter of a batch to what its sealed units add up to, with the batch's total.
func (p *Progress) Load(batchID string, c batch.Counts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[batchID] = c
}

// Add advances the counter of a batch. A batch that was never loaded, or was forgotten, is ignored.
func (p *Progress) Add(batchID string, c batch.Counts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now, ok := p.counts[batchID]; ok {
		p.counts[batchID] = now.Add(c)
	}
}

// Counts returns the counts to show for a batch, and whether this node has any.
func (p *Progress) Counts(batchID string) (batch.Counts, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.counts[batchID]
	return c, ok
}

// Forget drops the counter of a batch whose row now says everything.
func (p *Progress) Forget(batchID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.counts, batchID)
}
