package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"batchd/internal/datadir"
	"batchd/internal/vfs"
)

// openStore opens the database in the way that leaves it as it is, and returns where it is and what closes it. One that
// cannot be opened is a finding, and then c.store stays nil.
func (c *checker) openStore(ctx context.Context) (path string, closing func() error, err error) {
	path = filepath.Join(c.o.Dir, datadir.Database)
	how, remove := Shared, func() error { return nil }
	if !c.sum.Server {
		how = Alone
		if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
			how = Copied
		}
	}
	original := path
	for {
		if how == Copied {
			if path, remove, err = CopyDatabase(ctx, original, c.o.Temp); err != nil {
				return "", nil, err
			}
		}
		c.store, err = c.o.Open(ctx, path, how)
		if err == nil {
			return path, func() error { return errors.Join(c.store.Close(), remove()) }, nil
		}
		c.store = nil // a nil pointer may be in it
		if how != Alone || ctx.Err() != nil || !c.readable(original) {
			break
		}
		how = Copied // its schema may be an older one, which is brought up to date in a copy
	}
	if ctx.Err() != nil {
		return "", nil, errors.Join(err, remove())
	}
	return "", remove, c.report(Finding{
		State: LostState, Kind: Database, File: datadir.Database, Problem: strings.ReplaceAll(err.Error(), path, original),
		Remedy: "nothing else was compared with it; put back a copy of the whole data directory, or see what the error says",
	})
}

// readable reports whether a file is there at all.
func (c *checker) readable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// copyTries is how often a copy is begun again that another process has disturbed.
const copyTries = 3

// CopyDatabase copies the database at path with its log to a directory of its own below temp, and returns the copy's path
// and what removes it. Reading a log that a crash has left means writing: that is done to the copy. Where there is no room
// for it, the error says so.
func CopyDatabase(ctx context.Context, path, temp string) (string, func() error, error) {
	dir, err := os.MkdirTemp(temp, "batchd-check-")
	if err != nil {
		return "", nil, fmt.Errorf("make a directory for a copy of the database: %w", err)
	}
	remove := func() error { return os.RemoveAll(dir) }
	for n := 0; ; n++ {
		before := stamps(path)
		err = roomFor(path, temp)
		for _, suffix := range []string{"", "-wal"} {
			if err == nil {
				err = copyFile(ctx, path+suffix, filepath.Join(dir, datadir.Database+suffix))
			}
		}
		if err != nil {
			return "", nil, errors.Join(fmt.Errorf("copy the database to %s to look into it: %w", dir, err), remove())
		}
		if before == stamps(path) {
			return filepath.Join(dir, datadir.Database), remove, nil
		}
		if n == copyTries {
			return "", nil, errors.Join(errors.New("the database changes while it is copied: run it again"), remove())
		}
	}
}

// roomFor fails if the copy would not fit.
func roomFor(path, temp string) error {
	var need int64
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err == nil {
			need += info.Size()
		}
	}
	// Folding the log in may take as much again.
	free, _, err := vfs.Free(temp)
	if err == nil && free < 2*uint64(need) {
		return fmt.Errorf("%d bytes are free there and %d are needed: name a directory with more room in TMPDIR", free, 2*need)
	}
	return nil // what does not fit all the same fails
}

// stamps are the lengths and times of a database and its log, by which a change shows.
func stamps(path string) (s [2]struct {
	size int64
	time time.Time
},
) {
	for i, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err == nil {
			s[i].size, s[i].time = info.Size(), info.ModTime()
		}
	}
	return s
}

// copyFile copies a file; one that is absent is none.
func copyFile(ctx context.Context, from, to string) error {
	src, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // only read from
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, untilDone{ctx, src})
	return errors.Join(err, dst.Close())
}

// untilDone ends a reader with its context.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (u untilDone) Read(p []byte) (int, error) {
	if err := context.Cause(u.ctx); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// database looks for what contradicts itself inside the database, and compares its number with the sequence file's. That
// is read first: a commit between the two raises the database's number before the file's.
func (c *checker) database(ctx context.Context, path string) error {
	told, found, seqErr := datadir.ReadSequence(c.o.Dir)
	number, err := c.o.Commits(ctx, path)
	if err != nil {
		return err
	}
	var f *Finding
	switch {
	case errors.Is(seqErr, datadir.ErrSequenceDamaged):
		f = &Finding{State: Noted, Problem: "is damaged", Remedy: "the next start keeps a copy and makes it anew; whether the database lost changes cannot be told by it"}
	case seqErr != nil:
		return seqErr
	case !found && number > 0:
		f = &Finding{State: Noted, Problem: "is missing", Remedy: "the next start makes it anew; whether the database lost changes cannot be told by it"}
	case told > number:
		c.lostTime = true
		f = &Finding{
			State:   LostState,
			Problem: fmt.Sprintf("holds number %d, and the database ends at number %d: changes that were answered for are lost from it", told, number),
			Remedy:  "put back what belongs to it, like its write-ahead log; else " + c.repairRemedy(),
		}
	}
	if f != nil {
		f.Kind, f.File = Sequence, datadir.Sequence
		if err := c.report(*f); err != nil {
			return err
		}
	}
	err = c.store.Verify(ctx, func(text string) error {
		c.damaged = true
		return c.report(Finding{
			State: LostState, Kind: Database, File: datadir.Database, Problem: "is damaged: " + text, Remedy: restoreRemedy,
		})
	})
	c.damaged = c.damaged || err != nil
	return err
}

// repairRemedy says what to do about what does not fit the rows.
func (c *checker) repairRemedy() string {
	return fmt.Sprintf("`batchd repair %s` keeps what fits and sets the rest aside", c.o.Dir)
}
