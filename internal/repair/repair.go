// Package repair brings a data directory whose database has lost time to a state in which a server starts: results that
// were paid for and still fit their batch are adopted from journals and segments, and all else that no row answers to is
// set aside under lost/, never deleted. It says each thing that it does. It does not judge whether a database is whole, and
// makes no row of a batch that has none: of that nobody knows the tenant, the input and the window.
package repair

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/check"
	"batchd/internal/datadir"
	"batchd/internal/dialect"
	"batchd/internal/extsort"
	"batchd/internal/journal"
	"batchd/internal/store"
	"batchd/internal/vfs"
)

// Step is what is done to something.
type Step string

// The steps.
const (
	// Start makes the units of a batch again that the database has back before they were made.
	Start Step = "start"
	// Adopt gives a unit back to the journal that has its results.
	Adopt Step = "adopt"
	// Seal seals a unit with a segment that has all of its results.
	Seal Step = "seal"
	// SetAside moves a file to lost/.
	SetAside Step = "set aside"
	// Accept takes the number of the database's last change for the right one.
	Accept Step = "accept"
)

// Action is one thing that is done.
type Action struct {
	Step Step
	Kind check.Kind
	// File is the file's name in the data directory, KeptAs what it is called once it is set aside.
	File    string
	KeptAs  string
	BatchID string
	Unit    *int
	// Results is how many results are adopted, or set aside.
	Results int
	// Reason says why.
	Reason string
}

// Store is the part of the metadata store that is needed.
type Store interface {
	ListAllBatches(ctx context.Context, after string, limit int) (store.Page[batch.Batch], error)
	UnknownBatches(ctx context.Context, ids []string) ([]string, error)
	UnitRows(ctx context.Context, batchID string, first, n int) ([]store.UnitRow, error)
	Unreferenced(ctx context.Context, keys []string) ([]string, error)
	MoveLease(ctx context.Context, id batch.UnitID, from batch.LeaseID, h store.Holder) error
	LeaseBatch(ctx context.Context, stage store.Stage, h store.Holder) (batch.Batch, error)
	ReleaseBatch(ctx context.Context, id string, lease batch.LeaseID) error
	InputFile(ctx context.Context, batchID string) (batch.File, error)
	StartBatch(ctx context.Context, s store.Start) error
	SealUnits(ctx context.Context, seals []batch.Seal, now time.Time) (store.SealResult, error)
	BatchByID(ctx context.Context, id string) (batch.Batch, error)
}

// Objects are blobs in files; *disk.Backend is one.
type Objects interface {
	blob.Backend
	check.Names
}

// Options configures Run. All fields but AcceptOlder and LostTime are required.
type Options struct {
	// Disk is the data directory. The store, the objects and Move may stand for copies of what is in it, to find out what
	// would be done.
	Disk    vfs.FS
	Store   Store
	Objects Objects
	Blobs   blob.Store
	// Move sets a file of the data directory aside, under a name, and returns what it is called then.
	Move func(name, as string) (string, error)
	// Dialect returns the dialect by the name that stored objects carry.
	Dialect func(name string) (dialect.Dialect, error)
	Temp    extsort.Temp
	// AcceptOlder adopts nothing: the database is an older copy that is wanted, and what is newer is set aside.
	AcceptOlder bool
	// LostTime says that the database has lost changes for certain: then objects that no row refers to are set aside, too,
	// which are leftovers of a crash otherwise.
	LostTime bool
	Now      func() time.Time
	// Report is called with each action after it was done. Its error ends Run and is returned.
	Report func(Action) error
}

// Run does all that there is to do. It may be ended and run again at any moment: what was done stays done, and whatever is
// set aside is moved only after what is adopted was stored. Nobody else may work on the directory meanwhile.
func Run(ctx context.Context, o Options) error {
	r := &repairer{Options: o, holder: "repair-" + batch.NewLeaseID().String()}
	for _, step := range []func(context.Context) error{r.loadJournals, r.batches, r.unknownJournals, r.objects} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("repair: %w", err)
		}
	}
	return nil
}

// repairer is one call of Run.
type repairer struct {
	Options
	// holder is the node that leases are moved to. No server has its name, so that the next start frees them or adopts them
	// by their journals.
	holder string
	// journals are those of unsealed units, by batch; which of them fit is seen with the units' rows.
	journals map[string][]journalFile
}

// journalFile is a journal and whose it is.
type journalFile struct {
	name   string
	header journal.Header
}

// loadJournals reads the headers of all journals. One that has none that can be trusted is the start's to set aside.
func (r *repairer) loadJournals(context.Context) error {
	names, err := journal.List(r.Disk, datadir.Journals)
	if err != nil {
		return err
	}
	r.journals = make(map[string][]journalFile)
	for _, name := range names {
		h, err := journal.ReadHeader(r.Disk, name)
		if errors.Is(err, journal.ErrForeign) {
			continue
		}
		if err != nil {
			return err
		}
		r.journals[h.Unit.Batch] = append(r.journals[h.Unit.Batch], journalFile{name, h})
	}
	return nil
}

// batchesAtOnce bounds how many batches are read at a time.
const batchesAtOnce = 200

// batches mends every batch that has not ended.
func (r *repairer) batches(ctx context.Context) error {
	for after := ""; ; {
		page, err := r.Store.ListAllBatches(ctx, after, batchesAtOnce)
		if err != nil {
			return err
		}
		for _, b := range page.Items {
			after = b.ID
			if b.Status.Terminal() {
				delete(r.journals, b.ID) // its units are sealed, and the next start removes them
				continue
			}
			if err := r.batch(ctx, b); err != nil {
				return fmt.Errorf("batch %s: %w", b.ID, err)
			}
			delete(r.journals, b.ID)
		}
		if !page.HasMore {
			return nil
		}
	}
}

// unknownJournals sets aside the journals of batches that have no row.
func (r *repairer) unknownJournals(ctx context.Context) error {
	var left []journalFile
	for _, files := range r.journals {
		left = append(left, files...)
	}
	slices.SortFunc(left, func(a, b journalFile) int { return strings.Compare(a.name, b.name) })
	for _, j := range left {
		if err := r.setJournalAside(ctx, j, noRow); err != nil {
			return err
		}
	}
	return nil
}

// noRow is why something of a batch without a row is set aside.
const noRow = "the database has no row of its batch"

// setJournalAside sets a journal aside and says how many results are in it.
func (r *repairer) setJournalAside(ctx context.Context, j journalFile, reason string) error {
	results, err := r.linesOf(ctx, j, nil)
	if err != nil {
		return err
	}
	unit := j.header.Unit
	return r.setAside(Action{Kind: check.Journal, File: j.name, BatchID: unit.Batch, Unit: &unit.Ordinal, Results: results, Reason: reason}, path.Base(j.name))
}

// linesOf counts the results of a journal; fn, if it is not nil, is told their lines.
func (r *repairer) linesOf(ctx context.Context, j journalFile, fn func(line uint32)) (results int, err error) {
	_, err = journal.Inspect(r.Disk, j.name, func(line uint32, _ batch.Kind, _ batch.Usage) error {
		results++
		if fn != nil {
			fn(line)
		}
		return context.Cause(ctx)
	})
	return results, err
}

// setAside moves the file of an action to lost/ and reports it.
func (r *repairer) setAside(a Action, as string) error {
	kept, err := r.Move(a.File, as)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it went between the listing and now
	}
	if err != nil {
		return err
	}
	a.Step, a.KeptAs = SetAside, kept
	return r.Report(a)
}
