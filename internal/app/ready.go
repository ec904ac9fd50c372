package app

import (
	"context"
	"sync"
	"time"

	"batchd/internal/httpapi"
)

// Ready says whether the node takes work: not while it is going down, nor while the disk or the database takes nothing.
func (e *Engine) Ready() httpapi.Readiness {
	e.mu.Lock()
	draining := e.draining
	e.mu.Unlock()
	low := e.space.Low()
	var r httpapi.Readiness
	if draining {
		r.Problems = append(r.Problems, "shutting down")
	}
	r.Problems = append(r.Problems, e.storing.problems(low, e.storage.faulty.Load())...)
	if low {
		r.Reasons = append(r.Reasons, "disk nearly full: uploads are refused and no new work is started")
	}
	return r
}

const (
	// probeAge is how long what a probe found is good for, probeTime how long one may take.
	probeAge  = 2 * time.Second
	probeTime = 5 * time.Second
)

// storing finds out whether the disk and the database take anything. Asking them costs a write, so it is done only while
// something gives cause to. Its methods may be called concurrently.
type storing struct {
	disk  func() error
	store func() error
	now   func() time.Time

	// mu guards following fields; it is held while a probe runs, so that one runs at a time.
	mu     sync.Mutex
	probed time.Time
	found  []string
}

// problems returns what takes nothing, as sentences. low is set while the disk is nearly full, faulty while the last write
// to the database failed.
func (s *storing) problems(low, faulty bool) []string {
	if !low && !faulty {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.probed) > probeAge || now.Before(s.probed) {
		s.found = nil
		if low && s.disk() != nil {
			s.found = append(s.found, "the disk takes nothing")
		}
		if s.store() != nil {
			s.found = append(s.found, "the database takes nothing")
		}
		s.probed = s.now()
	}
	return s.found
}

func (e *Engine) newStoring() *storing {
	return &storing{
		disk: e.storage.dir.Probe, now: time.Now,
		store: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), probeTime)
			defer cancel()
			return e.storage.store.Probe(ctx)
		},
	}
}
