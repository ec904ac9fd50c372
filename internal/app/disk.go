package app

import (
	"context"
	"path"
	"time"

	"batchd/internal/blob"
	"batchd/internal/blob/disk"
	"batchd/internal/config"
	"batchd/internal/datadir"
	"batchd/internal/diskusage"
	"batchd/internal/store"
	"batchd/internal/vfs"
)

// DiskUsage finds out what uses the disk of the settings' data directory, beside a running server as well as without one.
// Where there is no data directory, the error is a *batch.Error of class batch.Invalid.
func DiskUsage(ctx context.Context, cfg config.Config) (u diskusage.Usage, err error) {
	err = withStore(ctx, cfg, false, nil, func(st store.Store) error {
		fsys, err := vfs.NewOS(cfg.DataDir, vfs.OSOptions{})
		if err == nil {
			u, err = survey(ctx, st, fsys, cfg.DataDir)
		}
		return err
	})
	return u, err
}

// diskUsage is DiskUsage for the engine's own directory. One survey runs at a time; others wait for their turn.
func (e *Engine) diskUsage(ctx context.Context) (diskusage.Usage, error) {
	select {
	case e.surveying <- struct{}{}:
		defer func() { <-e.surveying }()
	case <-ctx.Done():
		return diskusage.Usage{}, context.Cause(ctx)
	}
	return survey(ctx, e.storage.store, e.storage.dir.FS(), e.storage.dir.Path(""))
}

// survey finds out what uses the disk of the data directory at dir, whose files fsys has.
func survey(ctx context.Context, st store.Store, fsys vfs.FS, dir string) (diskusage.Usage, error) {
	return diskusage.Survey(ctx, diskusage.Options{
		Store: st, FS: fsys, Temp: []string{datadir.Temp, path.Join(datadir.Blobs, disk.TempDir)},
		List: func(ctx context.Context, fn func(blob.Info) error) error {
			return disk.ListAll(ctx, fsys, datadir.Blobs, fn)
		},
		Room: func() (datadir.Room, error) { return datadir.RoomAt(dir) }, Now: time.Now,
	})
}
