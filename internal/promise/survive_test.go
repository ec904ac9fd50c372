//go:build !failpoint

package promise

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestD1 kills the server at the moment it has answered with an id.
func TestD1(t *testing.T) {
	t.Parallel()
	in := input{lines: 3}
	n := newNode(t, newEngine(t, steady(0)), 4)
	files, batches := map[string]bool{}, map[string]bool{}
	n.start()
	for range 8 {
		uploaded, err := n.upload("input.jsonl", in.write)
		if err != nil {
			t.Fatal(err)
		}
		n.kill()
		files[uploaded.ID] = true
		n.start()
		created, err := n.create(uploaded.ID, "24h")
		if err != nil {
			t.Fatal(err)
		}
		n.kill()
		batches[created.ID] = true
		n.start()
	}
	for id := range files {
		if got, err := n.content(id); err != nil || string(got) != in.text() {
			t.Errorf("file %s: got %q, %v", id, got, err)
		}
	}
	for id := range batches {
		n.watch(id).await(t, endWithin)
		if _, err := n.audit(id, in); err != nil {
			t.Error(err)
		}
	}
}

// TestD3 runs a batch whose lines name several models in no order, so that the plan's order differs from the file's,
// with calls that end in no order either, and a kill in the middle.
func TestD3(t *testing.T) {
	t.Parallel()
	in := input{
		lines: 3000,
		model: func(n int) string { return []string{"m", "m2"}[n*7/3%2] },
		bad:   func(n int) bool { return n%9 == 0 },
	}
	e := newEngine(t, func(line string, _ int) reply {
		return reply{after: time.Duration(in.number(line)*13%23) * time.Millisecond}
	})
	n := newNode(t, e, 32, "BATCHD_ALLOW_MIXED_MODELS=true")
	n.start()
	s := n.watch(n.run(in, "24h"))
	s.awaitResults(t, 500)
	n.kill()
	n.start()
	s.await(t, endWithin)
	if err := s.finish(); err != nil {
		t.Error(err)
	}
	a, err := n.audit(s.id, in)
	if err != nil {
		t.Error(err)
	}
	if a.job.Status != "completed" || a.codes["answer"] == 0 {
		t.Errorf("got %s with %v, want both files", a.job.Status, a.codes)
	}
	if _, err := n.repeats(32); err != nil {
		t.Error(err)
	}
}

// TestD4 reads finished files again and again while things happen round them, and compares a run with faults to one
// without, byte by byte.
func TestD4(t *testing.T) {
	t.Parallel()
	in := input{lines: 2100, bad: func(n int) bool { return n%100 == 0 }}
	n := newNode(t, newEngine(t, steady(5*time.Millisecond)), 32)
	n.start()
	calm, err := n.finished(n.run(in, "24h"), in)
	if err != nil {
		t.Fatal(err)
	}
	same := func(after string) {
		t.Helper()
		again, err := n.audit(calm.job.ID, in)
		if err != nil {
			t.Errorf("%s: %v", after, err)
		}
		if !bytes.Equal(again.output, calm.output) || !bytes.Equal(again.errors, calm.errors) {
			t.Errorf("%s: the files have changed", after)
		}
	}
	n.kill()
	n.start()
	same("after kill -9")

	s := n.watch(n.run(in, "24h"))
	s.awaitResults(t, 300)
	n.kill()
	n.start()
	stormy, err := n.finished(s.id, in)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(neutral(stormy.output), neutral(calm.output)) || !bytes.Equal(neutral(stormy.errors), neutral(calm.errors)) {
		t.Error("a run that was killed has other files than one that was not")
	}
	same("after another batch")

	if _, err := n.do(http.MethodDelete, "/v1/files/"+calm.job.InputFileID, "", nil); err != nil {
		t.Error(err)
	}
	if _, err := n.cancel(calm.job.ID); statusOf(err)/100 == 5 {
		t.Error(err)
	}
	same("after the input was deleted")
	n.stop()
	n.start()
	same("after SIGTERM")
}

// TestD8 cancels a batch whose calls are half quick and half endless.
func TestD8(t *testing.T) {
	t.Parallel()
	const concurrency, grace = 32, 3 * time.Second
	in := input{lines: 500}
	e := newEngine(t, func(line string, _ int) reply {
		if in.number(line)%2 == 0 {
			return reply{after: 1500 * time.Millisecond}
		}
		return reply{after: time.Hour}
	})
	n := newNode(t, e, concurrency, "BATCHD_CANCEL_GRACE="+grace.String())
	n.start()
	id := n.run(in, "24h")
	until(t, endWithin, "all permits are taken", func() bool { return e.inFlight() == concurrency })
	if _, err := n.cancel(id); err != nil {
		t.Fatal(err)
	}
	cancelled := time.Now()
	a, err := n.finished(id, in)
	if err != nil {
		t.Error(err)
	}
	counts := a.job.RequestCounts
	if a.job.Status != "cancelled" || counts.Completed == 0 || counts.Failed != 0 || a.codes["batch_cancelled"] != in.lines-counts.Completed {
		t.Errorf("got %s with %+v and %v", a.job.Status, counts, a.codes)
	}
	until(t, endWithin, "the engine has noticed", func() bool { return e.inFlight() == 0 })
	answered := 0
	for _, c := range e.log() {
		if late := c.start.Sub(cancelled); late > time.Second {
			t.Errorf("%s was called %s after the cancel", c.line, late)
		}
		if c.answered {
			answered++
		} else if lasted := c.end.Sub(cancelled); lasted < grace/2 || lasted > grace+5*time.Second {
			t.Errorf("%s was ended %s after the cancel, want the grace of %s", c.line, lasted, grace)
		}
	}
	if answered != counts.Completed {
		t.Errorf("%d calls were answered within the grace, %d are shown", answered, counts.Completed)
	}
}

// run uploads an input and creates a batch of it, and returns the batch's id.
func (n *node) run(in input, window string) string {
	n.t.Helper()
	uploaded, err := n.upload("input.jsonl", in.write)
	if err != nil {
		n.t.Fatal(err)
	}
	created, err := n.create(uploaded.ID, window)
	if err != nil {
		n.t.Fatal(err)
	}
	return created.ID
}

// neutral removes from result files what differs between two batches of the same input: the results' own ids.
func neutral(content []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(content) {
		_, rest, _ := bytes.Cut(line, []byte(`"custom_id"`))
		out.Write(rest)
	}
	return out.Bytes()
}

// awaitResults waits until the batch shows at least n results.
func (s *sampler) awaitResults(t testing.TB, n int) {
	t.Helper()
	until(t, endWithin, fmt.Sprintf("batch %s shows %d results", s.id, n), func() bool {
		c := s.last().RequestCounts
		return c.Completed+c.Failed >= n
	})
}

// await is ended for the test's own goroutine.
func (s *sampler) await(t testing.TB, within time.Duration) job {
	t.Helper()
	if err := s.ended(within); err != nil {
		t.Fatal(err)
	}
	return s.last()
}
