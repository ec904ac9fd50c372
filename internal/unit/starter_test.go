package unit_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/readwait"
	"batchd/internal/unit"
)

// files is a ledger that also knows running batches and their input, which it cannot read the first times.
type files struct {
	*ledger
	failures int
	// onRead is called when the input is asked for.
	onRead func()
}

func (f *files) InputFile(context.Context, string) (batch.File, error) {
	if f.failures > 0 {
		f.failures--
		return batch.File{}, errors.New("the disk is slow")
	}
	if f.onRead != nil {
		f.onRead()
	}
	return batch.File{}, nil
}

func (f *files) ReclaimUnits(context.Context, string) (int, error) { return 0, nil }

func (f *files) RunningBatches(context.Context) ([]batch.Batch, error) {
	return []batch.Batch{f.batch}, nil
}

// handed is a dispatcher that writes down what it is told.
type handed struct{ told []string }

func (h *handed) Add(b batch.Batch, _ dispatch.Job, _ []dispatch.Unit) {
	h.told = append(h.told, "add "+b.ID)
}

func (h *handed) Stop(id string, stop batch.Stop) {
	h.told = append(h.told, string(stop)+" "+id)
}

func TestARunningBatchIsHandedOverOnceItsInputCanBeRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4, 2)
		to := &handed{}
		s := w.starter(&files{ledger: w.ledger, failures: 2}, to)
		if err := s.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, shown := w.progress.Counts(batchID); !shown {
			t.Error("the counts of a running batch are not shown")
		}
		begun := time.Now()
		s.Resume(t.Context())
		s.Wait()
		if got, want := strings.Join(to.told, ", "), "add "+batchID; got != want || time.Since(begun) != 4*time.Second {
			t.Errorf("told %q after %s, want %q after two pauses", got, time.Since(begun), want)
		}
	})
}

func TestAStopThatIsStoredMeanwhileIsToldAfterTheBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 2)
	to := &handed{}
	store := &files{ledger: w.ledger, onRead: func() { w.ledger.batch.Stop = batch.StopCancel }}
	s := w.starter(store, to)
	s.Resume(t.Context())
	s.Start(batchID)
	s.Wait()
	if got, want := strings.Join(to.told, ", "), "add "+batchID+", cancel "+batchID; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestNothingIsHandedOverAfterTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 2)
	to := &handed{}
	s := w.starter(&files{ledger: w.ledger, failures: 1000}, to)
	ctx, end := context.WithCancel(t.Context())
	s.Resume(ctx)
	s.Start(batchID)
	end()
	s.Wait()
	if len(to.told) > 0 {
		t.Errorf("told %q", to.told)
	}
}

// starter makes a Starter over the world, whose batch nobody has stopped.
func (w *world) starter(store *files, to unit.Dispatcher) *unit.Starter {
	w.ledger.batch.Stop = batch.StopNone
	return unit.NewStarter(unit.StarterOptions{
		Unread: readwait.New(time.Now, slog.New(slog.DiscardHandler)),
		Keeper: w.keeper, Store: store, Blobs: w.blobs, Dispatcher: to, Node: "node",
		Replan: func(context.Context, batch.Batch) error { return nil },
	})
}
