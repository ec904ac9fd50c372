package vfs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Files and directories hold users' data, so nobody but the owner of the process may look into them.
const (
	fileMode fs.FileMode = 0o600
	dirMode  fs.FileMode = 0o700
)

// OS is the FS over a directory of the operating system's file system. Names cannot leave the directory, but symbolic
// links inside it are followed: an operator may put a part of it on another disk. It is this one directory: where another
// one takes its name, every operation fails with ErrRootGone and touches nothing.
type OS struct {
	root string
	// opened describes the directory itself, whatever has its name later.
	opened fs.FileInfo
	mode   fs.FileMode
	onSync func()
}

var _ FS = (*OS)(nil)

// OSOptions tunes an OS.
type OSOptions struct {
	// OnSync, if set, is called after every sync of a file or a directory that was tried. It must not block and may
	// be called concurrently.
	OnSync func()
	// FileMode is the mode of files that are made, before the process's mask; 0 stands for 0600, as what batchd keeps is
	// its users'.
	FileMode fs.FileMode
}

// NewOS returns the FS whose root is the given directory. The directory and its parents are made, durably, if they are
// absent.
func NewOS(root string, opts OSOptions) (*OS, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("resolve data directory %s: %w", root, err)
	}
	o := &OS{root: abs, mode: cmp.Or(opts.FileMode, fileMode), onSync: opts.OnSync}
	if o.onSync == nil {
		o.onSync = func() {}
	}
	if err := o.makeRoot(); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if o.opened, err = os.Stat(abs); err != nil {
		return nil, fmt.Errorf("look at data directory: %w", err)
	}
	os.SameFile(o.opened, o.opened) // some systems look for what tells files apart only when asked, by name
	return o, nil
}

// makeRoot makes the root and syncs the parent of every directory that was missing.
func (o *OS) makeRoot() error {
	var missing []string
	for dir := o.root; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, dir)
		if dir == filepath.Dir(dir) {
			break // a volume that does not exist; making the directory says so
		}
	}
	if err := os.MkdirAll(o.root, dirMode); err != nil {
		return err
	}
	for _, dir := range missing {
		if err := o.syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// Root returns the absolute path of the root directory in the operating system's form.
func (o *OS) Root() string { return o.root }

// Create implements FS.
func (o *OS) Create(name string) (File, error) {
	return o.open("create", name, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL)
}

// Open implements FS.
func (o *OS) Open(name string) (File, error) {
	return o.open("open", name, os.O_RDONLY)
}

// OpenWrite implements FS.
func (o *OS) OpenWrite(name string) (File, error) {
	return o.open("open", name, os.O_RDWR|os.O_APPEND)
}

func (o *OS) open(op, name string, flag int) (File, error) {
	path, err := o.path(op, name)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, flag, o.mode)
	if err != nil {
		return nil, o.explain(err)
	}
	return &osFile{f: f, onSync: o.onSync}, nil
}

// Rename implements FS.
func (o *OS) Rename(from, to string) error {
	fromPath, err := o.path("rename", from)
	if err != nil {
		return err
	}
	toPath, err := o.path("rename", to)
	if err != nil {
		return err
	}
	return o.explain(os.Rename(fromPath, toPath))
}

// Remove implements FS.
func (o *OS) Remove(name string) error {
	path, err := o.path("remove", name)
	if err != nil {
		return err
	}
	return o.explain(os.Remove(path))
}

// MkdirAll implements FS.
func (o *OS) MkdirAll(name string) error {
	path, err := o.path("mkdir", name)
	if err != nil {
		return err
	}
	return o.explain(os.MkdirAll(path, dirMode))
}

// ReadDir implements FS.
func (o *OS) ReadDir(name string) ([]fs.DirEntry, error) {
	path, err := o.path("readdir", name)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	return entries, o.explain(err)
}

// Stat implements FS.
func (o *OS) Stat(name string) (fs.FileInfo, error) {
	path, err := o.path("stat", name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	return info, o.explain(err)
}

// SyncDir implements FS. A file system that cannot sync directories makes it fail: what batchd promises would not
// hold there, and silence would hide it.
func (o *OS) SyncDir(name string) error {
	path, err := o.path("syncdir", name)
	if err != nil {
		return err
	}
	return o.explain(o.syncDir(path))
}

func (o *OS) syncDir(path string) error {
	defer o.onSync()
	return syncDir(path)
}

// Present returns nil while the root is the directory that the FS was opened on, and ErrRootGone else. A root that cannot be
// looked at counts as present: what is tried in it says more.
func (o *OS) Present() error {
	info, err := os.Stat(o.root)
	switch {
	case err == nil && os.SameFile(info, o.opened):
		return nil
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return &fs.PathError{Op: "look at", Path: o.root, Err: ErrRootGone}
	default:
		return nil
	}
}

// explain returns what is behind the failure of an operation: that something is not there says nothing if the root is not.
func (o *OS) explain(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if gone := o.Present(); gone != nil {
			return gone
		}
	}
	return err
}

// path returns where name is for the operating system, fs.ErrInvalid for a name that is not below the root, or ErrRootGone.
func (o *OS) path(op, name string) (string, error) {
	local, err := filepath.Localize(name)
	if err != nil {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return filepath.Join(o.root, local), o.Present()
}

// osFile hides all of *os.File that File does not promise. Its file is open with O_APPEND where it may be
// written; os.File repeats writes that a signal interrupted or the kernel cut short.
type osFile struct {
	f      *os.File
	onSync func()
}

// ReadAt implements File.
func (o *osFile) ReadAt(p []byte, off int64) (int, error) { return o.f.ReadAt(p, off) }

func (o *osFile) Write(p []byte) (int, error) { return o.f.Write(p) }

// Sync implements File.
func (o *osFile) Sync() error {
	defer o.onSync()
	return syncContents(o.f)
}

// Truncate implements File.
func (o *osFile) Truncate(size int64) error { return o.f.Truncate(size) }

// Size implements File.
func (o *osFile) Size() (int64, error) {
	info, err := o.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Close implements File.
func (o *osFile) Close() error { return o.f.Close() }
