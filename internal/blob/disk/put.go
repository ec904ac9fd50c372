package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"syscall"

	"batchd/internal/blob"
	"batchd/internal/vfs"
)

// maxEmptyReads is how many reads in a row may return nothing at all.
const maxEmptyReads = 100

// Put implements blob.Backend. It syncs twice: the file and the directory of its name; a directory's first use adds one
// sync of its parent.
func (b *Backend) Put(ctx context.Context, key string, r io.Reader) (int64, error) {
	if err := check(ctx, key); err != nil {
		return 0, fmt.Errorf("put blob: %w", err)
	}
	temp := b.temporary()
	size, err := b.write(ctx, temp, r)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = b.publish(temp, key)
	}
	if err != nil {
		_ = b.fsys.Remove(temp) // absent, or removed by the next New
		return 0, fmt.Errorf("put blob %s: %w", key, full(err))
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

func (b *Backend) copy(ctx context.Context, f vfs.File, r io.Reader) (size int64, err error) {
	buf := b.buffer()
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

// buffer returns a buffer that nobody uses.
func (b *Backend) buffer() *[]byte {
	if buf, ok := b.buffers.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, b.bufferBytes)
	return &buf
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
	name := b.file(key)
	release, err := b.dirs.hold(path.Dir(name))
	if err != nil {
		return err
	}
	defer release()
	if err = vfs.Publish(b.fsys, temp, name); err != nil {
		// Perhaps somebody removed the directory: it is looked at anew next time.
		b.dirs.forget()
	}
	return err
}

// full adds blob.ErrNoSpace to an error that means so.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", blob.ErrNoSpace, err)
	}
	return err
}
