// Package datadir is the data directory of one node: the lock that lets one process at a time execute batches from it,
// the names of what is in it, whether anything shows that a database was there, and how much space is left. It knows
// files and names only: no database is opened here, and of what the files hold only the sequence file and the checksum of the
// database are read.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"batchd/internal/vfs"
)

// The names in a data directory.
const (
	// Database is the file of the metadata store, where that is SQLite.
	Database = "batchd.db"
	// Sequence is the file that holds the number of the last commit of the database that anybody was told of. See
	// SequenceFile.
	Sequence = "batchd.seq"
	// Checksum is the file that holds the checksum of the database's file. See ContentSumFile.
	Checksum = "batchd.sum"
	// Blobs is the directory of the blob store, where that is a directory.
	Blobs = "blobs"
	// Journals is the directory of the journals of leased units; Lost is that of journals whose units the database does not
	// have. Only the operator removes these.
	Journals = "journals"
	Lost     = "lost"
	// Temp is the directory for temporary files: nothing in it outlives its process.
	Temp = "tmp"
	// LockFile carries the lock. It is never removed: a process that locked a file which another one had just removed
	// would hold nothing.
	LockFile = "lock"
	// ReserveFile keeps room for writes on a full disk. Its contents mean nothing.
	ReserveFile = "reserve"
)

// Options configures a Dir.
type Options struct {
	// OnSync, if set, is called after every sync of a file or a directory that was tried. It must not block and may be
	// called concurrently.
	OnSync func()
}

// Dir is a data directory whose lock this process holds. Its methods but Close may be called concurrently.
type Dir struct {
	disk *vfs.OS
	lock *Lock
}

// Open makes the data directory at path, durably, if it is absent, and takes its lock. While another process holds that,
// the error is a *LockedError.
func Open(path string, o Options) (*Dir, error) {
	disk, err := vfs.NewOS(path, vfs.OSOptions{OnSync: o.OnSync})
	if err != nil {
		return nil, err
	}
	lock, err := TryLock(path)
	if err != nil {
		return nil, err
	}
	return &Dir{disk: disk, lock: lock}, nil
}

// FS returns the disk operations below the directory.
func (d *Dir) FS() vfs.FS { return d.disk }

// Path returns the absolute path of what has this name in the directory; "" stands for the directory itself.
func (d *Dir) Path(name string) string { return filepath.Join(d.disk.Root(), name) }

// Prepare makes the directories for journals and temporary files, durably, and removes what earlier processes left
// unfinished. The database has to be open.
func (d *Dir) Prepare() error {
	for _, name := range []string{Journals, Temp} {
		if err := d.disk.MkdirAll(name); err != nil {
			return fmt.Errorf("prepare data directory: %w", err)
		}
	}
	if err := d.disk.SyncDir("."); err != nil {
		return fmt.Errorf("prepare data directory: %w", err)
	}
	// The database is open, so that a sequence file is there and no process is making one.
	if err := d.removeAll(".", sequenceTemp); err != nil {
		return err
	}
	return d.removeAll(Temp, "")
}

// removeAll removes the files of a directory whose names begin with prefix.
func (d *Dir) removeAll(dir, prefix string) error {
	entries, err := d.disk.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("remove temporary files: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		if err := d.disk.Remove(path.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove temporary files: %w", err)
		}
	}
	return nil
}

// Close gives the lock back.
func (d *Dir) Close() error { return d.lock.Close() }

// HasDatabase reports whether the file of the metadata store is in the data directory at path.
func HasDatabase(path string) (bool, error) {
	_, err := os.Stat(filepath.Join(path, Database))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Untouched reports whether nothing in the data directory at path shows that a database was there before: then a missing
// one is a new one, and not a lost one. The sequence file is made after the database.
func Untouched(path string) (bool, error) {
	if _, err := os.Stat(filepath.Join(path, Sequence)); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return false, fmt.Errorf("look into data directory: %w", err)
		}
		return false, nil
	}
	for _, name := range []string{Blobs, Journals} {
		entries, err := os.ReadDir(filepath.Join(path, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("look into data directory: %w", err)
		}
		if len(entries) > 0 {
			return false, nil
		}
	}
	return true, nil
}
