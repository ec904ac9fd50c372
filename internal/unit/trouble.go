package unit

import (
	"context"
	"sync"
	"time"

	"batchd/internal/descriptors"
	"batchd/internal/journal"
)

// calm is how long no journal must have waited before results count as being written again. It is longer than the second
// after which each is tried again.
const calm = 3 * time.Second

// trouble is what keeps journals from being written and will pass: for want of descriptors, of memory, or of the data
// directory. Its methods may be called concurrently.
type trouble struct {
	// mu guards following fields.
	mu sync.Mutex
	// since is when it began, zero while there is none; last is when it was met last, and err how.
	since, last time.Time
	err         error
	// told is set once the log has it.
	told bool
}

// met takes note of an error of a journal, if it is one that passes, and reports whether it is.
func (t *trouble) met(now time.Time, err error) bool {
	if !journal.Passing(err) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		t.since, t.told = now, false
	}
	t.last, t.err = now, err
	return true
}

// current returns the error that was met last while there is trouble, nil else.
func (t *trouble) current() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		return nil
	}
	return t.err
}

// change returns what the log is to be told now: the error with which trouble began, or after how long it has ended.
func (t *trouble) change(now time.Time) (after time.Duration, began error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.since.IsZero():
		return 0, nil
	case !t.told:
		t.told = true
		return 0, t.err
	case now.Sub(t.last) > calm:
		after = now.Sub(t.since)
		t.since = time.Time{}
	}
	return after, nil
}

// wait returns nil once lines may be sent, or ctx's error when it ends.
func (k *Keeper) wait(ctx context.Context) error {
	for k.o.Hold() != nil {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
	return nil
}

// Short reports whether results wait to be written for want of descriptors or memory.
func (k *Keeper) Short() bool { return descriptors.IsShortage(k.trouble.current()) }

// tellTrouble logs that results begin to wait, and that they do so no more.
func (k *Keeper) tellTrouble() {
	switch after, began := k.trouble.change(k.o.Now()); {
	case began != nil:
		k.o.Logger.Warn("results wait to be written; trying again every second", "error", began)
	case after > 0:
		k.o.Logger.Info("results are written again", "after", after.Round(time.Second))
	}
}

// tellRescues counts the times that a journal had to be copied because an fsync of it had failed, beyond those that were seen
// already, and logs the first one. It returns how often it was in all.
func (k *Keeper) tellRescues(log *journal.Journal, seen int) int {
	n, cause := log.Rescues()
	if n > 0 && seen == 0 {
		k.o.Logger.Error("fsync of a journal failed; its results were copied to a fresh file, and none is lost. Look at the disk: it is failing",
			"journal", log.Path(), "error", cause)
	}
	for range n - seen {
		k.o.OnRescue()
	}
	return n
}
