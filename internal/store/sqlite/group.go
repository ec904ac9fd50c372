package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Group commit: a write joins the queue and waits for the writer's turn. Whoever gets the turn takes the oldest steps
// out of the queue, runs them in one transaction, commits, and closes their done channels, which wakes the others. So
// there is no writer goroutine to start, stop or lose, and a lone write commits at once. docs/adr/0009-group-commit.md
// has the figures.

// groupMost is how many steps one transaction takes in: enough to share an fsync, few enough to bound how long the
// first of them waits for the last.
const groupMost = 32

// step is a write on its way into a transaction.
type step struct {
	ctx context.Context
	fn  func(context.Context, *tx) error
	// err is the step's result. It is set by whoever holds the turn, and read once done, which the same one closes, is
	// closed.
	err  error
	done chan struct{}
}

// queue is the steps that nobody has begun, oldest first. Its methods may be called concurrently.
type queue struct {
	// mu guards steps.
	mu    sync.Mutex
	steps []*step
}

// add puts a step at the end.
func (q *queue) add(s *step) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.steps = append(q.steps, s)
}

// withdraw takes a step out again and reports whether it was still there.
func (q *queue) withdraw(s *step) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.steps, s)
	if i >= 0 {
		q.steps = slices.Delete(q.steps, i, i+1)
	}
	return i >= 0
}

// take removes the oldest steps, as many as go into one transaction. Once taken, a step can no longer be withdrawn.
func (q *queue) take() []*step {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.steps), groupMost)
	group := slices.Clone(q.steps[:n])
	q.steps = slices.Delete(q.steps, 0, n)
	return group
}

// write runs fn as one atomic step and returns when it is durable. Steps that wait at the same time share a
// transaction, and so its fsync: whoever gets the turn commits for all. The context ends the wait; a step that has
// begun is finished, because cutting it off would leave the caller not knowing whether it was done.
func (s *Store) write(ctx context.Context, fn func(context.Context, *tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := s.writer
	// Once begun, the step runs without the caller's cancellation, but with its values.
	mine := &step{ctx: context.WithoutCancel(ctx), fn: fn, done: make(chan struct{})}
	w.queue.add(mine)
	for {
		var gaveUp error
		select {
		case <-mine.done:
			return mine.err
		case <-s.closing:
			gaveUp = errClosed
		case <-ctx.Done():
			gaveUp = ctx.Err()
		case w.turn <- struct{}{}:
			// Our step may be beyond the group that we commit. Then we wait again, and someone else's turn may come first.
			s.lead(ctx)
			<-w.turn
			continue
		}
		if w.queue.withdraw(mine) {
			return gaveUp
		}
		<-mine.done // begun, so it is finished
		return mine.err
	}
}

// lead commits the oldest steps of the queue. The turn is the caller's.
func (s *Store) lead(ctx context.Context) {
	group := s.writer.queue.take()
	if len(group) == 0 {
		return // somebody else has committed our step meanwhile
	}
	s.writer.commit(group)
	// The checkpoint comes before the callers are woken, so that it cannot fall behind: who writes much waits for it.
	if err := s.writer.checkpointIfLong(context.WithoutCancel(ctx)); err != nil {
		// The steps themselves are durable, and the next ones try again.
		s.log.ErrorContext(ctx, "fold write-ahead log", "path", s.path, "error", err)
	}
	for _, st := range group {
		close(st.done)
	}
}

// commit runs steps in one transaction. One that fails or changes nothing is undone alone; a fault of the
// transaction itself fails all of them.
func (w *writer) commit(group []*step) {
	ctx := group[0].ctx
	changed, err := w.transact(ctx, group)
	if err == nil {
		if changed {
			w.onCommit()
			w.onFsync(1)
		}
		return
	}
	w.onFault(err)
	// SQLite may have rolled back by itself, and then this fails. A transaction left open would make every later BEGIN
	// fail.
	_, _ = (&tx{w: w}).exec(ctx, `ROLLBACK`)
	for _, st := range group {
		if st.err == nil {
			st.err = err
		}
	}
}

// transact runs the steps and commits what they changed; an error is one of the transaction. Where nothing was
// changed it is rolled back, so that asking in vain costs no fsync.
func (w *writer) transact(ctx context.Context, group []*step) (changed bool, err error) {
	t := &tx{w: w}
	// IMMEDIATE takes the write lock now: a transaction that read first and then asked for it could be refused at once,
	// without the wait of the busy timeout, because another process had written in between.
	if _, err := t.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	for _, st := range group {
		did, err := w.runStep(st, len(group) > 1)
		if err != nil {
			return false, err
		}
		changed = changed || did
	}
	end := `ROLLBACK`
	if changed {
		end = `COMMIT`
	}
	if _, err := t.exec(ctx, end); err != nil {
		return false, fmt.Errorf("commit: %w", err)
	}
	return changed, nil
}

// runStep runs one step and reports whether it changed anything. A step among others stands in a savepoint, so that
// its failure undoes nothing but itself.
func (w *writer) runStep(st *step, shared bool) (bool, error) {
	// Each step has a tx of its own, since changed is asked step by step. A lone step needs no savepoint: what fails is
	// rolled back with the transaction.
	t := &tx{w: w}
	if shared {
		if _, err := t.exec(st.ctx, `SAVEPOINT step`); err != nil {
			return false, fmt.Errorf("begin step: %w", err)
		}
	}
	st.err = st.fn(st.ctx, t)
	did := st.err == nil && t.changed
	if !shared {
		return did, nil
	}
	if !did {
		if _, err := t.exec(st.ctx, `ROLLBACK TO step`); err != nil {
			return false, fmt.Errorf("undo step: %w", err)
		}
	}
	if _, err := t.exec(st.ctx, `RELEASE step`); err != nil {
		return false, fmt.Errorf("end step: %w", err)
	}
	return did, nil
}
