// Package check compares the rows of a data directory's database with the files beside it: what a row refers to must be
// there and whole, and what a file names must be known. A start does so by names and headers alone and refuses to go on
// where the database has lost time; Run reads everything, beside a running server as well as without one. It changes
// nothing: to mend what it finds is repair's.
package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"batchd/internal/blob"
	"batchd/internal/datadir"
	"batchd/internal/store"
	"batchd/internal/vfs"
)

// State is what a finding means.
type State string

// The states of findings.
const (
	// LostState is something that was promised and is not there, or not whole.
	LostState State = "lost"
	// Unreferenced is a file that no row refers to and that nobody misses.
	Unreferenced State = "unreferenced"
	// Noted is for people to know: what was set aside, and damage that batchd mends by itself.
	Noted State = "noted"
)

// Finding is one thing that Run found.
type Finding struct {
	State State `json:"state"`
	Kind  Kind  `json:"kind"`
	// File is the file's name in the data directory, "" where a row has none.
	File    string `json:"file,omitempty"`
	BatchID string `json:"batch_id,omitempty"`
	Unit    *int   `json:"unit,omitempty"`
	FileID  string `json:"file_id,omitempty"`
	// Upload is the upload in parts that a part belongs to.
	UploadID string `json:"upload_id,omitempty"`
	Bytes    int64  `json:"bytes,omitempty"`
	// Problem says what is wrong, and Remedy what to do about it.
	Problem string `json:"problem"`
	Remedy  string `json:"remedy"`
}

// Summary is how much was looked at, and what was found.
type Summary struct {
	// Server is set if a server had the directory open.
	Server       bool  `json:"server_running"`
	Files        int64 `json:"files"`
	Batches      int64 `json:"batches"`
	Units        int64 `json:"units"`
	Journals     int64 `json:"journals"`
	Results      int64 `json:"results_in_journals"`
	Objects      int64 `json:"objects"`
	Bytes        int64 `json:"bytes"`
	Lost         int64 `json:"lost"`
	Unreferenced int64 `json:"unreferenced"`
	Noted        int64 `json:"noted"`
}

// Access is how Run has the database opened.
type Access int

// The ways to open a database.
const (
	// Shared is beside a server that has it open: for reading, with what the server commits.
	Shared Access = iota
	// Alone is while nobody has it open and it has no write-ahead log: for reading.
	Alone
	// Copied is a copy of Run's own, which may be written to.
	Copied
)

// Objects are blobs in files; *disk.Backend is one. Run only reads.
type Objects interface {
	blob.Backend
	// File returns the name, in the data directory, of the file that holds the object key.
	File(key string) string
}

// Options configures Run. All fields but Progress are required.
type Options struct {
	// Dir is the data directory as the operator knows it; Disk is its file system, and Objects are the blobs in it.
	Dir     string
	Disk    vfs.FS
	Objects Objects
	// Open opens the metadata store in the file at path, whose schema may be an older one if it is Copied.
	Open func(ctx context.Context, path string, how Access) (store.Store, error)
	// Commits returns the number of the last commit of the store in the file at path, which is open.
	Commits func(ctx context.Context, path string) (uint64, error)
	// Changed returns what is wrong with the bytes of the database's file at path, "" for nothing that shows.
	Changed func(ctx context.Context, path string) (string, error)
	// Temp is where a private copy of the database is made.
	Temp string
	// Report is called with each finding. Its error ends Run and is returned.
	Report func(Finding) error
	// Progress, if set, is called now and then with how many bytes were read of those that are there.
	Progress func(done, total int64)
}

// errStarted means that what was at rest began to move.
var errStarted = errors.New("a server was started meanwhile: run it again")

