package promise

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// sampleEvery is how often a watched batch is read.
const sampleEvery = 10 * time.Millisecond

// after lists the statuses that may follow a status, at once or later: the promised graph, closed over the states
// that a sample may have missed.
var after = map[string][]string{
	"validating":  {"in_progress", "failed", "cancelling", "expired", "finalizing", "completed", "cancelled"},
	"in_progress": {"finalizing", "cancelling", "expired", "completed", "cancelled"},
	"finalizing":  {"completed", "cancelling", "cancelled"},
	"cancelling":  {"cancelled"},
}

// sample is a batch as it was shown at some time, by some process.
type sample struct {
	process int
	at      time.Time
	job     job
}

// sampler reads a batch again and again while it runs, from whichever process is there.
type sampler struct {
	node    *node
	id      string
	done    chan struct{}
	working sync.WaitGroup

	// mu guards samples.
	mu      sync.Mutex
	samples []sample
}

// watch starts sampling a batch, until finish is called or the batch has ended.
func (n *node) watch(id string) *sampler {
	s := &sampler{node: n, id: id, done: make(chan struct{})}
	s.working.Go(s.run)
	return s
}

func (s *sampler) run() {
	for {
		if j, err := s.node.batch(s.id); err == nil {
			started := s.node.processes() // of the process that answered, or a later one
			s.mu.Lock()
			s.samples = append(s.samples, sample{started - 1, time.Now(), j})
			s.mu.Unlock()
			if j.terminal() {
				return
			}
		}
		select {
		case <-s.done:
			return
		case <-time.After(sampleEvery):
		}
	}
}

// last returns the newest sample.
func (s *sampler) last() job {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.samples) == 0 {
		return job{}
	}
	return s.samples[len(s.samples)-1].job
}

// ended waits until the batch has ended.
func (s *sampler) ended(within time.Duration) error {
	for deadline := time.Now().Add(within); !s.last().terminal(); pause(sampleEvery) {
		if time.Now().After(deadline) {
			return fmt.Errorf("batch %s is %s with %+v after %s", s.id, s.last().Status, s.last().RequestCounts, within)
		}
	}
	return nil
}

// finish stops the sampling and returns what the samples violate of D5 and D6.
func (s *sampler) finish() error {
	close(s.done)
	s.working.Wait()
	f := &findings{of: "batch " + s.id}
	for i := 1; i < len(s.samples); i++ {
		checkStep(s.samples[i-1].job, s.samples[i].job, f)
	}
	return f.err()
}

// checkStep checks two samples that follow each other.
func checkStep(was, is job, f *findings) {
	if was.Status != is.Status && !slices.Contains(after[was.Status], is.Status) {
		f.addf("D6: %s became %s", was.Status, is.Status)
	}
	if is.Status == "expired" && is.InProgressAt != nil && is.RequestCounts.Total > 0 && is.OutputFileID == nil && is.ErrorFileID == nil {
		f.addf("D6: shown as expired without its files")
	}
	a, b := was.RequestCounts, is.RequestCounts
	switch {
	case b.Completed < a.Completed || b.Failed < a.Failed:
		f.addf("D5: counts went back from %+v to %+v", a, b)
	case b.Completed+b.Failed > b.Total:
		f.addf("D5: counts %+v exceed the total", b)
	case b.Total != a.Total && (a.Total != 0 || was.Status != "validating"):
		f.addf("D5: total changed from %d to %d", a.Total, b.Total)
	}
}

// finished waits until a batch has ended, checks D5 and D6 on the way, and audits it.
func (n *node) finished(id string, in input) (audited, error) {
	return n.finishedWithin(endWithin, id, in)
}

// finishedWithin is finished for a batch that may take longer.
func (n *node) finishedWithin(patience time.Duration, id string, in input) (audited, error) {
	s := n.watch(id)
	if err := s.ended(patience); err != nil {
		return audited{}, err
	}
	if err := s.finish(); err != nil {
		return audited{}, err
	}
	return n.audit(id, in)
}
