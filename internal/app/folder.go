package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"batchd/internal/blob"
	"batchd/internal/blob/disk"
	"batchd/internal/datadir"
	"batchd/internal/store/sqlite"
	"batchd/internal/vfs"
)

// The names inside a data folder.
const (
	databaseName  = "batchd.db"
	blobsFolder   = "blobs"
	journalFolder = "journals"
	tempFolder    = "tmp"
)

// folder is an open data folder: its lock, its database, its blobs and its temporary files.
type folder struct {
	path  string
	disk  *vfs.OS
	store *sqlite.Store
	blobs blob.Store
	lock  *datadir.DirLock
	// faulty is set while the last write to the database failed.
	faulty atomic.Bool
}

// openFolder locks a data folder, making it if it is absent, and opens what is in it. One process at a time may
// hold it.
func openFolder(ctx context.Context, path string, m *meters, logger *slog.Logger) (_ *folder, err error) {
	f := &folder{path: path}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if f.disk, err = vfs.NewOS(path, vfs.OSOptions{OnSync: func() { m.fsyncs.Inc() }}); err != nil {
		return nil, err
	}
	if f.lock, err = datadir.LockDir(path); err != nil {
		return nil, err
	}
	fresh, err := untouched(path)
	if err != nil {
		return nil, err
	}
	f.store, err = sqlite.Open(ctx, filepath.Join(path, databaseName), sqlite.Options{
		Logger: logger, MayCreate: fresh, OnFsync: func(n int) { m.fsyncs.Add(float64(n)) },
		OnCommit: func() {
			m.commits.Inc()
			f.faulty.Store(false)
		},
		OnFault: func(error) { f.faulty.Store(true) },
	})
	if err != nil {
		return nil, err
	}
	if err := f.prepareFolders(); err != nil {
		return nil, err
	}
	backend, err := disk.New(f.disk, blobsFolder, disk.Options{})
	if err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	f.blobs = blob.NewStore(backend, blob.Options{OnCorrupt: m.corrupt(logger)})
	return f, nil
}

// untouched reports whether nothing in a data folder shows that a database was there before: then a missing one is a
// new one, and not a lost one.
func untouched(path string) (bool, error) {
	for _, name := range []string{blobsFolder, journalFolder} {
		entries, err := os.ReadDir(filepath.Join(path, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("look into data folder: %w", err)
		}
		if len(entries) > 0 {
			return false, nil
		}
	}
	return true, nil
}

// prepareFolders makes the folders beside the database, and empties the one for temporary files: nothing in it
// outlives its process.
func (f *folder) prepareFolders() error {
	for _, name := range []string{journalFolder, tempFolder} {
		if err := f.disk.MkdirAll(name); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	if err := f.disk.SyncDir("."); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	entries, err := f.disk.ReadDir(tempFolder)
	if err != nil {
		return fmt.Errorf("empty folder of temporary files: %w", err)
	}
	for _, e := range entries {
		if err := f.disk.Remove(tempFolder + "/" + e.Name()); err != nil {
			return fmt.Errorf("empty folder of temporary files: %w", err)
		}
	}
	return nil
}

// temp returns the absolute path of the folder for temporary files.
func (f *folder) temp() string { return filepath.Join(f.disk.Root(), tempFolder) }

// close gives everything back, the lock last.
func (f *folder) close() error {
	var errs []error
	if f.store != nil {
		errs = append(errs, f.store.Close())
	}
	if f.lock != nil {
		errs = append(errs, f.lock.Close())
	}
	return errors.Join(errs...)
}
