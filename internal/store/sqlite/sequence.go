package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	driver "modernc.org/sqlite"

	"batchd/internal/datadir"
)

// The commit number. Each write transaction raises it in the table commits; once it is on disk, and before those who
// wait for it are told, the number goes into the sequence file beside the store file. That file is never ahead by itself:
// where it is, the store file or its write-ahead log has lost transactions that somebody was told of.
// docs/adr/0017-sequence-file.md says why it is a file of its own.

// CommitNumber returns the commit number that the store file at path and its write-ahead log hold; 0 if the schema is
// older than the number. It writes to neither and leaves both as they are; a server may be running.
func CommitNumber(ctx context.Context, path string) (uint64, error) {
	c, err := readCommits(ctx, path, false)
	if err != nil {
		return 0, fmt.Errorf("read commit number of %s: %w", path, named(path, err))
	}
	return c.number, nil
}

// commits is the row of the table of that name.
type commits struct {
	// number is that of the last write transaction.
	number uint64
	// folded is a number up to which the store file holds everything without its log.
	folded uint64
}

// readCommits reads the row without writing; with fileOnly, what the store file holds without its log.
func readCommits(ctx context.Context, path string, fileOnly bool) (c commits, err error) {
	log, err := os.Stat(path + "-wal")
	// SQLite makes a log to read a file that has none. One that is immutable is read without.
	fileOnly = fileOnly || err != nil || log.Size() == 0
	connector, err := driver.NewConnector(readOnlyDSN(path, fileOnly))
	if err != nil {
		return commits{}, err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	return scanCommits(ctx, db)
}

// scanCommits reads the row; it is all zeros where the schema is older.
func scanCommits(ctx context.Context, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
},
) (commits, error) {
	var tables int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'commits'`).Scan(&tables)
	if err != nil || tables == 0 {
		return commits{}, err
	}
	var c commits
	err = db.QueryRowContext(ctx, `SELECT number, folded FROM commits`).Scan(&c.number, &c.folded)
	return c, err
}

// checkSequence refuses a store that has lost transactions. It runs before anything may write to the file, so that what
// is left of it can be looked at.
func checkSequence(ctx context.Context, path string) error {
	dir := filepath.Dir(path)
	// The file comes first: a commit of another process, between the two, raises the database's number before the file's.
	told, found, err := datadir.ReadSequence(dir)
	if errors.Is(err, datadir.ErrSequenceDamaged) {
		found, err = false, nil // set aside when it is opened
	}
	if err != nil {
		return err
	}
	has, err := readCommits(ctx, path, false)
	if err != nil {
		return damaged(path, err)
	}
	switch fits, base, err := compareLog(ctx, path, has); {
	case err != nil: // what keeps the file from being read is found when it is opened
	case fits == OlderFile:
		return olderFile(path, base.number, has)
	case fits == OlderLog:
		return olderLog(path, base.number, has)
	}
	if found && told > has.number {
		return lostTime(path, has.number, told)
	}
	return nil
}

func lostTime(path string, number, told uint64) error {
	dir := filepath.Dir(path)
	return &UnusableError{
		Path: path,
		Problem: fmt.Sprintf("has lost changes that were answered for: its last one, in this file or its log %s, is number %d, but %s holds %d",
			filepath.Base(path)+"-wal", number, filepath.Join(dir, datadir.Sequence), told),
		Remedy: fmt.Sprintf("batchd check %s says what is lost, batchd repair %s keeps what is left of it; after you have put an older copy there on purpose, "+
			"batchd repair %s --accept-older; it was left as it is", dir, dir, dir),
	}
}

// openSequence opens the sequence file for this store's commits, and tells of one that was missing or damaged.
func (s *Store) openSequence(ctx context.Context, opts Options) error {
	has, err := scanCommits(ctx, s.writer.conn)
	if err != nil {
		return damaged(s.path, err)
	}
	dir := filepath.Dir(s.path)
	path := filepath.Join(dir, datadir.Sequence)
	_, found, _ := datadir.ReadSequence(dir) // opening it says what is wrong with it
	file, kept, err := datadir.OpenSequence(dir, has.number, datadir.Options{OnSync: func() { opts.OnFsync(1) }})
	if err != nil {
		return err
	}
	s.writer.sequence = file
	if kept != "" {
		s.log.ErrorContext(ctx, "sequence file was damaged; a copy is kept, and it was written anew from the database. Whether the database has lost "+
			"changes cannot be told by it this time: batchd check looks for that", "path", path, "kept_as", filepath.Join(dir, kept), "number", has.number)
	} else if !found && has.number > 0 {
		s.log.WarnContext(ctx, "sequence file was missing; it was made anew from the database. Whether the database has lost "+
			"changes cannot be told by it this time: batchd check looks for that", "path", path, "number", has.number)
	}
	return nil
}

// raise gives the running transaction its commit number.
func (w *writer) raise(ctx context.Context, t *tx) (uint64, error) {
	stmt, err := t.prepare(ctx, `UPDATE commits SET number = number + 1, folded = max(folded, ?) RETURNING number`) //nolint:sqlclosecheck // the writer keeps it until its own close
	if err != nil {
		return 0, err
	}
	var number uint64
	err = stmt.QueryRowContext(ctx, w.folded).Scan(&number)
	return number, err
}

// tellSequence writes the number of the last commit into the sequence file. That it cannot be written undoes nothing: the
// commit is on disk, and only a loss of it would not be noticed. The turn is the caller's.
func (s *Store) tellSequence(ctx context.Context) {
	w := s.writer
	err := w.sequence.Raise(w.number)
	switch {
	case err != nil && !w.sequenceFailed:
		s.log.ErrorContext(ctx, "sequence file takes nothing; a loss of what is committed meanwhile would not be noticed", "number", w.number, "error", err)
	case err == nil && w.sequenceFailed:
		s.log.InfoContext(ctx, "sequence file is written again", "number", w.number)
	}
	w.sequenceFailed = err != nil
}
