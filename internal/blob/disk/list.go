package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"batchd/internal/blob"
	"batchd/internal/vfs"
)

// List implements blob.Backend. It reads one directory at a time, and only those that the prefix allows.
func (b *Backend) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	return list(ctx, b.fsys, b.objects, prefix, look(fn))
}

// Keys is List for the keys alone, which costs no look at each file. Those of one directory come in order.
func (b *Backend) Keys(ctx context.Context, prefix string, fn func(key string) error) error {
	return list(ctx, b.fsys, b.objects, prefix, func(key string, _ fs.DirEntry) error { return fn(key) })
}

// ListAll calls fn for every object in the directory called dir, as Backend.List does. It makes and removes nothing, so the
// directory may be another process's; one that is absent has no objects.
func ListAll(ctx context.Context, fsys vfs.FS, dir string, fn func(blob.Info) error) error {
	return list(ctx, fsys, path.Join(dir, objectsDir), "", look(fn))
}

// look returns what calls fn with the size and the time of an object, unless that is gone.
func look(fn func(blob.Info) error) func(key string, e fs.DirEntry) error {
	return func(key string, e fs.DirEntry) error {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
		return fn(blob.Info{Key: key, Size: info.Size(), Stored: info.ModTime()})
	}
}

// list calls visit for each object below a directory of objects whose key starts with prefix.
func list(ctx context.Context, fsys vfs.FS, objects, prefix string, visit func(key string, e fs.DirEntry) error) error {
	dir := ""
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		if dir = prefix[:i]; blob.CheckKey(dir) != nil {
			return nil // no key starts like that, and the directory may be one outside
		}
	}
	l := lister{fsys: fsys, objects: objects, prefix: prefix, fn: visit}
	return l.walk(ctx, dir)
}

// lister is one listing.
type lister struct {
	fsys    vfs.FS
	objects string
	prefix  string
	fn      func(key string, e fs.DirEntry) error
}

// walk reports the objects below the directory of that key; "" is that of all. A directory that is gone has none.
func (l *lister) walk(ctx context.Context, dir string) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	entries, err := l.fsys.ReadDir(path.Join(l.objects, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	for _, e := range entries {
		if err := l.visit(ctx, dir, e); err != nil {
			return err
		}
	}
	return nil
}

// visit reports one entry of a directory, or what is below it. It passes over what is no object of ours.
func (l *lister) visit(ctx context.Context, dir string, e fs.DirEntry) error {
	key := path.Join(dir, e.Name())
	if e.IsDir() {
		if below := key + "/"; strings.HasPrefix(below, l.prefix) || strings.HasPrefix(l.prefix, below) {
			return l.walk(ctx, key)
		}
		return nil
	}
	key, ours := strings.CutSuffix(key, leaf)
	if !ours || !strings.HasPrefix(key, l.prefix) {
		return nil
	}
	return l.fn(key, e)
}
