package check

import (
	"context"
	"errors"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/datadir"
	"batchd/internal/journal"
	"batchd/internal/store"
	"batchd/internal/vfs"
)

// StartStore is the part of the metadata store that Start needs.
type StartStore interface {
	UnknownBatches(ctx context.Context, ids []string) ([]string, error)
	UnitRows(ctx context.Context, batchID string, first, n int) ([]store.UnitRow, error)
}

// Names lists the keys of blobs and says which file holds each; *disk.Backend is one.
type Names interface {
	Keys(ctx context.Context, prefix string, fn func(key string) error) error
	File(key string) string
}

// StartOptions configures Start. All fields are required.
type StartOptions struct {
	// Dir is the data directory as the operator knows it, for messages; Disk is its file system.
	Dir   string
	Disk  vfs.FS
	Blobs Names
	Store StartStore
}

// RefusedError says that a data directory holds what its database knows nothing of: the database has lost what was
// committed to it, or is an older copy of itself. None of these files was changed.
type RefusedError struct {
	// Dir is the data directory.
	Dir string
	// File is the first file that does not fit, by its name in the directory; Problem completes the sentence "file x …".
	File    string
	Problem string
	// Others is how many more files do not fit.
	Others int
}

// Error names the file, the row's side, and the commands to go on.
func (e *RefusedError) Error() string {
	others := ""
	if e.Others > 0 {
		others = fmt.Sprintf(", and %d more files do not fit either", e.Others)
	}
	return fmt.Sprintf("data directory %s is newer than its database: %s %s%s. The database has lost what was committed to it, or "+
		"an older copy was put in its place. None of the files was touched. `batchd check %s` shows what is lost; "+
		"`batchd repair %s` keeps what fits and sets the rest aside; if the older copy is wanted: `batchd repair %s --accept-older`",
		e.Dir, e.File, e.Problem, others, e.Dir, e.Dir, e.Dir)
}

// idsAtOnce bounds how many ids one query asks about.
const idsAtOnce = 1000

// Start compares the names of plans and segments, and the headers of journals, with the rows, before anything is taken
// over. It fails with a *RefusedError where one names a batch that no row knows, or where a journal names, for a unit that
// is not sealed, only leases that its row does not carry. What an ordinary crash leaves passes: a batch's row is committed
// before anything carries its id, and a lease before its journal is made. It reads no blob, so that its time goes by how
// many there are.
func Start(ctx context.Context, o StartOptions) error {
	s := starter{StartOptions: o}
	if err := s.blobs(ctx); err != nil {
		return fmt.Errorf("compare stored objects with the database: %w", err)
	}
	if err := s.journals(ctx); err != nil {
		return fmt.Errorf("compare journals with the database: %w", err)
	}
	if s.refused != nil {
		return s.refused
	}
	return nil
}

// starter is one call of Start.
type starter struct {
	StartOptions
	// asked are the batches to ask the store about, each with a key that carries its id, and how many do.
	asked []namedBatch
	// refused is what was found, nil for nothing.
	refused *RefusedError
}

// namedBatch is a batch that keys name.
type namedBatch struct {
	id   string
	key  string
	keys int
}

// refuse notes that so many files, of which file is the first, do not fit.
func (s *starter) refuse(file string, files int, format string, args ...any) {
	if s.refused != nil {
		s.refused.Others += files
		return
	}
	s.refused = &RefusedError{Dir: s.Dir, File: file, Problem: fmt.Sprintf(format, args...), Others: files - 1}
}

