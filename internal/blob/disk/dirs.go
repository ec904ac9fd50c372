package disk

import (
	"path"
	"sync"

	"batchd/internal/vfs"
)

// maxKnown bounds the memory for folders that are known to be durable. Forgetting one costs a sync, no more.
const maxKnown = 10_000

// folders makes folders durable, and remembers which ones are so that each is synced into its parent once.
type folders struct {
	fsys vfs.FS

	// inUse is held for reading while somebody relies on a folder being there, for writing to remove one.
	inUse sync.RWMutex

	// mu guards known. It is held while folders are made, so that those who need the same one wait instead of
	// syncing it too.
	mu    sync.Mutex
	known map[string]struct{}
}

func newFolders(fsys vfs.FS) *folders {
	return &folders{fsys: fsys, known: make(map[string]struct{})}
}

// hold makes the folder durable and keeps it from being removed until release is called.
func (f *folders) hold(name string) (release func(), err error) {
	f.inUse.RLock()
	if err := f.ensure(name); err != nil {
		f.inUse.RUnlock()
		return nil, err
	}
	return f.inUse.RUnlock, nil
}

// ensure makes the folder and its parents and syncs the name of each into its parent. One that is there but that this
// process knows nothing of is synced too: the process that made it may have died just before.
func (f *folders) ensure(name string) error {
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

// removeEmpty removes the folder if it is empty and not in use, and reports whether it did.
func (f *folders) removeEmpty(name string) bool {
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

// forget makes every folder unknown.
func (f *folders) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.known)
}
