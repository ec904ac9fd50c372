package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"batchd/internal/datadir"
	"batchd/internal/store/sqlite"
)

// withStore lets a command use the metadata store of a data folder, making both where there is nothing yet. The lock on
// the folder is the executor's, so this works beside a running server as well as without one.
func withStore(ctx context.Context, dataDir string, use func(*sqlite.Store) error) (err error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	st, err := openBeside(ctx, dataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return use(st)
}

// openBeside opens the store of a data folder without its lock, or makes one while it holds it: of two processes that
// make a store at the same time, one would put its own in the place of the other's.
func openBeside(ctx context.Context, dataDir string) (_ *sqlite.Store, err error) {
	lock, err := lockUnmade(ctx, dataDir)
	if err != nil {
		return nil, err
	}
	if lock != nil {
		defer func() { err = errors.Join(err, lock.Close()) }()
	}
	fresh, err := untouched(dataDir)
	if err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, filepath.Join(dataDir, databaseName), sqlite.Options{
		Logger: slog.New(slog.DiscardHandler), MayCreate: fresh,
	})
}

// makingTakes is more than making a store takes on a slow disk.
const makingTakes = 10 * time.Second

// lockUnmade locks a data folder that has no database, and returns nil for one that has. It waits for a process that is
// just making one.
func lockUnmade(ctx context.Context, dataDir string) (*datadir.DirLock, error) {
	ctx, cancel := context.WithTimeout(ctx, makingTakes)
	defer cancel()
	for {
		if _, err := os.Stat(filepath.Join(dataDir, databaseName)); !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		lock, err := datadir.LockDir(dataDir)
		var held *datadir.LockedError
		if !errors.As(err, &held) {
			return lock, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, held
		}
	}
}
