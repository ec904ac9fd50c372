package disk

import (
	"path"
	"sync"

	"batchd/internal/vfs"
)

// maxKnown bounds the memory for directories that are known to be durable. Forgetting one costs a sync, no more. Keys
// as blob.BatchKey makes them need 16 for each kind of object.
const maxKnown = 10_000

// dirs makes directories durable, and remembers which ones are so that each is synced into its parent once. Its
// methods may be called concurrently.
//
// Lock order: inUse, then mu. Whoever writes into a directory holds inUse for reading from before it is made until the
// new name is synced; removing one takes inUse for writing, so it waits for all of them.
type dirs struct {
	fsys vfs.FS

	// inUse is held for reading while somebody relies on a directory being there, for writing to remove one.
	inUse sync.RWMutex

	// mu guards known. It is held while directories are made, so that those who need the same one wait instead of
	// syncing it too.
	mu    sync.Mutex
	known map[string]struct{}
}

func newDirs(fsys vfs.FS) *dirs {
	return &dirs{fsys: fsys, known: make(map[string]struct{})}
}

// hold makes the directory durable and keeps it from being removed until release is called.
func (f *dirs) hold(name string) (release func(), err error) {
	f.inUse.RLock()
	if err := f.ensure(name); err != nil {
		f.inUse.RUnlock()
		return nil, err
	}
	return f.inUse.RUnlock, nil
}

// ensure makes the directory and its parents and syncs the name of each into its parent. One that is there but that
// this process knows nothing of is synced too: the process that made it may have died just before.
func (f *dirs) ensure(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var unknown []string
	for dir := name; dir != path.Dir(dir); dir = path.Dir(dir) {
		if _, ok := f.known[dir]; ok {
			break
		}
		unknown = append(unknown, dir)
	}
	if len(unknown) == 0 {
		return nil
	}
	if err := f.fsys.MkdirAll(name); err != nil {
		return err
	}
	if len(f.known) > maxKnown {
		clear(f.known)
	}
	for i := len(unknown) - 1; i >= 0; i-- {
		if err := f.fsys.SyncDir(path.Dir(unknown[i])); err != nil {
			return err
		}
		f.known[unknown[i]] = struct{}{}
	}
	return nil
}

// removeEmpty removes the directory if it is empty and not in use, and reports whether it did. That it is not empty is
// the usual case, and found out by trying.
func (f *dirs) removeEmpty(name string) bool {
	f.inUse.Lock()
	defer f.inUse.Unlock()
	if f.fsys.Remove(name) != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, name)
	return true
}

// forget makes every directory unknown.
func (f *dirs) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.known)
}
