package journal

import (
	"errors"
	"fmt"
	"io"
	"path"

	"batchd/internal/batch"
	"batchd/internal/descriptors"
	"batchd/internal/vfs"
)

// errSuspect is the reason for a rescue after a restart.
var errSuspect = errors.New("its fsync failed before the restart")

// Sync makes every frame that was appended before the call durable. Appends go on meanwhile.
//
// A failed fsync is never repeated on the same file, since the kernel may have dropped the pages and would
// report success. Instead all whole frames are copied to a fresh file, what was unsynced from memory where
// possible; the copy is checked, synced, and takes the journal's name. If that fails too, the error is
// ErrDiskFailed, and so is that of every later call: the process must stop.
//
// For want of descriptors or memory, or of the data directory, neither is tried to its end: the error is another one,
// the journal stays dirty and can be used on, and a later Sync goes on from there.
func (j *Journal) Sync() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if err := j.sync(); err != nil {
		return fmt.Errorf("sync journal %s: %w", j.path, err)
	}
	return nil
}

// Adopt records durably that the journal's unit is now held under lease. It comes before the change of the
// unit's row, so that the row never names a lease that the journal does not. Sync's errors apply.
func (j *Journal) Adopt(lease batch.LeaseID) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	err := j.appendSmallLocked(head{typ: typeAdoption}, batch.Usage{}, lease[:])
	j.mu.Unlock()
	if err == nil {
		err = j.sync()
	}
	if err != nil {
		return fmt.Errorf("adopt journal %s under lease %s: %w", j.path, lease, err)
	}
	return nil
}

// sync does what Sync says; the caller holds syncing.
func (j *Journal) sync() error {
	j.mu.Lock()
	f, upTo, err := j.beginSyncLocked()
	suspect, named := j.suspect, j.named
	j.mu.Unlock()
	if err != nil || f == nil {
		return err
	}
	cause := errSuspect
	if !suspect {
		cause = f.Sync()
	}
	var unnamed error
	if cause == nil && !named {
		unnamed = j.fsys.SyncDir(path.Dir(j.path))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case cause != nil:
		return j.rescueLocked(cause)
	case Passing(unnamed):
		j.older.reset() // in the file they are durable, whatever becomes of the next fsync
		return unnamed
	case unnamed != nil:
		return j.rescueLocked(unnamed)
	}
	j.settledLocked(upTo)
	return nil
}

// Passing reports whether an error of this package says nothing of the disk: the same call works once descriptors, memory or the
// data directory are there again.
func Passing(err error) bool { return descriptors.IsShortage(err) || errors.Is(err, vfs.ErrRootGone) }

// settledLocked notes that the file is durable up to an offset, under its name.
func (j *Journal) settledLocked(upTo int64) {
	j.synced, j.named = upTo, true
	j.older.reset()
	if j.marked {
		// If it stays, a restart makes one more copy.
		j.marked = j.fsys.Remove(j.path+SuspectSuffix) != nil
	}
}

// beginSyncLocked returns the file to sync and what that will cover; no file if there is nothing to do. Frames
// appended from now on gather in fresh, as it is not known whether the fsync covers them.
func (j *Journal) beginSyncLocked() (vfs.File, int64, error) {
	if j.err != nil || j.size == j.synced {
		return nil, 0, j.err
	}
	f, err := j.fileLocked()
	if err != nil {
		return nil, 0, err
	}
	if !j.suspect { // else what an earlier fsync did not cover still waits in older for its copy
		j.older, j.fresh = j.fresh, j.older
	}
	return f, j.size, nil
}

// rescueLocked moves the journal to a fresh file after its fsync failed with cause. Every frame keeps its
// offset, so readers of the old file are not disturbed.
func (j *Journal) rescueLocked(cause error) error {
	j.suspect = true
	if !j.marked {
		// Leave a mark for the next process. After a failed fsync the kernel takes the lost pages for clean: a new process
		// could read them, sync them with success, and lose them with the power. The mark needs no sync, because both it
		// and the pages live until the machine goes down.
		if f, err := j.fsys.Create(j.path + SuspectSuffix); err == nil {
			_ = f.Close() // empty
			j.marked = true
		}
	}
	f, err := vfs.Place(j.fsys, j.path+TempSuffix, j.path, func(f vfs.File) error {
		if err := j.copyLocked(f); err != nil {
			return err
		}
		return f.Sync()
	})
	if err == nil {
		_ = j.file.Close() // it is unlinked, and nothing counts on it any more
		j.file, j.named, j.ragged, j.suspect = f, false, false, false
		j.older.reset()
		j.fresh.reset()
		j.rescues++
		j.rescued = cause
		err = j.fsys.SyncDir(path.Dir(j.path))
	}
	switch {
	case Passing(err):
		return fmt.Errorf("%w, then copying it: %w", cause, err)
	case err != nil:
		j.err = fmt.Errorf("%w: %w, then copying it: %w", ErrDiskFailed, cause, err)
		return j.err
	}
	j.settledLocked(j.size)
	return nil
}

// copyLocked writes the journal's contents up to its last whole frame to dst, and checks that dst holds every
// frame: one that was too large to keep may be gone from the page cache.
func (j *Journal) copyLocked(dst vfs.File) error {
	var done int64
	fromMemory := func(off int64, b []byte) error {
		if err := copyRange(dst, j.file, done, off); err != nil {
			return err
		}
		done = off + int64(len(b))
		_, err := dst.Write(b)
		return err
	}
	if err := j.older.each(fromMemory); err != nil {
		return err
	}
	if err := j.fresh.each(fromMemory); err != nil {
		return err
	}
	if err := copyRange(dst, j.file, done, j.size); err != nil {
		return err
	}
	s := newScanner(dst, j.salt, j.start, j.size)
	frames := 0
	for ; ; frames++ {
		if _, ok, err := s.next(); err != nil {
			return err
		} else if !ok {
			break
		}
	}
	if frames != j.frames {
		return fmt.Errorf("of %d frames only %d could be read back", j.frames, frames)
	}
	return nil
}

// copyRange appends the bytes [from, to) of src to dst.
func copyRange(dst io.Writer, src io.ReaderAt, from, to int64) error {
	return eachChunk(io.NewSectionReader(src, from, to-from), to-from, func(b []byte) error {
		_, err := dst.Write(b)
		return err
	})
}
