// Package memfs is a file system in memory that is as strict about durability as POSIX allows a disk to be. It
// keeps two images: what a process sees, and what was synced. Crash returns what a power cut may leave, Kill what
// kill -9 leaves; a hook sees every operation and may make it fail. It is for tests, and knows nothing of what is
// stored.
package memfs

import (
	"errors"
	"io/fs"
	"sync"

	"batchd/internal/vfs"
)

// ErrPowerCut is what every operation fails with once the power is cut.
var ErrPowerCut = errors.New("power is cut")

// FS is a vfs.FS in memory. All methods may be called concurrently.
type FS struct {
	// mu guards all fields below and every node reachable from them.
	mu   sync.Mutex
	root *node
	// pending holds the changes of directories that no SyncDir has made durable, oldest first.
	pending []change
	ops     int
	hook    func(Op) error
	// cutAfter is the number of changing operations after which the power goes, or -1.
	cutAfter int
	cut      bool
	open     int
}

var _ vfs.FS = (*FS)(nil)

// New returns an empty file system.
func New() *FS {
	return &FS{root: newDir(), cutAfter: -1}
}

// Op describes one operation that is about to happen.
type Op struct {
	// N counts the operations that change something, from 1. It is 0 for the others, which are not counted.
	N int
	// Kind is create, write, sync, truncate, rename, remove, mkdir or syncdir, which are counted; or open, read,
	// readdir or stat, which are not.
	Kind string
	// Name is the file's or directory's name; for rename, the old one.
	Name string
	// To is the new name of a rename.
	To string
	// Len is the number of bytes of a write or read, or the new size of a truncate.
	Len int
}

// ShortWrite is an error for a hook to return from a write: the first N bytes are appended all the same.
type ShortWrite struct {
	N int
	// Err is what the write fails with.
	Err error
}

// Error implements error.
func (e ShortWrite) Error() string { return "short write: " + e.Err.Error() }

// Unwrap returns Err.
func (e ShortWrite) Unwrap() error { return e.Err }

// OnOp sets the function that is called before every operation, from the goroutine that performs it; nil removes
// it. An error it returns makes the operation fail with that error and change nothing, with three exceptions. A
// failed write may be a ShortWrite. A failed sync of a file loses its unsynced contents as Linux does: they can
// still be read, but no later sync writes them. ErrPowerCut cuts the power. The function may call Crash and Kill.
func (m *FS) OnOp(hook func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

// Ops returns how many operations that change something were begun.
func (m *FS) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// OpenFiles returns how many files are open.
func (m *FS) OpenFiles() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open
}

// CutPowerAfter lets n more changing operations happen. The next one, and from then on every operation, fails with
// ErrPowerCut and changes nothing; Crash tells what is left.
func (m *FS) CutPowerAfter(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cutAfter = m.ops + n
}

// begin announces an operation and returns the error it has to fail with. changes says whether it is counted.
func (m *FS) begin(op Op, changes bool) error {
	m.mu.Lock()
	hook := m.hook
	var err error
	if m.cut || changes && m.ops == m.cutAfter {
		err = ErrPowerCut
	} else if changes {
		m.ops++
		op.N = m.ops
	}
	m.mu.Unlock() // the hook may call Crash and Kill, which lock it
	if err == nil && hook != nil {
		err = hook(op)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrPowerCut) {
		m.mu.Lock()
		m.cut = true
		m.mu.Unlock()
	}
	return &fs.PathError{Op: op.Kind, Path: op.Name, Err: err}
}
