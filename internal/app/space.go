package app

import (
	"errors"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/vfs"
)

const (
	// spaceFloor is how much room must be left, or spaceShare of a smaller disk: results of calls in flight still
	// have to land.
	spaceFloor = 2 * batch.GiB
	spaceShare = 20
	// spaceAge is how long one look at the disk is good for.
	spaceAge = 2 * time.Second
)

// errFull is what uploads are answered while the disk is nearly full.
var errFull = errors.New("disk nearly full")

// space watches the room left on the disk of the data folder. Its methods may be called concurrently.
type space struct {
	path string
	now  func() time.Time

	// mu guards following fields.
	mu     sync.Mutex
	looked time.Time
	full   bool
}

// check returns errFull while the disk is nearly full. A disk that cannot be asked counts as having room: writing
// will tell.
func (s *space) check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.looked) > spaceAge || now.Before(s.looked) {
		s.looked = now
		free, total, err := vfs.Free(s.path)
		s.full = err == nil && total > 0 && int64(free) < min(spaceFloor, int64(total/spaceShare))
	}
	if s.full {
		return errFull
	}
	return nil
}