// blobs looks for plans and segments of batches that the store does not know.
func (s *starter) blobs(ctx context.Context) error {
	for _, prefix := range []string{"plans/", "segments/"} {
		err := s.Blobs.Keys(ctx, prefix, func(key string) error {
			id := ParseKey(key).Batch
			if id == "" {
				return nil
			}
			// The keys of a batch come one after the other, so that each is asked about once, or twice.
			if n := len(s.asked); n > 0 && s.asked[n-1].id == id {
				s.asked[n-1].keys++
				return nil
			}
			if len(s.asked) == idsAtOnce {
				if err := s.ask(ctx); err != nil {
					return err
				}
			}
			s.asked = append(s.asked, namedBatch{id: id, key: key, keys: 1})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.ask(ctx)
}

// ask asks the store about the batches that are noted, and forgets them.
func (s *starter) ask(ctx context.Context) error {
	ids := make([]string, len(s.asked))
	for i, b := range s.asked {
		ids[i] = b.id
	}
	unknown, err := s.Store.UnknownBatches(ctx, ids)
	if err != nil {
		return err
	}
	lost := make(map[string]bool, len(unknown))
	for _, id := range unknown {
		lost[id] = true
	}
	for _, b := range s.asked {
		if lost[b.id] {
			s.refuse(s.Blobs.File(b.key), b.keys, "is of batch %s, of which %s has no row", b.id, datadir.Database)
		}
	}
	s.asked = s.asked[:0]
	return nil
}

// journals looks for journals that no row answers to.
func (s *starter) journals(ctx context.Context) error {
	names, err := journal.List(s.Disk, datadir.Journals)
	if err != nil {
		return err
	}
	for _, name := range names {
		h, err := journal.ReadHeader(s.Disk, name)
		if errors.Is(err, journal.ErrForeign) {
			continue // no lease can be read from it, so that nobody can tell whose it is
		}
		if err != nil {
			return err
		}
		at, err := StandingOf(ctx, s.Store, s.Disk, name, h)
		if err != nil {
			return err
		}
		if problem := at.Problem(); problem != "" {
			s.refuse(name, 1, "%s", problem)
		}
	}
	return nil
}

// Standing is how a journal stands to the rows.
type Standing struct {
	Header journal.Header
	// KnownBatch and KnownUnit say whether there are rows of them. Row is the unit's.
	KnownBatch, KnownUnit bool
	Row                   store.UnitRow
	// Named says that the journal names the lease in the row.
	Named bool
}

// StandingOf compares the journal of that name and header with its unit's row. The header's lease is the row's as a rule;
// only where it is not are the leases read that the journal was adopted under.
func StandingOf(ctx context.Context, st StartStore, fsys vfs.FS, name string, h journal.Header) (Standing, error) {
	at := Standing{Header: h}
	rows, err := st.UnitRows(ctx, h.Unit.Batch, h.Unit.Ordinal, 1)
	if errors.Is(err, store.ErrNotFound) {
		return at, nil
	}
	if err != nil {
		return at, err
	}
	at.KnownBatch = true
	if len(rows) == 0 || rows[0].Ordinal != h.Unit.Ordinal {
		return at, nil
	}
	at.KnownUnit, at.Row = true, rows[0]
	at.Named = at.Row.Lease == h.Lease
	if at.Named || at.Row.Seal != nil {
		return at, nil
	}
	at.Named, err = journal.Names(fsys, name, at.Row.Lease)
	return at, err
}

// Fits reports whether a start would take the journal over, or remove it because its unit is sealed.
func (s Standing) Fits() bool { return s.KnownUnit && (s.Row.Seal != nil || s.Named) }

// Problem says what is wrong, for an operator: it completes a sentence that begins with the journal's name. It is "" if the
// journal fits.
func (s Standing) Problem() string {
	unit := s.Header.Unit
	switch {
	case s.Fits():
		return ""
	case !s.KnownBatch:
		return fmt.Sprintf("is of batch %s, of which %s has no row", unit.Batch, datadir.Database)
	case !s.KnownUnit:
		return fmt.Sprintf("is of unit %d of batch %s, of which %s has no row", unit.Ordinal, unit.Batch, datadir.Database)
	case s.Row.Lease == batch.LeaseID{}:
		return fmt.Sprintf("holds results of unit %d of batch %s, which was never leased by its row in %s", unit.Ordinal, unit.Batch, datadir.Database)
	default:
		return fmt.Sprintf("holds results of unit %d of batch %s under lease %s, and its row in %s carries lease %s",
			unit.Ordinal, unit.Batch, s.Header.Lease, datadir.Database, s.Row.Lease)
	}
}