// Run compares everything with everything. It reads each stored byte that a row refers to, holds one block of 1 MiB and one
// page of rows at a time, and changes nothing in the directory. An error means that it could not go on; what is wrong with
// the directory is in the findings.
func Run(ctx context.Context, o Options) (Summary, error) {
	c := &checker{o: o}
	if o.Progress == nil {
		c.o.Progress = func(int64, int64) {}
	}
	if err := c.run(ctx); err != nil {
		return c.sum, fmt.Errorf("check %s: %w", o.Dir, err)
	}
	return c.sum, nil
}

// checker is one call of Run.
type checker struct {
	o   Options
	sum Summary
	// blobs are the objects with their checksums. store is nil if the database cannot be opened.
	blobs blob.Store
	store store.Store
	// lostTime is set if the sequence file is ahead of the database.
	lostTime bool
	// damaged is set once the database has been found to be. refused is the error of a report.
	damaged bool
	refused error
	// total is the bytes of all objects, done those that were read.
	total, done int64
}

func (c *checker) run(ctx context.Context) (err error) {
	held, err := datadir.Holder(c.o.Dir)
	if err != nil {
		return err
	}
	c.sum.Server = held != nil
	c.blobs = blob.NewStore(c.o.Objects, blob.Options{})
	if err := c.databaseFile(ctx); err != nil {
		return err
	}
	database, closeStore, err := c.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	defer func() { c.sum.Bytes = c.total }()
	if c.store == nil {
		return c.setAside() // there are no rows to compare with
	}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return c.database(ctx, database) },
		c.objects, c.files, c.parts, c.batches, c.journals,
	} {
		if err := c.passOver(ctx, step(ctx)); err != nil {
			return err
		}
	}
	return c.setAside()
}

// passOver turns the error of a step into a finding if the database is known to be damaged: no more of it can be read there.
func (c *checker) passOver(ctx context.Context, err error) error {
	if err == nil || !c.damaged || c.refused != nil || context.Cause(ctx) != nil {
		return err
	}
	return c.report(Finding{
		State: LostState, Kind: Database, File: datadir.Database, Problem: "cannot be read further: " + err.Error(),
		Remedy: restoreRemedy,
	})
}

// restoreRemedy is what to do about a database that is damaged.
const restoreRemedy = "put back a copy of the whole data directory"

// Beside a server a second look shows whether what seemed wrong was only on its way: a file that a row was about to refer
// to, or a row that went before its file. Each look is later by a longer pause.
const (
	looks     = 4
	firstWait = 250 * time.Millisecond
)

// confirm reports what look finds. Beside a server it looks again before it does, at rows and files as they are then.
func (c *checker) confirm(ctx context.Context, look func() ([]Finding, error)) error {
	found, err := look()
	wait := firstWait
	for n := 1; err == nil && len(found) > 0 && c.sum.Server && n < looks; n++ {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait *= 2
		found, err = look()
	}
	if err == nil && len(found) > 0 {
		err = c.undisturbed()
	}
	if err != nil {
		return err
	}
	for _, f := range found {
		if err := c.report(f); err != nil {
			return err
		}
	}
	return nil
}

// undisturbed fails if a server was started on a directory that was at rest: what was found would be found out of step.
func (c *checker) undisturbed() error {
	if c.sum.Server {
		return nil
	}
	held, err := datadir.Holder(c.o.Dir)
	if err == nil && held != nil {
		err = errStarted
	}
	return err
}

func (c *checker) report(f Finding) error {
	switch f.State {
	case LostState:
		c.sum.Lost++
	case Unreferenced:
		c.sum.Unreferenced++
	default:
		c.sum.Noted++
	}
	c.refused = c.o.Report(f)
	return c.refused
}

// setAside lists what was set aside before, for people to look at.
func (c *checker) setAside() error {
	entries, err := c.o.Disk.ReadDir(datadir.Lost)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = c.report(Finding{
			State: Noted, Kind: Lost, File: filepath.ToSlash(filepath.Join(datadir.Lost, e.Name())), Bytes: info.Size(),
			Problem: "was set aside", Remedy: "batchd never reads or removes it; that is yours to do",
		})
		if err != nil {
			return err
		}
	}
	return nil
}
