package scrub

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// pacer takes what was read, a block at a time, and lets the next block wait: for the rate, and for as long as the disk
// seems to be busy. It is for one goroutine.
type pacer struct {
	ctx   context.Context
	rate  int64
	count prometheus.Counter
	// began is when reading the next block began.
	began time.Time
}

// Write implements io.Writer: it takes a block that was read since the last call.
func (p *pacer) Write(block []byte) (int, error) {
	if err := p.rest(int64(len(block))); err != nil {
		return 0, err
	}
	return len(block), nil
}

// rest waits until more may be read after so many bytes.
func (p *pacer) rest(bytes int64) error {
	took := time.Since(p.began)
	p.count.Add(float64(bytes))
	due := time.Duration(float64(bytes) / float64(p.rate) * float64(time.Second))
	if !sleep(p.ctx, max(due-took, restShare*took)) {
		return context.Cause(p.ctx)
	}
	p.began = time.Now()
	return nil
}

// sleep waits for a while and reports whether ctx lasted as long.
func sleep(ctx context.Context, length time.Duration) bool {
	if length <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(length)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
