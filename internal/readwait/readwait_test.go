package readwait_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/blob"
	"batchd/internal/readwait"
)

var errDenied = fmt.Errorf("%w: permission denied", blob.ErrUnreadable)

func TestPausesDoubleUpToAMinuteForEachStepByItself(t *testing.T) {
	t.Parallel()
	w := readwait.New(time.Now, slog.New(slog.DiscardHandler))
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		if got := w.Failed("b", "validate", errDenied); got != want*time.Second {
			t.Errorf("pause %d: got %s", i, got)
		}
	}
	if got := w.Failed("b", "line 1", errDenied); got != time.Second {
		t.Errorf("another step: got %s", got)
	}
	w.Done("b", "validate")
	if got := w.Failed("b", "validate", errDenied); got != time.Second {
		t.Errorf("after it was read: got %s", got)
	}
}

func TestABatchIsToldOfWhenItBeginsToWaitAndWhenAllOfItIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := readwait.New(time.Now, slog.New(slog.NewTextHandler(&log, nil)))
		began := time.Now()
		w.Failed("b", "line 1", errDenied)
		time.Sleep(10 * time.Second)
		w.Failed("b", "line 2", errDenied)
		w.Failed("b", "line 1", errDenied)
		w.Failed("c", "line 1", errDenied)
		got, ok := w.Of("b")
		if !ok || !got.Since.Equal(began) || !got.Next.Equal(time.Now().Add(time.Second)) || !errors.Is(got.Err, blob.ErrUnreadable) {
			t.Errorf("got %+v, %v", got, ok)
		}
		if since, waits := w.Since(); !waits || !since.Equal(began) || w.Steps("b") != 2 {
			t.Errorf("since %s, %v, %d steps", since, waits, w.Steps("b"))
		}
		w.Done("b", "line 1")
		w.Done("b", "line 3")
		w.Done("d", "line 1")
		time.Sleep(5 * time.Second)
		w.Done("b", "line 2")
		w.Done("b", "line 2")
		w.Forget("c")
		w.Forget("c")
		if _, waits := w.Since(); waits || w.Steps("b") != 0 {
			t.Error("something waits still")
		}
		for words, times := range map[string]int{
			`level=ERROR msg="stored bytes cannot be read; the batch waits for them" batch=b`: 1, "permission denied": 2,
			`level=INFO msg="the batch waits for stored bytes no longer" batch=b after=15s`: 1, "batch=c": 2,
		} {
			if got := strings.Count(log.String(), words); got != times {
				t.Errorf("%q is there %d times, want %d:\n%s", words, got, times, &log)
			}
		}
	})
}
