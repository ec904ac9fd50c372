package sim

import (
	"container/list"
	"context"
	"sync"

	"batchd/internal/sim/batching"
)

// seats admits requests: so many at a time, then a queue in order of priority and arrival, then
// refusal.
type seats struct {
	queueCap int // below 0: no limit
	kvCap    int // tokens; 0: not modelled

	mu        sync.Mutex // guards the fields below
	cap       int        // 0: no limit
	running   int
	kvUsed    int       // tokens of the running requests
	queue     list.List // of *waiter, lowest priority number first
	preempted int64
}

// A waiter is a place in the queue. Its channel is closed, under the mutex, by whoever gives it a seat.
type waiter struct {
	seated    chan struct{}
	tokens    int
	priority  int
	preempted bool
}

// enter takes a seat for a request of so many tokens, waiting its turn: lower priorities first, then in order of
// arrival. On success leave must be called with the same number of tokens; preempted tells that the KV cache was full.
// The error is batching.ErrQueueFull or the context's.
func (s *seats) enter(ctx context.Context, tokens, priority int) (preempted bool, err error) {
	s.mu.Lock()
	if s.freeLocked() && s.queue.Len() == 0 {
		defer s.mu.Unlock()
		return s.seatLocked(tokens), nil
	}
	if s.queueCap >= 0 && s.queue.Len() >= s.queueCap {
		s.mu.Unlock()
		return false, batching.ErrQueueFull
	}
	w := &waiter{seated: make(chan struct{}), tokens: tokens, priority: priority}
	// Behind the last one whose priority is as low as its own.
	last := s.queue.Back()
	for last != nil && last.Value.(*waiter).priority > priority { //nolint:errcheck // nothing else is queued
		last = last.Prev()
	}
	var place *list.Element
	if last == nil {
		place = s.queue.PushFront(w)
	} else {
		place = s.queue.InsertAfter(w, last)
	}
	s.mu.Unlock()

	select {
	case <-w.seated:
		return w.preempted, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-w.seated:
		// The seat came while the client was leaving; it goes to the next in line.
		s.leaveLocked(tokens)
	default:
		s.queue.Remove(place)
	}
	return false, context.Cause(ctx)
}

// leave gives a seat back.
func (s *seats) leave(tokens int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaveLocked(tokens)
}

// view is what the seats show.
func (s *seats) view() view {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := view{running: s.running, waiting: s.queue.Len(), preempted: s.preempted}
	used, size := s.kvUsed, s.kvCap
	if size == 0 {
		used, size = s.running, s.cap // where the cache is not modelled, its usage is the share of seats
	}
	if size > 0 {
		v.kvUsage = min(1, float64(used)/float64(size))
	}
	return v
}

// freeLocked reports whether another request may run.
func (s *seats) freeLocked() bool { return s.cap == 0 || s.running < s.cap }

// seatLocked gives out a seat. A KV cache that is full by it is counted, and the request pays with time: nobody is turned away.
func (s *seats) seatLocked(tokens int) (preempted bool) {
	s.running++
	s.kvUsed += tokens
	if s.kvCap == 0 || s.kvUsed <= s.kvCap {
		return false
	}
	s.preempted++
	return true
}

func (s *seats) leaveLocked(tokens int) {
	s.running--
	s.kvUsed -= tokens
	s.admitLocked()
}

// admitLocked gives free seats to those who wait, in their order.
func (s *seats) admitLocked() {
	for s.queue.Len() > 0 && s.freeLocked() {
		w := s.queue.Remove(s.queue.Front()).(*waiter) //nolint:errcheck // nothing else is queued
		w.preempted = s.seatLocked(w.tokens)
		close(w.seated)
	}
}
