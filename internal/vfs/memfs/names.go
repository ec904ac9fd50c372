package memfs

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"syscall"
	"time"

	"batchd/internal/vfs"
)

// Create implements vfs.FS.
func (m *FS) Create(name string) (vfs.File, error) {
	if err := m.begin(Op{Kind: "create", Name: name}, true); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	parent, base, err := m.findParent(name)
	if err == nil && parent.entries[base] != nil {
		err = fs.ErrExist
	}
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: err}
	}
	n := &node{changed: time.Now()}
	m.apply(change{{parent, base, n}})
	return m.handle(name, n, true), nil
}

// Open implements vfs.FS.
func (m *FS) Open(name string) (vfs.File, error) { return m.openFile(name, false) }

// OpenWrite implements vfs.FS.
func (m *FS) OpenWrite(name string) (vfs.File, error) { return m.openFile(name, true) }

func (m *FS) openFile(name string, writable bool) (vfs.File, error) {
	if err := m.begin(Op{Kind: "open", Name: name}, false); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err == nil && n.dir {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return m.handle(name, n, writable), nil
}

// Rename implements vfs.FS. It moves files only.
func (m *FS) Rename(from, to string) error {
	if err := m.begin(Op{Kind: "rename", Name: from, To: to}, true); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.planRename(from, to)
	if err != nil {
		return &fs.PathError{Op: "rename", Path: from, Err: err}
	}
	m.apply(c)
	return nil
}

// planRename returns the edits of a rename, the new name's first: a power cut between them leaves both names.
func (m *FS) planRename(from, to string) (change, error) {
	n, err := m.find(from)
	if err != nil {
		return nil, err
	}
	oldDir, oldBase, err := m.findParent(from)
	if err != nil {
		return nil, err
	}
	newDir, newBase, err := m.findParent(to)
	if err != nil {
		return nil, err
	}
	if old := newDir.entries[newBase]; n.dir || old != nil && old.dir {
		return nil, syscall.EISDIR
	} else if old == n {
		return nil, nil
	}
	return change{{newDir, newBase, n}, {oldDir, oldBase, nil}}, nil
}

// Remove implements vfs.FS.
func (m *FS) Remove(name string) error {
	if err := m.begin(Op{Kind: "remove", Name: name}, true); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	parent, base, err := m.findParent(name)
	if err == nil {
		switch n := parent.entries[base]; {
		case n == nil:
			err = fs.ErrNotExist
		case n.dir && len(n.entries) > 0:
			err = syscall.ENOTEMPTY
		}
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	m.apply(change{{parent, base, nil}})
	return nil
}

// MkdirAll implements vfs.FS. Each directory that it makes is an operation of its own.
func (m *FS) MkdirAll(name string) error {
	m.mu.Lock()
	n, err := m.find(name)
	m.mu.Unlock()
	switch {
	case err == nil && n.dir:
		return nil
	case err == nil:
		err = syscall.ENOTDIR
	case errors.Is(err, fs.ErrNotExist):
		err = m.MkdirAll(path.Dir(name))
		if err == nil {
			return m.mkdir(name)
		}
	}
	return &fs.PathError{Op: "mkdir", Path: name, Err: err}
}

func (m *FS) mkdir(name string) error {
	if err := m.begin(Op{Kind: "mkdir", Name: name}, true); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	parent, base, err := m.findParent(name)
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: err}
	}
	if n := parent.entries[base]; n == nil {
		m.apply(change{{parent, base, newDir()}})
	} else if !n.dir {
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
	}
	return nil
}

// ReadDir implements vfs.FS.
func (m *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := m.begin(Op{Kind: "readdir", Name: name}, false); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findDir(name)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	var list []fs.DirEntry
	for _, base := range slices.Sorted(maps.Keys(n.entries)) {
		list = append(list, fs.FileInfoToDirEntry(describe(base, n.entries[base])))
	}
	return list, nil
}

// Stat implements vfs.FS.
func (m *FS) Stat(name string) (fs.FileInfo, error) {
	if err := m.begin(Op{Kind: "stat", Name: name}, false); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return describe(path.Base(name), n), nil
}

// SyncDir implements vfs.FS. It makes the pending edits of one directory durable.
func (m *FS) SyncDir(name string) error {
	if err := m.begin(Op{Kind: "syncdir", Name: name}, true); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findDir(name)
	if err != nil {
		return &fs.PathError{Op: "syncdir", Path: name, Err: err}
	}
	// What a change has in other directories stays pending: a move is durable as a whole only when both are synced.
	var still []change
	for _, c := range m.pending {
		var rest change
		for _, e := range c {
			if e.dir == n {
				set(n.durable, e.name, e.to)
			} else {
				rest = append(rest, e)
			}
		}
		if len(rest) > 0 {
			still = append(still, rest)
		}
	}
	m.pending = still
	return nil
}

// info is what Stat tells of a node.
type info struct {
	name    string
	size    int64
	dir     bool
	changed time.Time
}

func describe(name string, n *node) info {
	return info{name: name, size: int64(len(n.content.cached)), dir: n.dir, changed: n.changed}
}

// Name implements fs.FileInfo.
func (i info) Name() string { return i.name }

// Size implements fs.FileInfo.
func (i info) Size() int64 { return i.size }

// ModTime implements fs.FileInfo.
func (i info) ModTime() time.Time { return i.changed }

// IsDir implements fs.FileInfo.
func (i info) IsDir() bool { return i.dir }

// Sys implements fs.FileInfo.
func (i info) Sys() any { return nil }

// Mode implements fs.FileInfo.
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}
