package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"batchd/internal/blob"
	"batchd/internal/blob/disk"
	"batchd/internal/check"
	"batchd/internal/config"
	"batchd/internal/datadir"
	"batchd/internal/dialect"
	"batchd/internal/dialect/vendors"
	"batchd/internal/extsort"
	"batchd/internal/repair"
	"batchd/internal/store/sqlite"
	"batchd/internal/vfs"
)

// RepairOptions says what Repair may do.
type RepairOptions struct {
	Dir string
	// Apply does what there is to do; without it, it is found out on copies, and nothing is changed.
	Apply bool
	// AcceptOlder takes the database as it is for the one that is wanted.
	AcceptOlder bool
	// Report is called with each action, after it was done if it is.
	Report func(repair.Action) error
}

// Repair brings a data directory whose database has lost time to a state in which a server starts. It needs the directory's
// lock: while a server runs the error is a *datadir.LockedError.
func Repair(ctx context.Context, o RepairOptions) (err error) {
	if err := expectData(o.Dir); err != nil {
		return err
	}
	dir, err := datadir.Open(o.Dir, datadir.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if found, err := datadir.HasDatabase(o.Dir); err != nil || !found {
		return errors.Join(fmt.Errorf("%s is missing: only a copy of the whole data directory brings it back", dir.Path(datadir.Database)), err)
	}
	m := &mender{RepairOptions: o, dir: dir, database: dir.Path(datadir.Database), disk: dir.FS()}
	if !o.Apply {
		if err := m.rehearse(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.remove()) }()
	} else if err := dir.Prepare(); err != nil {
		return err
	}
	return m.run(ctx)
}

// mender is one call of Repair.
type mender struct {
	RepairOptions
	dir *datadir.Dir
	// database is the database that is worked on, and disk where temporary files are put: copies in a rehearsal, which
	// remove removes.
	database string
	disk     vfs.FS
	remove   func() error
}

// rehearse makes the copies on which it is found out what there is to do.
func (m *mender) rehearse(ctx context.Context) (err error) {
	if m.database, m.remove, err = check.CopyDatabase(ctx, m.database, os.TempDir()); err != nil {
		return err
	}
	m.disk, err = vfs.NewOS(filepath.Join(filepath.Dir(m.database), "rehearsal"), vfs.OSOptions{})
	if err == nil {
		err = m.disk.MkdirAll(datadir.Temp)
	}
	if err != nil {
		return errors.Join(err, m.remove())
	}
	return nil
}

func (m *mender) run(ctx context.Context) error {
	if err := m.log(ctx); err != nil {
		return err
	}
	number, err := sqlite.CommitNumber(ctx, m.database)
	if err != nil {
		return err
	}
	// A sequence file that is damaged tells nothing; opening the store makes it anew.
	told, _, err := datadir.ReadSequence(m.Dir)
	if err != nil && !errors.Is(err, datadir.ErrSequenceDamaged) {
		return err
	}
	if err := m.mend(ctx, told > number); err != nil {
		return err
	}
	return m.sequence(ctx, told, number)
}

