// Package disk keeps blobs as files in a directory of a vfs.FS. An object is written aside, synced, and only then given
// its name, which is synced too: at every moment it is whole or absent, and once Put has returned it stays. One
// Backend owns the directory; it knows nothing of checksums or of what refers to an object.
package disk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"

	"batchd/internal/blob"
	"batchd/internal/vfs"
)

const (
	// leaf ends the names of files. No key holds it, so that "a" and "a/b" can both be objects: a file and a directory.
	leaf = "@"
	// defaultBuffer is the size of a write: large enough that its call costs nothing beside the disk, small enough that
	// a hundred uploads at once take 25 MiB.
	defaultBuffer = 256 << 10
)

// TempDir is the directory, in a Backend's, of objects that are being written; objectsDir that of whole ones.
const (
	TempDir    = "tmp"
	objectsDir = "objects"
)

// Options tunes a Backend.
type Options struct {
	// BufferBytes is how many bytes are written at a time; 0 means 256 KiB.
	BufferBytes int
}

// Backend is a blob.Backend in a directory. Objects lie below its objects directory under their keys; its tmp directory
// holds those that are being written.
type Backend struct {
	fsys    vfs.FS
	objects string
	tmp     string
	dirs    *dirs
	// buffers keeps *[]byte of bufferBytes between Puts.
	buffers     sync.Pool
	bufferBytes int
	// Temporary files are called run-1, run-2 and so on; run is random.
	run   string
	count atomic.Int64
}

var _ blob.Backend = (*Backend)(nil)

// New returns the backend that keeps its objects in the directory called dir, which it makes, durably, if it is absent.
// What unfinished Puts of an earlier process left behind is removed, so no other Backend may use the directory at the
// same time.
func New(fsys vfs.FS, dir string, opts Options) (*Backend, error) {
	if opts.BufferBytes <= 0 {
		opts.BufferBytes = defaultBuffer
	}
	b := &Backend{
		fsys:        fsys,
		objects:     path.Join(dir, objectsDir),
		tmp:         path.Join(dir, TempDir),
		dirs:        &dirs{fsys: fsys, known: make(map[string]struct{})},
		bufferBytes: opts.BufferBytes,
		run:         rand.Text(),
	}
	if err := b.dirs.ensure(b.objects); err != nil {
		return nil, fmt.Errorf("make blob directory: %w", err)
	}
	if err := b.clearTemporary(); err != nil {
		return nil, fmt.Errorf("clear unfinished blobs: %w", err)
	}
	return b, nil
}

// Existing returns the backend of a directory that is to be read only, and perhaps is in use: it makes and clears nothing,
// and its methods that write must not be called.
func Existing(fsys vfs.FS, dir string) *Backend {
	return &Backend{fsys: fsys, objects: path.Join(dir, "objects"), tmp: path.Join(dir, "tmp")}
}

// clearTemporary removes what was being written when an earlier process ended. Nothing refers to any of it: a
// reference is made only after Put has returned.
func (b *Backend) clearTemporary() error {
	if err := b.fsys.MkdirAll(b.tmp); err != nil {
		return err
	}
	left, err := b.fsys.ReadDir(b.tmp)
	if err != nil {
		return err
	}
	for _, e := range left {
		if err := b.fsys.Remove(path.Join(b.tmp, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// File returns the name, in the file system that New was given, of the file that holds the object key.
func (b *Backend) File(key string) string { return path.Join(b.objects, key) + leaf }

// ReadAt implements blob.Backend.
func (b *Backend) ReadAt(ctx context.Context, key string, p []byte, off int64) (int, error) {
	if err := check(ctx, key); err != nil {
		return 0, fmt.Errorf("read blob: %w", err)
	}
	f, err := b.fsys.Open(b.File(key))
	if err != nil {
		return 0, fmt.Errorf("read blob %s: %w", key, absent(err))
	}
	defer func() { _ = f.Close() }() // only read from
	n, err := f.ReadAt(p, off)
	if err != nil && n < len(p) {
		return n, fmt.Errorf("read blob %s at %d: %w", key, off, err)
	}
	return n, nil
}

// Stat implements blob.Backend.
func (b *Backend) Stat(ctx context.Context, key string) (blob.Info, error) {
	if err := check(ctx, key); err != nil {
		return blob.Info{}, fmt.Errorf("stat blob: %w", err)
	}
	info, err := b.fsys.Stat(b.File(key))
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat blob %s: %w", key, absent(err))
	}
	return blob.Info{Key: key, Size: info.Size(), Stored: info.ModTime()}, nil
}

// check refuses a bad key and a context that has ended.
func check(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// absent makes the error for a missing file that for a missing blob.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return blob.ErrNotExist
	}
	return err
}
