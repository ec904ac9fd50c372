package datadir

import (
	"sync"
	"time"
)

// probeAge is how long what a probe found is good for.
const probeAge = 2 * time.Second

// Writable finds out whether the disk and the database take writes. Asking them costs a write, so it is done only while
// something gives cause to. Its methods may be called concurrently.
type Writable struct {
	disk     func() error
	database func() error
	now      func() time.Time

	// mu guards following fields; it is held while a probe runs, so that one runs at a time.
	mu     sync.Mutex
	probed time.Time
	found  []string
}

// NewWritable asks disk and database, by writing something, whether they take it.
func NewWritable(disk, database func() error, now func() time.Time) *Writable {
	return &Writable{disk: disk, database: database, now: now}
}

// Problems returns what takes nothing, as sentences. low is set while the disk is nearly full, faulty while the last write
// to the database failed.
func (w *Writable) Problems(low, faulty bool) []string {
	if !low && !faulty {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.now(); now.Sub(w.probed) > probeAge || now.Before(w.probed) {
		w.found = nil
		if low && w.disk() != nil {
			w.found = append(w.found, "the disk takes nothing")
		}
		if w.database() != nil {
			w.found = append(w.found, "the database takes nothing")
		}
		w.probed = w.now()
	}
	return w.found
}