// log deals with a write-ahead log that goes on from another database than the one that is there. It would be replayed into
// pages that do not fit it, so that it goes before anything is opened.
func (m *mender) log(ctx context.Context) error {
	info, err := os.Stat(m.database + "-wal")
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	fit, err := sqlite.CompareLog(ctx, m.database)
	if err != nil || fit == sqlite.Fits {
		return err
	}
	reason := "it ends before what the database holds without it"
	const name = datadir.Database + "-wal"
	if fit == sqlite.OlderFile {
		reason = "it goes on from a later database than the one to be accepted"
	}
	if fit == sqlite.OlderFile && !m.AcceptOlder {
		return fmt.Errorf("%s is older than its log %s, which does not fit it: put back both from the same copy, or go on without the log by "+
			"`batchd repair %s --accept-older`", m.dir.Path(datadir.Database), name, m.Dir)
	}
	a := repair.Action{Step: repair.SetAside, Kind: check.Database, File: name, Reason: reason}
	if a.KeptAs, err = m.move(name, name); err != nil {
		return err
	}
	if !m.Apply {
		if err := os.Remove(m.database + "-wal"); err != nil {
			return err
		}
	}
	// The index of a log that is gone; SQLite makes one for the next.
	if err := os.Remove(m.database + "-shm"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return m.Report(a)
}

// mend opens the stores and repairs what does not fit.
func (m *mender) mend(ctx context.Context, lost bool) (err error) {
	st, err := sqlite.Open(ctx, m.database, sqlite.Options{LostTime: true})
	if err != nil {
		var unusable *sqlite.UnusableError
		if errors.As(err, &unusable) {
			unusable.Path = m.dir.Path(datadir.Database) // not that of a copy
		}
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	objects, err := m.objects()
	if err != nil {
		return err
	}
	dialects, err := defaultDialects()
	if err != nil {
		return err
	}
	err = repair.Run(ctx, repair.Options{
		Disk: m.dir.FS(), Store: st, Objects: objects, Blobs: blob.NewStore(objects, blob.Options{}), Move: m.move,
		Dialect: dialects, Temp: extsort.Temp{FS: m.disk, Dir: datadir.Temp}, AcceptOlder: m.AcceptOlder, LostTime: lost, Now: time.Now,
		Report: m.Report,
	})
	if err != nil || !m.Apply {
		return err
	}
	// What the next start will do, too.
	return check.Start(ctx, check.StartOptions{Dir: m.Dir, Disk: m.dir.FS(), Blobs: objects, Store: st})
}

// sequence takes the database's number for the right one where the sequence file is ahead of it. It comes last: until then
// a start is refused, and repair can be run again.
func (m *mender) sequence(ctx context.Context, told, was uint64) error {
	if told <= was {
		return nil
	}
	number, err := sqlite.CommitNumber(ctx, m.database)
	if err != nil {
		return err
	}
	if m.Apply && told > number {
		if err := datadir.WriteSequence(m.Dir, number); err != nil {
			return err
		}
	}
	return m.Report(repair.Action{
		Step: repair.Accept, Kind: check.Sequence, File: datadir.Sequence,
		Reason: fmt.Sprintf("it holds number %d, and the database ended at number %d, which is taken for the right one: what lies between is lost", told, was),
	})
}

// move sets a file aside; in a rehearsal it only says what it would be called.
func (m *mender) move(name, as string) (string, error) {
	if m.Apply {
		return datadir.SetAside(m.dir.FS(), name, as)
	}
	return datadir.Lost + "/" + as, nil
}

// objects returns the blobs of the directory, over which a rehearsal lays what it would store.
func (m *mender) objects() (repair.Objects, error) {
	if m.Apply {
		return disk.New(m.dir.FS(), datadir.Blobs, disk.Options{})
	}
	over, err := disk.New(m.disk, datadir.Blobs, disk.Options{})
	if err != nil {
		return nil, err
	}
	return overlay{Backend: disk.Existing(m.dir.FS(), datadir.Blobs), over: over}, nil
}

// overlay is a backend that is only read, under one that takes what is stored.
type overlay struct {
	*disk.Backend
	over *disk.Backend
}

// Put implements blob.Backend.
func (o overlay) Put(ctx context.Context, key string, r io.Reader) (int64, error) {
	return o.over.Put(ctx, key, r)
}

// ReadAt implements blob.Backend.
func (o overlay) ReadAt(ctx context.Context, key string, p []byte, off int64) (int, error) {
	n, err := o.over.ReadAt(ctx, key, p, off)
	if errors.Is(err, blob.ErrNotExist) {
		return o.Backend.ReadAt(ctx, key, p, off)
	}
	return n, err
}

// Delete implements blob.Backend. Repair deletes nothing.
func (overlay) Delete(context.Context, string) error { return errors.ErrUnsupported }

// defaultDialects returns the dialects as they are without settings: none changes how a line of an input is read that was
// good once.
func defaultDialects() (func(name string) (dialect.Dialect, error), error) {
	cfg := config.Default()
	profiles, err := vendors.Profiles(cfg.Vendors, serverRules(cfg))
	if err != nil {
		return nil, fmt.Errorf("make dialects: %w", err)
	}
	e := &Engine{profiles: profiles}
	return e.dialect, nil
}
