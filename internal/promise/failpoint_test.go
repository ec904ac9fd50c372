//go:build failpoint

package promise

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"batchd/internal/failpoint"
)

// deaths is how many processes die at each place before one may finish.
const deaths = 3

// dieWithin bounds the wait for a process that is kept busy to pass a place.
const dieWithin = 20 * time.Second

// stage is what a test needs to make a process reach a place.
type stage struct {
	*node
	t  *testing.T
	in input
}

// newStage prepares a node with two units' worth of lines, each of which takes the engine so long.
func newStage(t *testing.T, latency time.Duration) stage {
	t.Helper()
	if !failpoint.Enabled {
		t.Fatal("this build ignores BATCHD_FAILPOINT")
	}
	return stage{newNode(t, newEngine(t, steady(latency)), 16), t, input{lines: 1100, bad: func(n int) bool { return n%100 == 7 }}}
}

// recovery are the places that only a start after a crash passes.
var recovery = []failpoint.Name{failpoint.JournalAdopted, failpoint.UnitAdopted}

// TestFailpoints stops the process at every place of the durable core, three times each, at the first, second and
// third passage (F02); whatever was promised before must hold afterwards.
func TestFailpoints(t *testing.T) {
	for _, name := range failpoint.Names() {
		t.Run(string(name), func(t *testing.T) {
			s := newStage(t, latencyFor(name))
			for death := range deaths {
				s.dieAt(name, death+1)
			}
			s.finish()
		})
	}
}

// latencyFor is long for the place that a batch passes only if it lasts a second.
func latencyFor(name failpoint.Name) time.Duration {
	if name == failpoint.JournalsSynced {
		return 40 * time.Millisecond
	}
	return 2 * time.Millisecond
}

// TestF03 kills the recovery itself, three deep: each process dies while it takes over what the ones before it left.
func TestF03(t *testing.T) {
	for name, places := range map[string][]failpoint.Name{
		"between journal and row": {failpoint.JournalAdopted, failpoint.JournalAdopted, failpoint.JournalAdopted},
		"after the row":           {failpoint.UnitAdopted, failpoint.UnitAdopted, failpoint.UnitAdopted},
		"in turns":                {failpoint.JournalAdopted, failpoint.UnitAdopted, failpoint.JournalAdopted},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, 2*time.Millisecond)
			s.leaveJournals(1)
			for _, place := range places {
				s.startToDie(place, 1)
			}
			s.finish()
		})
	}
}

// dieAt makes a process end at the nth passage of a place.
func (s stage) dieAt(name failpoint.Name, nth int) {
	s.t.Helper()
	if name == failpoint.BlobsDeleted {
		s.leaveDeleted()
		s.startToDie(name, 1) // each turn passes it once
		return
	}
	if slices.Contains(recovery, name) {
		s.leaveJournals(nth)
		s.startToDie(name, nth)
		return
	}
	p, err := s.spawn(fmt.Sprintf("BATCHD_FAILPOINT=%s@%d", name, nth))
	if err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(dieWithin); s.running() != nil; {
		if time.Now().After(deadline) {
			s.t.Fatalf("no process passed %s %d times within %s", name, nth, dieWithin)
		}
		s.submit()
		select {
		case <-p.exited:
		case <-time.After(500 * time.Millisecond):
		}
	}
	s.died(name, nth)
}

// startToDie starts a process that ends while it recovers.
func (s stage) startToDie(name failpoint.Name, nth int) {
	s.t.Helper()
	if _, err := s.spawn(fmt.Sprintf("BATCHD_FAILPOINT=%s@%d", name, nth)); err != nil {
		s.t.Fatal(err)
	}
	_ = s.await(dieWithin) // died looks at the reason
	s.died(name, nth)
}

func (s stage) died(name failpoint.Name, nth int) {
	s.t.Helper()
	if !s.killedItself() {
		s.t.Fatalf("the process did not end at passage %d of %s:\n%s", nth, name, s.proc.text())
	}
	s.ends = append(s.ends, end{})
}

// submit uploads a file and creates a batch. No answer is expected from a process that is about to die.
func (s stage) submit() {
	uploaded, err := s.upload("input.jsonl", s.in.write)
	if err != nil {
		pause(10 * time.Millisecond)
		return
	}
	_, _ = s.create(uploaded.ID, "24h")
}

// leaveJournals leaves a killed process's journals of that many batches behind.
func (s stage) leaveJournals(batches int) {
	s.t.Helper()
	s.start()
	for range batches {
		s.submit()
	}
	until(s.t, endWithin, "journals are there", func() bool { return len(s.files("journals/*.journal")) >= batches })
	s.kill()
}

// leaveDeleted leaves a file behind that was deleted long enough ago for its bytes to go, by a clock that was wrong then.
func (s stage) leaveDeleted() {
	s.t.Helper()
	s.start()
	f, err := s.upload("input.jsonl", s.in.write)
	if err == nil {
		_, err = s.do(http.MethodDelete, "/v1/files/"+f.ID, "", nil)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.kill()
	s.age()
}

// finish lets everything end in a process that does not die, and audits it.
func (s stage) finish() {
	s.t.Helper()
	s.start()
	s.submit()
	all, err := s.batches()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, j := range all {
		if _, err := s.finished(j.ID, s.in); err != nil {
			s.t.Error(err)
		}
	}
	if _, err := s.repeats(16); err != nil {
		s.t.Error(err)
	}
	s.stop()
}

// killedItself reports whether the last process ended by SIGKILL.
func (n *node) killedItself() bool {
	n.mu.Lock()
	p := n.proc
	n.mu.Unlock()
	var exit *exec.ExitError
	if !errors.As(p.end(), &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
