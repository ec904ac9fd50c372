package memfs

import (
	"errors"
	"io"
	"io/fs"
	"syscall"
	"time"

	"batchd/internal/vfs"
)

// file is an open handle on a node. Its fields but closed are fixed; closed is guarded by m.mu.
type file struct {
	m        *FS
	name     string
	node     *node
	writable bool
	closed   bool
}

// handle opens n. The caller holds m.mu.
func (m *FS) handle(name string, n *node, writable bool) vfs.File {
	m.open++
	return &file{m: m, name: name, node: n, writable: writable}
}

// ReadAt implements vfs.File.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.m.begin(Op{Kind: "read", Name: f.name, Len: len(p)}, false); err != nil {
		return 0, err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("read", false); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, f.fail("read", fs.ErrInvalid)
	}
	content := f.node.content.cached
	n := 0
	if off < int64(len(content)) {
		n = copy(p, content[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Write(p []byte) (int, error) {
	n := len(p)
	failed := f.m.begin(Op{Kind: "write", Name: f.name, Len: n}, true)
	if short, ok := errors.AsType[ShortWrite](failed); ok {
		n = min(n, short.N)
	} else if failed != nil {
		return 0, failed
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("write", true); err != nil {
		return 0, err
	}
	f.node.content.append(p[:n])
	f.node.changed = time.Now()
	return n, failed
}

// Sync implements vfs.File.
func (f *file) Sync() error {
	failed := f.m.begin(Op{Kind: "sync", Name: f.name}, true)
	if errors.Is(failed, ErrPowerCut) {
		return failed
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("sync", false); err != nil {
		return err
	}
	if failed != nil {
		f.node.content.loseUnsynced()
		return failed
	}
	f.node.content.sync()
	return nil
}

// Truncate implements vfs.File.
func (f *file) Truncate(size int64) error {
	if err := f.m.begin(Op{Kind: "truncate", Name: f.name, Len: int(size)}, true); err != nil {
		return err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("truncate", true); err != nil {
		return err
	}
	if size < 0 {
		return f.fail("truncate", fs.ErrInvalid)
	}
	f.node.content.truncate(int(size))
	f.node.changed = time.Now()
	return nil
}

// Size implements vfs.File.
func (f *file) Size() (int64, error) {
	if err := f.m.begin(Op{Kind: "stat", Name: f.name}, false); err != nil {
		return 0, err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("stat", false); err != nil {
		return 0, err
	}
	return int64(len(f.node.content.cached)), nil
}

// Close works after a power cut too, so that tests can tell a leaked handle.
func (f *file) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("close", false); err != nil {
		return err
	}
	f.closed = true
	f.m.open--
	return nil
}

// usable returns why the handle cannot be used, if so. The caller holds m.mu.
func (f *file) usable(op string, writes bool) error {
	if f.closed {
		return f.fail(op, fs.ErrClosed)
	}
	if writes && !f.writable {
		return f.fail(op, syscall.EBADF)
	}
	return nil
}

func (f *file) fail(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}
