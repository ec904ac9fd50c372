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

// Room is the space of the disk that holds a data directory, in bytes.
type Room struct {
	// Free of Total bytes can be written. Below Floor the disk counts as nearly full.
	Free, Total, Floor int64
}

// RoomAt asks the disk that holds path how much space it has. Where the operating system does not tell, the error satisfies
// errors.Is with errors.ErrUnsupported.
func RoomAt(path string) (Room, error) {
	free, total, err := vfs.Free(path)
	if err != nil {
		return Room{}, err
	}
	return Room{Free: int64(free), Total: int64(total), Floor: int64(min(spaceFloor, total/spaceShare))}, nil
}

// NewSpace watches the disk that holds path, by the given clock.
func NewSpace(path string, now func() time.Time) *Space { return &Space{path: path, now: now} }

// Low reports whether the disk is nearly full. A disk that cannot be asked counts as having space: a write that fails says more.
func (s *Space) Low() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.looked) > spaceAge || now.Before(s.looked) {
		s.looked = now
		room, err := RoomAt(s.path)
		s.low = err == nil && room.Total > 0 && room.Free < room.Floor
	}
	return s.low
}
