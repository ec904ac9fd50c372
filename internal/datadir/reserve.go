package datadir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"batchd/internal/vfs"
)

const (
	// reserveBytes is how much room is kept, or one in reserveShare of a smaller disk: deleting a file takes some pages of
	// the database's log, which is folded in at 4 MiB.
	reserveBytes = 8 << 20
	reserveShare = 64
	// reserveStep is how much is taken at a time, so that a disk which has no room for all gives what it has.
	reserveStep = 32 << 10
	// refillEvery is how often a disk that had no room is asked again.
	refillEvery = time.Second
)

// Reserve is a file that keeps room on the disk of a data directory for the writes that make room: on a full disk no row
// could be changed without it, not even to delete a file. Its methods may be called concurrently.
type Reserve struct {
	path string
	size int64
	now  func() time.Time
	// allocate and free are vfs.Allocate and vfs.Free, but in tests.
	allocate func(path string, size int64) error
	free     func(path string) (free, total uint64, err error)

	// mu guards following fields.
	mu sync.Mutex
	// held is how long the file is; asked when a disk without room for more was asked last.
	held  int64
	asked time.Time
	// kept is set once Keep was called.
	kept bool
}

// NewReserve returns the reserve of the data directory at path, which holds what an earlier process has left. Nothing is taken
// before Keep. On a disk that has less room than the reserve, what is held is released for what the start writes.
func NewReserve(path string, now func() time.Time) *Reserve {
	r := &Reserve{path: filepath.Join(path, ReserveFile), size: reserveBytes, now: now, allocate: vfs.Allocate, free: vfs.Free}
	if info, err := os.Stat(r.path); err == nil {
		r.held = info.Size()
	}
	if free, total, err := r.free(path); err == nil && total > 0 {
		r.size = min(reserveBytes, int64(total/reserveShare))
		if free < uint64(r.size) {
			r.Release()
		}
	}
	return r
}

// Keep takes the room, and has Refill take it again.
func (r *Reserve) Keep() {
	r.mu.Lock()
	r.kept = true
	r.mu.Unlock()
	r.Refill()
}

// Release gives the room back to the disk, and reports whether there was any.
func (r *Reserve) Release() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == 0 {
		return false
	}
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	r.held, r.asked = 0, time.Time{}
	return true
}

// Refill takes what is missing, as far as the disk has room. A disk that had none is asked again after a while.
func (r *Reserve) Refill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if !r.kept || r.held >= r.size || !r.asked.IsZero() && now.Sub(r.asked) < refillEvery && !now.Before(r.asked) {
		return
	}
	for r.held < r.size {
		next := min(r.held+reserveStep, r.size)
		if r.allocate(r.path, next) != nil {
			r.asked = now
			return
		}
		r.held = next
	}
}
