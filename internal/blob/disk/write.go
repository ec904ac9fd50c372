package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"batchd/internal/blob"
	"batchd/internal/vfs"
)

const (
	// maxEmptyReads is how many reads in a row may return nothing at all, as in package bufio.
	maxEmptyReads = 100
	// maxKnown bounds the memory for directories that are known to be durable. Forgetting one costs a sync, no more.
	// Keys as blob.BatchKey makes them need 16 for each kind of object.
	maxKnown = 10_000
)

// Put implements blob.Backend. It syncs twice: the file and the directory of its name; a directory's first use adds one
// sync of its parent.
func (b *Backend) Put(ctx context.Context, key string, r io.Reader) (int64, error) {
	if err := check(ctx, key); err != nil {
		return 0, fmt.Errorf("put blob: %w", err)
	}
	temp := path.Join(b.tmp, b.run+"-"+strconv.FormatInt(b.count.Add(1), 10)) // a name that no other Put uses
	size, err := b.write(ctx, temp, r)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = b.publish(temp, key)
	}
	if err != nil {
		_ = b.fsys.Remove(temp) // absent, or removed by the next New
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = fmt.Errorf("%w: %w", blob.ErrNoSpace, err)
		}
		return 0, fmt.Errorf("put blob %s: %w", key, err)
	}
	return size, nil
}

// write makes a file of what r yields and syncs it.
func (b *Backend) write(ctx context.Context, name string, r io.Reader) (size int64, err error) {
	f, err := b.fsys.Create(name)
	if err != nil {
		return 0, err
	}
	size, err = b.copy(ctx, f, r)
	if err == nil {
		err = f.Sync()
	}
	return size, errors.Join(err, f.Close())
}

// copy writes what r yields to f, a buffer at a time.
func (b *Backend) copy(ctx context.Context, f vfs.File, r io.Reader) (size int64, err error) {
	buf, ok := b.buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
		*buf = make([]byte, b.bufferBytes)
	}
	defer b.buffers.Put(buf)
	for {
		n, readErr := fill(ctx, r, *buf)
		ended := readErr == io.EOF //nolint:errorlint // the end itself; an error that wraps it is a failure
		if readErr != nil && !ended {
			return size, readErr
		}
		if n > 0 {
			if _, err := f.Write((*buf)[:n]); err != nil {
				return size, err
			}
			size += int64(n)
		}
		if ended {
			return size, nil
		}
	}
}

// fill reads until p is full or r fails. It is not io.ReadFull, whose io.ErrUnexpectedEOF for a short last piece
// looks like that of a request body that broke off.
func fill(ctx context.Context, r io.Reader, p []byte) (int, error) {
	n, empty := 0, 0
	for n < len(p) {
		if err := context.Cause(ctx); err != nil {
			return n, err
		}
		m, err := r.Read(p[n:])
		n += m
		if err != nil {
			return n, err
		}
		if m > 0 {
			empty = 0
		} else if empty++; empty == maxEmptyReads {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// publish gives a synced file its final name. It is not vfs.Replace, which would hold the directory while the contents
// are still being written and synced: many Puts share one. When only the last sync fails, the object is there but may
// not outlast a power cut; it is left, because an earlier Put of the same bytes may have been promised to last.
func (b *Backend) publish(temp, key string) error {
	name, d := b.File(key), b.dirs
	d.inUse.RLock() // so that nobody removes the directory before the name in it is synced
	defer d.inUse.RUnlock()
	if err := d.ensure(path.Dir(name)); err != nil {
		return err
	}
	err := vfs.Publish(b.fsys, temp, name)
	if err != nil {
		// Perhaps somebody else removed the directory: every one is looked at anew next time.
		d.mu.Lock()
		defer d.mu.Unlock()
		clear(d.known)
	}
	return err
}

// Delete implements blob.Backend. It syncs nothing: an object that a power cut brings back is one that nothing
// refers to, and is deleted again. Directories that become empty go too, except those of the first level, which would
// soon be made again.
func (b *Backend) Delete(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	err := b.fsys.Remove(b.File(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete blob %s: %w", key, err)
	}
	// A Put that has just made such a directory holds it, and then it is not removed.
	for dir := path.Dir(key); strings.Contains(dir, "/"); dir = path.Dir(dir) {
		if !b.dirs.removeEmpty(path.Join(b.objects, dir)) {
			break
		}
	}
	return nil
}

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

// ensure makes the directory and its parents and syncs the name of each into its parent. One that is there but that
// this process knows nothing of is synced too: the process that made it may have died just before.
func (d *dirs) ensure(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var unknown []string
	for dir := name; dir != path.Dir(dir); dir = path.Dir(dir) {
		if _, ok := d.known[dir]; ok {
			break
		}
		unknown = append(unknown, dir)
	}
	if len(unknown) == 0 {
		return nil
	}
	if err := d.fsys.MkdirAll(name); err != nil {
		return err
	}
	if len(d.known) > maxKnown {
		clear(d.known)
	}
	for i := len(unknown) - 1; i >= 0; i-- {
		if err := d.fsys.SyncDir(path.Dir(unknown[i])); err != nil {
			return err
		}
		d.known[unknown[i]] = struct{}{}
	}
	return nil
}

// removeEmpty removes the directory if it is empty and not in use, and reports whether it did. That it is not empty is
// the usual case, and found out by trying.
func (d *dirs) removeEmpty(name string) bool {
	d.inUse.Lock()
	defer d.inUse.Unlock()
	if d.fsys.Remove(name) != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, name)
	return true
}
