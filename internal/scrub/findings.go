package scrub

import (
	"sync"
	"time"

	"batchd/internal/store"
)

// findings is what is known to be damaged. Its methods may be called concurrently.
type findings struct {
	// mu guards following fields. byFile has what was found first of each file, known every pair of file and blob.
	mu     sync.Mutex
	byFile map[string]store.Damage
	known  map[pair]bool
	// keys counts for each damaged blob the files that rest on it.
	keys  map[string]int
	since time.Time
}

// pair is a blob that a file rests on.
type pair struct{ file, key string }

// set puts what is known in place of what was.
func (f *findings) set(all []store.Damage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byFile, f.known, f.keys = make(map[string]store.Damage), make(map[pair]bool), make(map[string]int)
	f.since = time.Time{}
	for _, d := range all {
		f.addLocked(d)
	}
}

// add adds what was just found, and reports whether it is the first that is known of its blob.
func (f *findings) add(d store.Damage) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addLocked(d)
}

func (f *findings) addLocked(d store.Damage) bool {
	at := pair{d.File, d.Key}
	if f.known[at] {
		return false
	}
	f.known[at] = true
	f.keys[d.Key]++
	if _, ok := f.byFile[d.File]; !ok {
		f.byFile[d.File] = d
	}
	if f.since.IsZero() || d.Found.Before(f.since) {
		f.since = d.Found
	}
	return f.keys[d.Key] == 1
}

// knows reports whether a blob of a file is known to be damaged.
func (f *findings) knows(file, key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known[pair{file, key}]
}

// full reports whether as much is known as is kept.
func (f *findings) full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.known) >= mostDamages
}

// blobs returns how many blobs are known to be damaged.
func (f *findings) blobs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.keys)
}

// Damage returns what was found wrong with a file; false if nothing was.
func (f *findings) Damage(fileID string) (store.Damage, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, ok := f.byFile[fileID]
	return d, ok
}

// Since returns when the first of what is wrong was found; false if nothing is.
func (f *findings) Since() (time.Time, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.since, len(f.known) > 0
}
