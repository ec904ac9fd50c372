package unit_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/dispatch"
	"batchd/internal/journal"
	"batchd/internal/vfs"
	"batchd/internal/vfs/memfs"
)

// logged returns how many lines of the log hold a text.
func (w *world) logged(text string) int { return strings.Count(w.logs.String(), text) }

func TestF09EveryRescueIsCountedAndEachFileToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 30, 10)
	first, second := w.open(0), w.open(1)
	failed := map[string]bool{} // in this round, by journal
	w.disk.OnOp(func(op memfs.Op) error {
		name := strings.TrimSuffix(op.Name, journal.TempSuffix)
		if op.Kind != "sync" || failed[name] {
			return nil
		}
		failed[name] = true
		return syscall.EIO
	})
	for round := range 3 {
		clear(failed)
		w.run(first, 2)
		if round == 2 {
			w.run(second, 2)
		}
		if err := w.keeper.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	const text = "fsync of a journal failed"
	if got := w.logged(text); got != 2 || w.rescues.Load() != 4 {
		t.Errorf("told %d times, counted %d, want 2 and 4:\n%s", got, w.rescues.Load(), w.logs)
	}
	w.disk.OnOp(nil)
	w.rescues.Store(0)
	w.logs.Reset()
	w.boot(w.disk.Kill())
	if _, err := w.keeper.Recover(t.Context(), "n"); err != nil {
		t.Fatal(err)
	}
	if w.logged(text) != 0 || w.rescues.Load() != 0 {
		t.Errorf("told again of what an earlier process has mended:\n%s", w.logs)
	}
}

func TestF13AShortageIsToldWhenItBeginsAndEnds(t *testing.T) {
	t.Parallel()
	for _, short := range []error{syscall.EMFILE, vfs.ErrRootGone} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 30, 10)
			u := w.open(0)
			lines := take(u, -1)
			record := func(l dispatch.Line) error {
				_, err := u.Record(l.Number, []byte("c"), answer(l.Number))
				return err
			}
			seconds := func(n int) {
				for range n {
					time.Sleep(time.Second)
					if err := w.keeper.Sync(); err != nil {
						t.Fatalf("Sync: %v", err)
					}
				}
			}
			w.disk.OnOp(func(op memfs.Op) error {
				if op.Kind == "create" || op.Kind == "syncdir" {
					return short
				}
				return nil
			})
			for range 10 {
				if record(lines[0]) == nil {
					t.Fatal("a journal was made")
				}
				seconds(1)
			}
			if got := w.logged("results wait to be written"); got != 1 || w.logged("ERROR") != 0 {
				t.Errorf("told %d times:\n%s", got, w.logs)
			}
			if got, want := w.keeper.Short(), errors.Is(short, syscall.EMFILE); got != want {
				t.Errorf("short: %t, want %t", got, want)
			}
			w.disk.OnOp(nil)
			if err := record(lines[0]); err != nil {
				t.Fatal(err)
			}
			seconds(5)
			if w.logged("results are written again") != 1 || w.keeper.Short() {
				t.Errorf("the end is not told once:\n%s", w.logs)
			}
		})
	}
}

func TestNoLineIsLoadedWhileTheyAreHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 30, 10)
		u := w.open(0)
		lines := take(u, 2)
		var free atomic.Bool
		w.hold = func() error {
			if free.Load() {
				return nil
			}
			return vfs.ErrRootGone
		}
		ctx, give := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("enough"))
		defer give()
		if _, err := u.Load(ctx, lines[0]); err == nil || err.Error() != "enough" {
			t.Errorf("held, and given up: %v", err)
		}
		began := time.Now()
		time.AfterFunc(10*time.Second, func() { free.Store(true) })
		if _, err := u.Load(t.Context(), lines[1]); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("loaded after %s, want 10 s", took)
		}
	})
}
