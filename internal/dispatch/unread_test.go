package dispatch_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dispatch"
	"batchd/internal/limit"
)

var errDenied = fmt.Errorf("%w: permission denied", blob.ErrUnreadable)

// record is a log that may be written to and read at the same time.
type record struct {
	// mu guards text.
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// says checks how often some words are in the log.
func (r *record) says(t *testing.T, words string, times int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := strings.Count(r.text.String(), words); got != times {
		t.Errorf("%q is in the log %d times, want %d:\n%s", words, got, times, &r.text)
	}
}

// newLoggedWorld is a world of one quick upstream whose log is kept.
func newLoggedWorld(t *testing.T) (*world, *record) {
	log := &record{}
	w := newWorld(t, func(o *dispatch.Options) { o.Logger = slog.New(slog.NewTextHandler(log, nil)) }, &upstreamFunc{
		name: "a", limit: 8, answer: func(context.Context, dispatch.Call) dispatch.Answer {
			time.Sleep(50 * time.Millisecond)
			return served()
		},
	})
	return w, log
}

// wantUnread checks that a batch waits for what is stored, and for nothing else that its lines could be told by.
func wantUnread(t *testing.T, w *world, id string, lines int, began time.Time) {
	t.Helper()
	total := 0
	for _, wait := range w.d.WaitingFor(id) {
		if wait.Reason != limit.ReasonBlobUnreadable || wait.Upstream != "" || wait.Since.Before(began) || wait.Since.IsZero() || wait.Own {
			t.Errorf("waits for %+v", wait)
		}
		total += wait.Lines
	}
	if total != lines {
		t.Errorf("%d lines wait, want %d", total, lines)
	}
}

// D14: lines that cannot be read hold up nobody else, are not all tried, and go on by themselves within a minute.
func TestLinesThatCannotBeReadWaitByThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, log := newLoggedWorld(t)
		w.add("b", fakeUnitSpec{"m", 1000}, fakeUnitSpec{"m", 1000}, fakeUnitSpec{"m", 1000})
		time.Sleep(time.Second)
		done := len(w.result("b"))
		w.hide("b", errDenied)
		began := time.Now()
		time.Sleep(100 * time.Millisecond)
		w.add("c", fakeUnitSpec{"m", 400})
		w.wait("c")
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the other batch took %s, as if it had had to share", took)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		wantUnread(t, w, "b", 3000-len(w.result("b")), began)
		if done == 0 || len(w.result("b")) > done+16 {
			t.Errorf("%d lines were done before, %d at last", done, len(w.result("b")))
		}
		mended := time.Now()
		if tries := w.mend("b"); tries > 24*70 {
			t.Errorf("%d tries within an hour: want some lines once a minute", tries)
		}
		w.wait("b")
		if took := time.Since(mended); took > 60*time.Second+20*time.Second {
			t.Errorf("it went on for %s after the storage was back", took)
		}
		if got := len(w.result("b")); got != 3000 {
			t.Errorf("%d outcomes", got)
		}
		log.says(t, "stored bytes cannot be read", 1)
		log.says(t, "permission denied", 1)
		log.says(t, "waits for stored bytes no longer", 1)
	})
}

func TestUnitsThatCannotBeOpenedOrSealedWaitByThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, log := newLoggedWorld(t)
		w.hide("b", errDenied)
		began := time.Now()
		w.add("b", fakeUnitSpec{"m", 10}, fakeUnitSpec{"m", 10})
		time.Sleep(10 * time.Minute)
		wantUnread(t, w, "b", 20, began)
		if tries := w.mend("b"); tries < 10 || tries > 2*20 {
			t.Errorf("%d tries within ten minutes", tries)
		}
		w.wait("b")
		w.add("s", fakeUnitSpec{"m", 3})
		time.Sleep(10 * time.Millisecond) // they are in flight
		w.hide("s", errDenied)
		time.Sleep(5 * time.Minute)
		if got := len(w.result("s")); got != 3 {
			t.Errorf("%d lines are done, want all: only the seal reads", got)
		}
		if tries := w.mend("s"); tries < 5 || tries > 20 {
			t.Errorf("%d seals were tried within five minutes", tries)
		}
		w.wait("s")
		log.says(t, "stored bytes cannot be read", 2)
		log.says(t, "waits for stored bytes no longer", 2)
		log.says(t, "trying again", 0)
	})
}

// A batch that is stopped is settled as soon as that can be done; until then its units wait like any other.
func TestAStoppedBatchThatCannotBeReadEndsOnceItCan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, log := newLoggedWorld(t)
		w.hide("b", errDenied)
		w.add("b", fakeUnitSpec{"m", 10}, fakeUnitSpec{"m", 10}, fakeUnitSpec{"m", 10}, fakeUnitSpec{"m", 10}, fakeUnitSpec{"m", 10}, fakeUnitSpec{"m", 10})
		time.Sleep(10 * time.Minute)
		w.d.Stop("b", batch.StopCancel)
		time.Sleep(10 * time.Minute)
		w.mend("b")
		mended := time.Now()
		w.wait("b")
		if took := time.Since(mended); took > time.Minute {
			t.Errorf("it ended %s after the storage was back", took)
		}
		for line, o := range w.result("b") {
			if o.Code != batch.CodeCancelled {
				t.Errorf("line %d: %+v", line, o)
			}
		}
		log.says(t, "trying again", 0)
	})
}
