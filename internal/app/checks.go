package app

import (
	"context"
	"sync"
	"time"

	"batchd/internal/dispatch"
	"batchd/internal/limit"
	"batchd/internal/upstream"
)

// checkEvery is the pause before an upstream is asked again that something speaks against.
const checkEvery = 30 * time.Second

// checks are what was found out about upstreams before anything was sent to them. The zero value is that nothing was; its
// methods may be called concurrently.
type checks struct {
	// mu guards found, by the upstreams' order.
	mu    sync.Mutex
	found map[int]upstream.Finding
}

// of returns what speaks against an upstream; its reason is empty if nothing does for sure.
func (c *checks) of(i int) limit.Condition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.found[i].Condition
}

// note keeps what was found, and reports whether it is news.
func (c *checks) note(i int, f upstream.Finding) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.found[i]
	same := before.Reason == f.Reason && before.V1Missing == f.V1Missing
	if same {
		f.Since = before.Since
	}
	if c.found == nil {
		c.found = make(map[int]upstream.Finding)
	}
	c.found[i] = f
	return !same
}

// inspect asks each upstream for its models and says what it finds, and goes on asking while something speaks against
// one, until its first call, which says more. Nothing waits for it: an upstream may come up after the server, and one
// without a list works as well as any.
func (u *upstreams) inspect(ctx context.Context, states func() []dispatch.UpstreamState) {
	for u.inspectOnce(ctx, states()) {
		again := time.NewTimer(checkEvery)
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case <-again.C:
		}
	}
}

// inspectOnce asks those upstreams that were not called yet, and reports whether something speaks against one.
func (u *upstreams) inspectOnce(ctx context.Context, states []dispatch.UpstreamState) bool {
	var asked sync.WaitGroup
	for i, one := range u.set.Upstreams() {
		if states[i].Called {
			u.checks.note(i, upstream.Finding{})
			continue
		}
		asked.Go(func() {
			f := one.Inspect(ctx)
			if f.Reason != "" {
				f.Next = time.Now().Add(checkEvery)
			}
			if f.Reason != "" && f.V1Missing {
				f.Detail = "its URL lacks /v1"
			}
			if ctx.Err() == nil && u.checks.note(i, f) {
				u.tell(one.Name(), f)
			}
		})
	}
	asked.Wait()
	wrong := false
	for i := range states {
		wrong = wrong || u.checks.of(i).Reason != ""
	}
	return wrong
}
