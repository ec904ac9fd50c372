package leaseloop_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/leaseloop"
	"batchd/internal/readwait"
	"batchd/internal/store"
)

// queue is a store with batches that are due, by id.
type queue struct {
	// mu guards following fields.
	mu       sync.Mutex
	due      []string
	released []string
	// refused is how many releases fail before one works.
	refused int
}

func (q *queue) LeaseBatch(_ context.Context, _ store.Stage, _ store.Holder) (batch.Batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.due) == 0 {
		return batch.Batch{}, store.ErrNoWork
	}
	id := q.due[0]
	q.due = q.due[1:]
	return batch.Batch{ID: id}, nil
}

func (q *queue) ReleaseBatch(_ context.Context, id string, _ batch.LeaseID) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refused > 0 {
		q.refused--
		return store.ErrUnavailable
	}
	q.released = append(q.released, id)
	q.due = append(q.due, id)
	return nil
}

func (q *queue) add(ids ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.due = append(q.due, ids...)
}

// run starts a loop over q and stops it when the test ends.
func run(t *testing.T, q *queue, parallel int, do func(ctx context.Context, id string) error) *leaseloop.Loop {
	l := leaseloop.New(leaseloop.Options{
		Store: q, Stage: store.StageValidate, Node: "n", Parallel: parallel, Logger: slog.New(slog.DiscardHandler),
		Unread: readwait.New(time.Now, slog.New(slog.DiscardHandler)),
		Do:     func(ctx context.Context, b batch.Batch, _ batch.LeaseID) error { return do(ctx, b.ID) },
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return l
}

// wait returns what comes through ch within a minute of fake time. It must have a bound: a loop that has lost a batch
// goes on polling, so fake time would never stand still.
func wait[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(time.Minute):
		t.Fatal("it has not happened within a minute")
		panic("unreachable")
	}
}

func TestWakeStartsWorkAtOnceAndAtMostSoManyRunTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		var mu sync.Mutex
		running, most, done := 0, 0, 0
		l := run(t, q, 2, func(context.Context, string) error {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			running--
			done++
			return nil
		})
		synctest.Wait()
		start := time.Now()
		q.add("a", "b", "c", "d")
		l.Wake()
		l.Wake()
		finished := func() bool { mu.Lock(); defer mu.Unlock(); return done == 4 }
		for !finished() && time.Since(start) < time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(start); most != 2 || took > 2500*time.Millisecond {
			t.Errorf("four steps of 1 s: %d together, %s; want 2 and about 2 s", most, took)
		}
	})
}

func TestWorkNobodyToldOfIsFoundByPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		done := make(chan string, 1)
		run(t, q, 1, func(_ context.Context, id string) error { done <- id; return nil })
		synctest.Wait()
		q.add("a")
		start := time.Now()
		wait(t, done)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("found after %s, want at most 10 s", took)
		}
	})
}

func TestFailedStepIsGivenBackAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{due: []string{"a"}}
		tries := 0
		done := make(chan bool)
		run(t, q, 1, func(context.Context, string) error {
			if tries++; tries < 4 {
				return errors.New("disk full")
			}
			close(done)
			return nil
		})
		wait(t, done)
		if len(q.released) != 3 {
			t.Errorf("given back %d times, want 3", len(q.released))
		}
	})
}

func TestLostLeaseIsNotGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{due: []string{"a"}}
		run(t, q, 1, func(context.Context, string) error { return store.ErrLeaseLost })
		time.Sleep(time.Minute)
		if len(q.released) != 0 {
			t.Errorf("given back %v: somebody else holds it", q.released)
		}
	})
}

func TestInterruptEndsTheStepAndLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{due: []string{"a"}}
		tries := 0
		done := make(chan bool)
		l := run(t, q, 1, func(ctx context.Context, _ string) error {
			if tries++; tries == 2 {
				close(done)
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		synctest.Wait()
		start := time.Now()
		l.Interrupt("a")
		wait(t, done)
		if took := time.Since(start); took > 0 {
			t.Errorf("looked again after %s, want at once", took)
		}
	})
}

// However many batches cannot be read, the others go on, and each of them is tried after pauses that grow.
func TestBatchesThatCannotBeReadHoldUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{due: []string{"a", "b", "c", "good"}}
		done := make(chan string, 1)
		var mu sync.Mutex
		tries := map[string]int{}
		run(t, q, 2, func(_ context.Context, id string) error {
			if id == "good" {
				done <- id
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			tries[id]++
			return fmt.Errorf("read input: %w", blob.ErrUnreadable)
		})
		start := time.Now()
		wait(t, done)
		if took := time.Since(start); took > 0 {
			t.Errorf("the good batch took %s", took)
		}
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		for _, id := range []string{"a", "b", "c"} {
			if tries[id] < 60 || tries[id] > 66 {
				t.Errorf("batch %s was tried %d times within an hour, want about once a minute", id, tries[id])
			}
		}
	})
}

func TestInterruptEndsTheWaitForABatchThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{due: []string{"a"}}
		var stopped atomic.Bool
		done := make(chan bool)
		l := run(t, q, 1, func(context.Context, string) error {
			if stopped.Load() {
				close(done)
				return nil
			}
			return blob.ErrUnreadable
		})
		time.Sleep(10*time.Minute + 500*time.Millisecond)
		start := time.Now()
		stopped.Store(true)
		l.Interrupt("a")
		wait(t, done)
		if took := time.Since(start); took > 0 {
			t.Errorf("looked again after %s, want at once", took)
		}
	})
}

func TestABatchThatCannotBeReadIsGivenBackAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{due: []string{"a"}}
		l := leaseloop.New(leaseloop.Options{
			Store: q, Stage: store.StageValidate, Node: "n", Parallel: 1, Logger: slog.New(slog.DiscardHandler),
			Unread: readwait.New(time.Now, slog.New(slog.DiscardHandler)),
			Do:     func(context.Context, batch.Batch, batch.LeaseID) error { return blob.ErrUnreadable },
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		l.Run(ctx)
		if took := len(q.released); took != 3 {
			t.Errorf("given back %d times, want after 1 s, after 2 s and at the end", took)
		}
	})
}

func TestABatchThatCannotBeGivenBackIsGivenBackLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &queue{due: []string{"a"}, refused: 5}
		var tries []time.Duration
		began := time.Now()
		run(t, q, 1, func(context.Context, string) error {
			if tries = append(tries, time.Since(began)); len(tries) == 1 {
				return errors.New("the disk is gone")
			}
			return nil
		})
		time.Sleep(time.Minute)
		synctest.Wait() // so that the step's writes are seen
		if len(tries) != 2 || tries[1] < 5*time.Second || tries[1] > 10*time.Second {
			t.Errorf("tried after %v, want at once and again when it was given back", tries)
		}
	})
}
