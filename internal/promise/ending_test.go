//go:build !failpoint

package promise

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// short is a window that tests can wait for.
const (
	short        = "2s"
	shortWindows = "BATCHD_WINDOWS=" + short + ",24h"
	shortGrace   = "BATCHD_CANCEL_GRACE=1s"
)

// TestD2 ends batches in every way there is; audit checks that each line has one result.
func TestD2(t *testing.T) {
	t.Parallel()
	in := input{lines: 1500, bad: func(n int) bool { return n%10 == 0 }}
	slow := func(line string, _ int) reply { return reply{after: 100 * time.Millisecond} }
	for name, c := range map[string]struct {
		script  func(string, int) reply
		in      input
		window  string
		steps   func(t *testing.T, n *node, s *sampler)
		status  string
		code    string
		partial bool // some lines have answers and some the code
	}{
		"completed": {script: steady(0), in: in, status: "completed", code: "answer"},
		"cancelled in progress": {
			script: slow, in: in, status: "cancelled", code: "batch_cancelled", partial: true,
			steps: func(t *testing.T, n *node, s *sampler) {
				s.awaitResults(t, 20)
				mustCancel(t, n, s.id)
			},
		},
		"cancelled and killed": {
			script: slow, in: in, status: "cancelled", code: "batch_cancelled", partial: true,
			steps: func(t *testing.T, n *node, s *sampler) {
				s.awaitResults(t, 20)
				mustCancel(t, n, s.id)
				n.kill()
				n.start()
			},
		},
		"expired": {script: slow, in: in, window: short, status: "expired", code: "batch_expired", partial: true},
		"expired while down": {
			script: slow, in: in, window: short, status: "expired", code: "batch_expired", partial: true,
			steps: func(t *testing.T, n *node, s *sampler) {
				s.awaitResults(t, 20)
				n.kill()
				pause(2 * time.Second)
				n.start()
			},
		},
		"cancelled with every upstream down": {
			in: in, status: "cancelled", code: "batch_cancelled",
			steps: func(t *testing.T, n *node, s *sampler) {
				until(t, endWithin, "in progress", func() bool { return s.last().Status == "in_progress" })
				mustCancel(t, n, s.id)
			},
		},
		"expired with every upstream down": {in: in, window: short, status: "expired", code: "batch_expired"},
		"U14 expired with an upstream that always refuses": {
			in: input{lines: 40}, window: short, status: "expired", code: "batch_expired",
			script: func(string, int) reply { return reply{status: 429} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, c.script)
			if c.script == nil {
				_ = e.server.Listener.Close() // closing twice is no fault here
			}
			n := newNode(t, e, 16, shortWindows, shortGrace)
			n.start()
			s := n.watch(n.run(c.in, orDay(c.window)))
			if c.steps != nil {
				c.steps(t, n, s)
			}
			s.await(t, endWithin)
			if err := s.finish(); err != nil {
				t.Error(err)
			}
			a, err := n.audit(s.id, c.in)
			if err != nil {
				t.Fatal(err)
			}
			if a.job.Status != c.status || a.codes[c.code] == 0 {
				t.Errorf("got %s with %v, want %s with %s", a.job.Status, a.codes, c.status, c.code)
			}
			if answers := len(a.output) > 0; answers != (c.partial || c.status == "completed") {
				t.Errorf("there are answers: %t", answers)
			}
		})
	}
	t.Run("cancelled while validating", cancelledWhileValidating)
	t.Run("cancelled while finalizing", func(t *testing.T) {
		t.Parallel()
		n := newNode(t, newEngine(t, steady(0)), 64)
		n.start()
		for range 5 {
			before := n.engine.count()
			s := n.watch(n.run(in, "24h"))
			// The moment is short; whichever side of it the cancel lands, the batch ends with all its lines.
			until(t, endWithin, "close to its end", func() bool {
				return s.last().Status == "finalizing" || n.engine.count() == before+in.lines && n.engine.inFlight() == 0
			})
			_, _ = n.cancel(s.id)
			s.await(t, endWithin)
			if err := s.finish(); err != nil {
				t.Error(err)
			}
			if _, err := n.audit(s.id, in); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("failed while validating", failedWhileValidating)
}

func orDay(window string) string {
	if window == "" {
		return "24h"
	}
	return window
}

func mustCancel(t *testing.T, n *node, id string) {
	t.Helper()
	if j, err := n.cancel(id); err != nil || j.Status != "cancelling" && j.Status != "cancelled" {
		t.Errorf("cancel %s: got %s, %v", id, j.Status, err)
	}
}

// TestD5 looks at the counts while a batch runs, across a kill: they move before the end, and never back.
func TestD5(t *testing.T) {
	t.Parallel()
	in := input{lines: 3000, bad: func(n int) bool { return n%3 == 0 }}
	n := newNode(t, newEngine(t, steady(20*time.Millisecond)), 16)
	n.start()
	s := n.watch(n.run(in, "24h"))
	s.awaitResults(t, 300)
	n.kill()
	n.start()
	s.awaitResults(t, 1300)
	n.stop()
	n.start()
	s.await(t, endWithin)
	if err := s.finish(); err != nil {
		t.Error(err)
	}
	shown := map[counts]bool{}
	for _, x := range s.samples {
		shown[x.job.RequestCounts] = true
	}
	if len(shown) < 4 {
		t.Errorf("the counts took only %d values", len(shown))
	}
	if _, err := n.audit(s.id, in); err != nil {
		t.Error(err)
	}
	if err := s.shownAndKept(in.lines); err != nil {
		t.Error(err)
	}
}

// TestD6 samples batches that take every way through the graph of statuses.
func TestD6(t *testing.T) {
	t.Parallel()
	in := input{lines: 400}
	e := newEngine(t, func(line string, _ int) reply {
		if in.number(line) == in.lines/4 {
			return reply{after: 3500 * time.Millisecond}
		}
		return reply{after: 10 * time.Millisecond}
	})
	n := newNode(t, e, 8, shortWindows, "BATCHD_CANCEL_GRACE=2s")
	n.start()
	uploaded, err := n.uploadText("{\"custom_id\":\"a\"}\n")
	if err != nil {
		t.Fatal(err)
	}
	invalid, err := n.create(uploaded.ID, "24h")
	if err != nil {
		t.Fatal(err)
	}
	watched := map[string]*sampler{
		"failed": n.watch(invalid.ID), "completed": n.watch(n.run(in, "24h")),
		"expired": n.watch(n.run(in, short)), "cancelled": n.watch(n.run(in, "24h")),
	}
	watched["cancelled"].awaitResults(t, 1)
	mustCancel(t, n, watched["cancelled"].id)
	for status, s := range watched {
		if got := s.await(t, endWithin).Status; got != status {
			t.Errorf("batch meant to be %s is %s", status, got)
		}
		if err := s.finish(); err != nil {
			t.Error(err)
		}
		t.Log(way(s))
	}
	// The window passes while the slow call of the expired batch is in its grace: until its files exist it is shown
	// as before.
	late := false
	for _, x := range watched["expired"].samples {
		late = late || x.job.Status == "in_progress" && x.at.Unix() > x.job.CreatedAt+2
	}
	if !late {
		t.Error("the expired batch was not shown as in_progress between the end of its window and its files")
	}
}

// way lists the statuses that a batch was shown with, in order.
func way(s *sampler) string {
	var statuses []string
	for _, x := range s.samples {
		if len(statuses) == 0 || statuses[len(statuses)-1] != x.job.Status {
			statuses = append(statuses, x.job.Status)
		}
	}
	return fmt.Sprintf("%s: %s", s.id, strings.Join(statuses, ", "))
}

func (n *node) cancel(id string) (job, error) {
	return decoded[job](n.do(http.MethodPost, "/v1/batches/"+id+"/cancel", "", nil))
}

// count returns how many calls there have been.
func (e *engine) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.calls)
}

