package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"

	"batchd/internal/blob"
	"batchd/internal/blob/disk"
	"batchd/internal/datadir"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
)

// storage is what a node keeps: its data directory, with the lock, and the stores in it.
type storage struct {
	dir   *datadir.Dir
	store store.Store
	blobs blob.Store
	// faulty is set while the last write to the database failed.
	faulty atomic.Bool
}

// openStorage locks a data directory, making it if it is absent, and opens what is in it. One process at a time may hold
// it.
func openStorage(ctx context.Context, path string, m *metrics, logger *slog.Logger) (_ *storage, err error) {
	s := &storage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = datadir.Open(path, datadir.Options{OnSync: m.fsyncs.Inc}); err != nil {
		return nil, err
	}
	s.store, err = openStore(ctx, path, sqlite.Options{
		Logger: logger, OnFsync: func(n int) { m.fsyncs.Add(float64(n)) },
		OnCommit: func() {
			m.commits.Inc()
			s.faulty.Store(false)
		},
		OnFault: func(error) { s.faulty.Store(true) },
	})
	if err != nil {
		return nil, err
	}
	if err := s.dir.Prepare(); err != nil {
		return nil, err
	}
	if s.blobs, err = openBlobs(s.dir, m.corrupt(logger)); err != nil {
		return nil, err
	}
	return s, nil
}

// openStore opens the metadata store of a data directory. It makes one only where nothing shows that there was one before.
func openStore(ctx context.Context, dir string, o sqlite.Options) (store.Store, error) {
	fresh, err := datadir.Untouched(dir)
	if err != nil {
		return nil, err
	}
	o.MayCreate = fresh
	st, err := sqlite.Open(ctx, filepath.Join(dir, datadir.Database), o)
	if err != nil {
		return nil, err // not st, a nil pointer in an interface that is not nil
	}
	return st, nil
}

// openBlobs opens the blob store in a data directory. onCorrupt is told of each block that does not match its checksum.
func openBlobs(dir *datadir.Dir, onCorrupt func(key string, block int64)) (blob.Store, error) {
	backend, err := disk.New(dir.FS(), datadir.Blobs, disk.Options{})
	if err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	return blob.NewStore(backend, blob.Options{OnCorrupt: onCorrupt}), nil
}

// close gives everything back, the lock last.
func (s *storage) close() error {
	var errs []error
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.dir != nil {
		errs = append(errs, s.dir.Close())
	}
	return errors.Join(errs...)
}
