package memfs

import (
	"io/fs"
	"path"
	"strings"
	"syscall"
	"time"
)

// node is a file or a directory, whatever its names.
type node struct {
	dir     bool
	changed time.Time
	// entries is what a process sees in a directory, durable what was synced.
	entries, durable map[string]*node
	// content is a file's.
	content content
}

// newDir returns an empty directory that was changed just now.
func newDir() *node {
	return &node{dir: true, changed: time.Now(), entries: map[string]*node{}, durable: map[string]*node{}}
}

// change is one operation on names: edits that happen together. They are in the order in which they may become
// durable; those of one directory do so at once.
type change []edit

// edit makes name stand for to in directory, or for nothing if to is nil.
type edit struct {
	dir  *node
	name string
	to   *node
}

// apply performs c for all processes to see and remembers that it is not durable. The caller holds m.mu.
func (m *FS) apply(c change) {
	if len(c) == 0 {
		return
	}
	for _, e := range c {
		set(e.dir.entries, e.name, e.to)
		e.dir.changed = time.Now()
	}
	m.pending = append(m.pending, c)
}

// set makes name stand for to among entries, or for nothing if to is nil.
func set(entries map[string]*node, name string, to *node) {
	if to == nil {
		delete(entries, name)
		return
	}
	entries[name] = to
}

// find returns the node called name. The caller holds m.mu.
func (m *FS) find(name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrInvalid
	}
	n := m.root
	if name == "." {
		return n, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if !n.dir {
			return nil, syscall.ENOTDIR
		}
		next, ok := n.entries[part]
		if !ok {
			return nil, fs.ErrNotExist
		}
		n = next
	}
	return n, nil
}

// findDir is find for names that have to be directories.
func (m *FS) findDir(name string) (*node, error) {
	n, err := m.find(name)
	if err == nil && !n.dir {
		err = syscall.ENOTDIR
	}
	return n, err
}

// findParent returns the directory that name is or would be in, and its last element. The caller holds m.mu.
func (m *FS) findParent(name string) (*node, string, error) {
	if !fs.ValidPath(name) || name == "." {
		return nil, "", fs.ErrInvalid
	}
	parent, err := m.findDir(path.Dir(name))
	return parent, path.Base(name), err
}