// cancelledWhileValidating cancels batches of which at least one has not been validated yet, and others have so many
// lines that settling them outlasts the grace of their calls.
func cancelledWhileValidating(t *testing.T) {
	t.Parallel()
	n := newNode(t, newEngine(t, steady(time.Second)), 16, "BATCHD_CANCEL_GRACE=1ms")
	n.start()
	large := input{lines: 60_000}
	ids := []string{n.run(large, "24h"), n.run(large, "24h"), n.run(large, "24h")}
	slices.Reverse(ids) // the last one cannot have been validated yet
	for _, id := range ids {
		mustCancel(t, n, id)
	}
	for i, id := range ids {
		a, err := n.finished(id, large)
		if err != nil {
			t.Error(err)
		}
		if a.job.Status != "cancelled" || i == 0 && a.job.RequestCounts.Total != 0 {
			t.Errorf("got %s with %+v", a.job.Status, a.job.RequestCounts)
		}
	}
}

// failedWhileValidating has one bad line in a file.
func failedWhileValidating(t *testing.T) {
	t.Parallel()
	n := newNode(t, newEngine(t, steady(0)), 16)
	n.start()
	uploaded, err := n.uploadText(input{lines: 2}.text() + "not json\n")
	if err != nil {
		t.Fatal(err)
	}
	created, err := n.create(uploaded.ID, "24h")
	if err != nil {
		t.Fatal(err)
	}
	a, err := n.finished(created.ID, input{lines: 3})
	if err != nil {
		t.Error(err)
	}
	if a.job.Status != "failed" || a.job.Errors == nil || len(a.job.Errors.Data) != 1 || n.engine.count() != 0 {
		t.Errorf("got %+v after %d calls", a.job, n.engine.count())
	}
}
