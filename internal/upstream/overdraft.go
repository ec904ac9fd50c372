package upstream

import (
	"sync"

	"batchd/internal/batch"
)

// Overdraft is the node's memory for long answers. Every call may hold 64 KiB of its answer; one that grows past that
// takes a permit, good for 4 MiB, and one that finds none free goes on in a file. Nobody ever waits for a permit, so
// that neither many long answers nor a slow one can stop the others.
type Overdraft struct {
	// permits holds one element for each permit taken.
	permits chan struct{}
}

// NewOverdraft returns an overdraft of n permits, at least one.
func NewOverdraft(n int) *Overdraft { return &Overdraft{permits: make(chan struct{}, max(n, 1))} }

func (o *Overdraft) tryAcquire() bool {
	select {
	case o.permits <- struct{}{}:
		return true
	default:
		return false
	}
}

func (o *Overdraft) release() { <-o.permits }

// InUse returns how many permits are taken. It may be called concurrently.
func (o *Overdraft) InUse() int { return len(o.permits) }

// overdrawn is a body in memory that holds a permit until it is closed.
type overdrawn struct {
	batch.MemoryBody
	release func()
}

func newOverdrawn(raw []byte, o *Overdraft) *overdrawn {
	return &overdrawn{MemoryBody: raw, release: sync.OnceFunc(o.release)}
}

// Close gives the permit back; a second call does nothing.
func (b *overdrawn) Close() error {
	b.release()
	return nil
}
