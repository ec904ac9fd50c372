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

// content is what a file holds, in the page cache and on the disk.
type content struct {
	// cached is what a reader sees.
	cached []byte
	// shadow is what a sync would write where that is not cached: after a failed sync. Else it is nil.
	shadow []byte
	// synced is what the last sync left on the disk.
	synced []byte
	// clean is how many leading bytes have not changed since the last sync.
	clean int
}

// flushable returns what a sync would write.
func (c *content) flushable() []byte {
	if c.shadow != nil {
		return c.shadow
	}
	return c.cached
}

// append and truncate change what readers see, and in the shadow what a sync would write.
func (c *content) append(p []byte) {
	c.cached = append(c.cached, p...)
	if c.shadow != nil {
		c.shadow = append(c.shadow, p...)
	}
}

func (c *content) truncate(size int) {
	c.cached = resize(c.cached, size)
	if c.shadow != nil {
		c.shadow = resize(c.shadow, size)
	}
	c.clean = min(c.clean, size)
}

// resize cuts b to size bytes, or extends it with zeros.
func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

// sync brings to the disk what has changed since the last sync: the leading clean bytes are there already.
func (c *content) sync() {
	c.synced = append(c.synced[:c.clean], c.flushable()[c.clean:]...)
	c.clean = len(c.synced)
}

// loseUnsynced does what a failed sync does on Linux: the dirty pages are marked clean though they never reached the
// disk. They can be read until the cache lets them go, and a later sync leaves a hole in their place.
func (c *content) loseUnsynced() {
	shadow := append(make([]byte, 0, len(c.cached)), c.flushable()[:c.clean]...)
	if c.clean < len(c.synced) {
		shadow = append(shadow, c.synced[c.clean:min(len(c.synced), len(c.cached))]...)
	}
	c.shadow = resize(shadow, len(c.cached))
}
