package sim

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// sleep waits, or returns the cause of the context's end. A duration of zero makes no timer.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A prefixCache remembers the prefixes of recent prompts, least recently used first out.
type prefixCache struct {
	cap int

	mu    sync.Mutex // guards the fields below
	order list.List  // of uint64, most recent first
	known map[uint64]*list.Element
}

// lookup returns how many of a prefix's tokens are cached: all or none. It remembers the prefix.
func (p *prefixCache) lookup(key uint64, tokens int) int {
	if p.cap == 0 || tokens == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.known[key]; ok {
		p.order.MoveToFront(at)
		return tokens
	}
	p.known[key] = p.order.PushFront(key)
	if p.order.Len() > p.cap {
		oldest := p.order.Remove(p.order.Back()).(uint64) //nolint:errcheck // order holds keys alone
		delete(p.known, oldest)
	}
	return 0
}
