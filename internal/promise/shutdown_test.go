//go:build !failpoint

package promise

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shutdownGrace is the server's own default; an end takes no longer, some scheduling aside.
const shutdownGrace = 25*time.Second + 2*time.Second

// TestD11 sends SIGTERM while the server does each of the things it does (F17).
func TestD11(t *testing.T) {
	t.Parallel()
	t.Run("F17 in validation", func(t *testing.T) {
		t.Parallel()
		in := input{lines: 60_000}
		n := newNode(t, newEngine(t, steady(time.Second)), 8, "BATCHD_CANCEL_GRACE=1s")
		n.start()
		id := n.run(in, "24h")
		n.stop()
		n.start()
		mustCancel(t, n, id)
		if _, err := n.finished(id, in); err != nil {
			t.Error(err)
		}
	})
	t.Run("F17 in dispatch", func(t *testing.T) {
		t.Parallel()
		in := input{lines: 600}
		n := newNode(t, newEngine(t, steady(200*time.Millisecond)), 64)
		n.start()
		s := n.watch(n.run(in, "24h"))
		until(t, endWithin, "permits are taken", func() bool { return n.engine.inFlight() == 64 })
		n.stop()
		n.start()
		s.await(t, endWithin)
		n.settled(s, in, 64)
	})
	t.Run("F17 in sealing and finalizing", func(t *testing.T) {
		t.Parallel()
		in := input{lines: 1200}
		n := newNode(t, newEngine(t, steady(0)), 32)
		n.start()
		for round := range 5 {
			before := n.engine.count()
			s := n.watch(n.run(in, "24h"))
			until(t, endWithin, "the last call is answered", func() bool {
				return n.engine.count() == before+in.lines && n.engine.inFlight() == 0
			})
			pause(time.Duration(round) * 4 * time.Millisecond)
			n.stop()
			n.start()
			s.await(t, endWithin)
			n.settled(s, in, 32)
		}
	})
	t.Run("F17 in a download", func(t *testing.T) {
		t.Parallel()
		n := newNode(t, newEngine(t, steady(0)), 1)
		n.start()
		content := input{lines: 100_000, padding: strings.Repeat("x", 200)}.text()
		uploaded, err := n.uploadText(content)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := n.open(t.Context(), http.MethodGet, "/v1/files/"+uploaded.ID+"/content", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		n.signal(syscall.SIGTERM)
		got, err := io.ReadAll(answer.Body)
		if err != nil || string(got) != content {
			t.Errorf("got %d bytes of %d, %v", len(got), len(content), err)
		}
		if err := n.await(shutdownGrace); err != nil {
			t.Errorf("got %v, want exit code 0", err)
		}
	})
	t.Run("F17 in an upload", terminatedInUpload)
	t.Run("F17 with calls that outlast the grace", outlastsTheGrace)
	t.Run("F17 twice", terminatedTwice)
}

// settled checks everything about a batch that has ended.
func (n *node) settled(s *sampler, in input, concurrency int) {
	n.t.Helper()
	if err := s.finish(); err != nil {
		n.t.Error(err)
	}
	if _, err := n.audit(s.id, in); err != nil {
		n.t.Error(err)
	}
	if _, err := n.repeats(concurrency); err != nil {
		n.t.Error(err)
	}
}

// terminatedTwice does not wait for the grace.
func terminatedTwice(t *testing.T) {
	t.Parallel()
	in := input{lines: 10}
	e := newEngine(t, func(_ string, try int) reply {
		if try == 1 {
			return reply{after: time.Hour}
		}
		return reply{}
	})
	n := newNode(t, e, 10)
	n.start()
	s := n.watch(n.run(in, "24h"))
	until(t, endWithin, "calls are in flight", func() bool { return e.inFlight() == 10 })
	n.signal(syscall.SIGTERM)
	pause(500 * time.Millisecond)
	began := time.Now()
	n.signal(syscall.SIGTERM)
	_ = n.await(endWithin) // at once; with which code is not promised
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s to end after the second SIGTERM", took)
	}
	n.start()
	s.await(t, endWithin)
	if err := s.finish(); err != nil {
		t.Error(err)
	}
	if _, err := n.audit(s.id, in); err != nil {
		t.Error(err)
	}
}

// outlastsTheGrace cuts off calls that do not end.
func outlastsTheGrace(t *testing.T) {
	t.Parallel()
	in := input{lines: 40}
	e := newEngine(t, func(line string, try int) reply {
		if try == 1 && in.number(line) <= 10 {
			return reply{after: time.Hour}
		}
		return reply{}
	})
	n := newNode(t, e, 20, "BATCHD_SHUTDOWN_GRACE=5s")
	n.start()
	s := n.watch(n.run(in, "24h"))
	s.awaitResults(t, 30)
	began := time.Now()
	n.stop()
	if took := time.Since(began); took > 7*time.Second {
		t.Errorf("it took %s to end, want 5 s", took)
	}
	n.start()
	s.await(t, endWithin)
	if err := s.finish(); err != nil {
		t.Error(err)
	}
	if _, err := n.audit(s.id, in); err != nil {
		t.Error(err)
	}
	if calls := e.count(); calls != in.lines+10 {
		t.Errorf("%d calls, want one for each line and one more for each that was cut off", calls)
	}
}

// terminatedInUpload lets an upload under way finish, and keeps it.
func terminatedInUpload(t *testing.T) {
	t.Parallel()
	n := newNode(t, newEngine(t, steady(0)), 1)
	n.start()
	in := input{lines: 1000}
	text := in.text()
	uploaded, err := n.upload("input.jsonl", func(w io.Writer) error {
		_, err := io.WriteString(w, text[:len(text)/2])
		pause(50 * time.Millisecond)
		n.signal(syscall.SIGTERM)
		pause(50 * time.Millisecond)
		_, second := io.WriteString(w, text[len(text)/2:])
		return errors.Join(err, second)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.await(shutdownGrace); err != nil {
		t.Errorf("got %v, want exit code 0", err)
	}
	n.start()
	if got, err := n.content(uploaded.ID); err != nil || !bytes.Equal(got, []byte(text)) {
		t.Errorf("got %d bytes of %d, %v", len(got), len(text), err)
	}
}
