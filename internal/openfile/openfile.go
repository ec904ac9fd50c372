// Package openfile knows which files this process is reading, and which it was reading a short while ago, so that the bytes
// of a deleted file are kept for those who have begun to read them. It knows ids and times only, and nothing outlasts the
// process: after a restart nobody is reading.
package openfile

import (
	"sync"
	"time"
)

// minPrune is how many files are remembered at least before the old ones among them are looked for.
const minPrune = 1024

// Registry counts the readers of files by the files' ids. Its methods may be called concurrently.
type Registry struct {
	stay time.Duration

	// mu guards following fields.
	mu sync.Mutex
	// readers is how many there are of each file that has some.
	readers map[string]int
	// left is when the last reader of a file left. Times carry the monotonic clock, by which they are compared.
	left map[string]time.Time
	// pruneAt is how many entries left may have before those that mean nothing any more are removed.
	pruneAt int
}

// NewRegistry returns a registry that remembers a file for the given time after its last reader has left.
func NewRegistry(stay time.Duration) *Registry {
	return &Registry{stay: stay, readers: make(map[string]int), left: make(map[string]time.Time), pruneAt: minPrune}
}

// Busy reports whether somebody reads the file, or did until less than the registry's time ago.
func (r *Registry) Busy(fileID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readers[fileID] > 0 {
		return true
	}
	at, ok := r.left[fileID]
	return ok && time.Since(at) < r.stay
}

// Hold makes the file busy until the hold is released or dropped. Whoever takes it before looking the file up can be sure
// that the bytes of what is found stay.
func (r *Registry) Hold(fileID string) *Hold {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readers[fileID]++
	return &Hold{registry: r, fileID: fileID}
}

// Hold is one reader of a file. It is for one goroutine.
type Hold struct {
	registry *Registry
	fileID   string
	over     bool
}

// Release says that the reader has left. Later calls do nothing.
func (h *Hold) Release() { h.end(true) }

// Drop is Release of a file that there turned out not to be: it is not remembered.
func (h *Hold) Drop() { h.end(false) }

func (h *Hold) end(remember bool) {
	if h.over {
		return
	}
	h.over = true
	r := h.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readers[h.fileID]--; r.readers[h.fileID] == 0 {
		delete(r.readers, h.fileID)
	}
	if !remember {
		return
	}
	r.left[h.fileID] = time.Now()
	if len(r.left) >= r.pruneAt {
		r.pruneLocked()
	}
}

// pruneLocked forgets what was left too long ago to matter. The next time is when there is twice as much, so that the work is
// a small constant for each reader.
func (r *Registry) pruneLocked() {
	for id, at := range r.left {
		if time.Since(at) >= r.stay {
			delete(r.left, id)
		}
	}
	r.pruneAt = max(minPrune, 2*len(r.left))
}
