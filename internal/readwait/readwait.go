// Package readwait keeps account of the work that waits because stored bytes cannot be read for now: permission denied,
// something else in a file's place, an error of the disk. It says how long to wait before the next try, which steps of
// which batches wait and since when, and tells the log when that begins and ends, once for each batch. Steps that fail
// for another reason, as those that cannot write, stand in the account too, so that their batches can say so; the log has
// them from the caller. It reads nothing itself, starts no goroutine, and decides about no bytes: damage, which is proven by
// a checksum, is not its business.
package readwait

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"batchd/internal/blob"
)

// What is tried again after firstPause, twice as long each time, and at last after mostPause: storage that is mounted again
// or mended is noticed within a minute, and one that is gone costs nothing.
const (
	firstPause = time.Second
	mostPause  = time.Minute
)

// Is reports whether an error means that a later try may read what could not be read now.
func Is(err error) bool { return errors.Is(err, blob.ErrUnreadable) }

// Waits is the account of one node. Its methods may be called concurrently, and never wait for anything but each other.
type Waits struct {
	now func() time.Time
	log *slog.Logger
	// any is how many batches wait. It is kept beside the map so that those for whom all is well need no lock.
	any atomic.Int64

	// mu guards batches, by their ids.
	mu      sync.Mutex
	batches map[string]*waiting
}

// waiting is a batch of which something waits: at least one step.
type waiting struct {
	since time.Time
	// last is why the last try failed.
	last  error
	steps map[string]step
}

// step is a step that waits: how often it was tried, and when it is tried next.
type step struct {
	tries int
	next  time.Time
}

// New returns an account in which nothing waits. now is the clock.
func New(now func() time.Time, log *slog.Logger) *Waits {
	return &Waits{now: now, log: log, batches: make(map[string]*waiting)}
}

// Failed notes that a step of a batch could not read what it needs, and returns how long to wait before the step is tried
// again: 1, 2, 4 and so on, up to 60 s. What a step is called is the caller's choice. Of another error than those that Is
// knows, which is a step's that could not write, the caller tells the log itself.
func (w *Waits) Failed(batchID, name string, err error) time.Duration {
	now := w.now()
	w.mu.Lock()
	b := w.batches[batchID]
	begins := b == nil
	if begins {
		b = &waiting{since: now, steps: make(map[string]step)}
		w.batches[batchID] = b
		w.any.Add(1)
	}
	s := b.steps[name]
	pause := min(firstPause<<min(s.tries, 10), mostPause)
	s.tries++
	s.next = now.Add(pause)
	b.steps[name], b.last = s, err
	w.mu.Unlock()
	if begins && Is(err) {
		w.log.Error("stored bytes cannot be read; the batch waits for them", "batch", batchID, "error", err)
	}
	return pause
}

// Done notes that a step has read what it needs, or does not need it any more. One that does not wait is no matter.
func (w *Waits) Done(batchID, name string) {
	if w.any.Load() == 0 {
		return
	}
	w.mu.Lock()
	b := w.batches[batchID]
	if b == nil {
		w.mu.Unlock()
		return
	}
	delete(b.steps, name)
	if len(b.steps) > 0 {
		b = nil // it waits on
	}
	w.end(batchID, b)
}

// Forget drops a batch: nothing of it waits any more.
func (w *Waits) Forget(batchID string) {
	w.mu.Lock()
	w.end(batchID, w.batches[batchID])
}

// end drops a batch, nil for none, gives the mutex back, which is the caller's, and tells the end.
func (w *Waits) end(batchID string, b *waiting) {
	if b != nil {
		delete(w.batches, batchID)
		w.any.Add(-1)
	}
	w.mu.Unlock()
	if b != nil && Is(b.last) {
		w.log.Info("the batch waits for stored bytes no longer", "batch", batchID, "after", w.now().Sub(b.since).Round(time.Second))
	}
}

// Wait is why a batch waits: since when, when the first of its steps is tried again, and what the last try failed with.
type Wait struct {
	Since, Next time.Time
	Err         error
}

// Of returns why a batch waits; false if nothing of it does.
func (w *Waits) Of(batchID string) (Wait, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.batches[batchID]
	if b == nil {
		return Wait{}, false
	}
	found := Wait{Since: b.since, Err: b.last}
	for _, s := range b.steps {
		if found.Next.IsZero() || s.next.Before(found.Next) {
			found.Next = s.next
		}
	}
	return found, true
}

// Since returns since when a batch has waited; false if none does.
func (w *Waits) Since() (since time.Time, waits bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.batches {
		if !waits || b.since.Before(since) {
			since, waits = b.since, true
		}
	}
	return since, waits
}
