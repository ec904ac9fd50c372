package datadir

import (
	"sync"
	"time"

	"batchd/internal/vfs"
)

const (
	// spaceFloor is how many bytes must be left, or one in spaceShare of a smaller disk: results of calls in flight still
	// have to land.
	spaceFloor = 2 << 30
	spaceShare = 20
	// spaceAge is how long one look at the disk is good for.
	spaceAge = 2 * time.Second
)

// Space watches the space left on the disk of a data directory. Its methods may be called concurrently.
type Space struct {
	path string
	now  func() time.Time

	// mu guards following fields.
	mu     sync.Mutex
	looked time.Time
	low    bool
}

// NewSpace watches the disk that holds path, by the given clock.
func NewSpace(path string, now func() time.Time) *Space { return &Space{path: path, now: now} }

// Low reports whether the disk is nearly full. A disk that cannot be asked counts as having space: a write that fails says more.
func (s *Space) Low() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.looked) > spaceAge || now.Before(s.looked) {
		s.looked = now
		free, total, err := vfs.Free(s.path)
		s.low = err == nil && total > 0 && free < min(spaceFloor, total/spaceShare)
	}
	return s.low
}
