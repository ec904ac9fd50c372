package app

import (
	"context"
	"os"

	"batchd/internal/blob/disk"
	"batchd/internal/check"
	"batchd/internal/datadir"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
	"batchd/internal/vfs"
)

// Check compares all that is in a data directory, beside a running server as well as without one, and changes nothing in it.
// A directory that is none of batchd's is a *batch.Error of class batch.Invalid. report and progress are as in check.Options.
func Check(ctx context.Context, dir string, report func(check.Finding) error, progress func(done, total int64)) (check.Summary, error) {
	if err := expectData(dir); err != nil {
		return check.Summary{}, err
	}
	fsys, err := vfs.NewOS(dir, vfs.OSOptions{})
	if err != nil {
		return check.Summary{}, err
	}
	return check.Run(ctx, check.Options{
		Dir: dir, Disk: fsys, Objects: disk.Existing(fsys, datadir.Blobs), Open: openToRead, Commits: sqlite.CommitNumber,
		Changed: sqlite.Changed, Temp: os.TempDir(), Report: report, Progress: progress,
	})
}

// expectData refuses a directory in which nothing shows that it is batchd's.
func expectData(dir string) error {
	found, err := datadir.HasDatabase(dir)
	if err == nil && !found {
		var empty bool
		if empty, err = datadir.Untouched(dir); err == nil && !empty {
			return nil // what is missing is told with all else
		}
	}
	if err != nil || !found {
		return invalid("there is no batchd data in %s: name the server's data directory", dir)
	}
	return nil
}

// openToRead opens the metadata store in a file for check.
func openToRead(ctx context.Context, path string, how check.Access) (store.Store, error) {
	var st *sqlite.Store
	var err error
	if how == check.Copied {
		st, err = sqlite.Open(ctx, path, sqlite.Options{})
	} else {
		st, err = sqlite.OpenForReading(ctx, path, how == check.Alone)
	}
	if err != nil {
		return nil, err // not st, a nil pointer in an interface that is not nil
	}
	return st, nil
}
