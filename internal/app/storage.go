package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"batchd/internal/blob"
	"batchd/internal/blob/disk"
	"batchd/internal/check"
	"batchd/internal/datadir"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
)

// storage is what a node keeps on disk: its data directory, with the lock, and the stores in it.
type storage struct {
	dir   *datadir.Dir
	store store.Store
	blobs blob.Store
	// reserve keeps room for rows once a server says so.
	reserve *datadir.Reserve
	// scrubbed are the same blobs for scrubbing, which tells of damage itself and should push nothing out of a cache.
	scrubbed blob.Store
	// faulty is set while the last write to the database failed; only then does /readyz probe it.
	faulty atomic.Bool
	// presence watches whether the directory is there.
	presence *datadir.Presence
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
	s.reserve = datadir.NewReserve(s.dir.Path(""), time.Now)
	s.presence = datadir.NewPresence(s.dir.Present, logger, time.Now)
	s.store, err = openStore(ctx, path, sqlite.Options{
		Logger: logger, OnFsync: func(n int) { m.fsyncs.Add(float64(n)) },
		OnCommit: func() {
			m.commits.Inc()
			s.faulty.Store(false)
		},
		OnFault: func(error) { s.faulty.Store(true) }, Guard: s.presence.Gone,
		Reserve: s.reserve,
	})
	if err != nil {
		return nil, err
	}
	// After the store: where that is refused, nothing in the directory may have been changed.
	if err := s.dir.Prepare(); err != nil {
		return nil, err
	}
	backend, err := disk.New(s.dir.FS(), datadir.Blobs, disk.Options{})
	if err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	err = check.Start(ctx, check.StartOptions{Dir: path, Disk: s.dir.FS(), Blobs: backend, Store: s.store})
	if err != nil {
		return nil, err
	}
	// Every try to read a damaged block counts, but the operator is told of it once.
	tell := blob.Once(func(key string, block int64) {
		logger.Error("stored object is damaged; its bytes are not used", "key", key, "block", block)
	})
	s.blobs = blob.NewStore(backend, blob.Options{OnCorrupt: func(key string, block int64) {
		m.corrupts.Inc()
		tell(key, block)
	}})
	s.scrubbed = blob.NewStore(backend, blob.Options{CacheBlocks: -1, OnCorrupt: func(string, int64) { m.corrupts.Inc() }})
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

// close gives everything back, the lock last: from then on another process may open the stores. A store whose directory is gone
// stays open until the process ends: closing it would remove files by their names, which may be another's by now.
func (s *storage) close() error {
	var errs []error
	if s.store != nil && s.dir.Present() == nil {
		errs = append(errs, s.store.Close())
	}
	if s.dir != nil {
		errs = append(errs, s.dir.Close())
	}
	return errors.Join(errs...)
}
