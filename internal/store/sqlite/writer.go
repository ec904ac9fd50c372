package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	driver "modernc.org/sqlite"
)

// longLog is the size of the write-ahead log at which it is folded into the file: SQLite's own 1,000 pages, each with a
// header of 24 bytes. A longer log makes reads slower and the next start longer, a shorter one costs more fsyncs.
const longLog = 1000 * (4096 + 24)

// writer is the one connection that writes. SQLite takes one write at a time anyway; queueing here, where a context
// can end the wait, beats queueing in SQLite, which can only poll.
type writer struct {
	path     string
	db       *sql.DB
	onCommit func()
	onFsync  func(int)
	onFault  func(error)

	// queue holds the steps that wait for a transaction. It has a lock of its own, so that steps can join while others are
	// committed.
	queue queue
	// turn holds a token while somebody commits steps; it guards all that follows. It is a channel and not a mutex because
	// the wait for it must end with a context, or when the store is closed.
	turn  chan struct{}
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	// checkpointAt is the length of the log at which the next checkpoint is due.
	checkpointAt int64
}

// openWriter opens the connection for writes. Automatic checkpoints are off, because their fsyncs could not be
// counted. The size limit of zero makes SQLite cut the log when it begins it anew, so that its length shows how much
// is in it.
func openWriter(ctx context.Context, path string, opts Options) (*writer, error) {
	connector, err := driver.NewConnector(dsn(path, busyPragma, "journal_mode(WAL)", "synchronous(FULL)",
		"foreign_keys(1)", "wal_autocheckpoint(0)", "journal_size_limit(0)"))
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &writer{
		path: path, db: db, conn: conn, onCommit: opts.OnCommit, onFsync: opts.OnFsync, onFault: opts.OnFault,
		turn: make(chan struct{}, 1), stmts: make(map[string]*sql.Stmt), checkpointAt: longLog,
	}, nil
}

// checkpointIfLong folds the log into the file once it has grown by longLog. Where a reader keeps it from being
// folded whole, the next try waits until it has grown as much again.
func (w *writer) checkpointIfLong(ctx context.Context) error {
	size, err := w.logSize()
	if err != nil || size < w.checkpointAt {
		return err
	}
	folded, err := w.checkpoint(ctx)
	w.checkpointAt = longLog
	if !folded {
		w.checkpointAt += size
	}
	return err
}

// logSize returns the length of the write-ahead log, 0 if there is none.
func (w *writer) logSize() (int64, error) {
	info, err := os.Stat(w.path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// checkpoint copies the log into the file as far as readers allow, and reports whether that was all of it. It waits
// for nobody. It costs an fsync of the log and one of the file; the log's new header will cost another.
func (w *writer) checkpoint(ctx context.Context) (bool, error) {
	size, err := w.logSize()
	if err != nil || size == 0 {
		return err == nil, err
	}
	var busy, frames, copied int64
	if err := w.conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &frames, &copied); err != nil {
		return false, fmt.Errorf("checkpoint: %w", err)
	}
	// A whole log costs the fsync of the log, of the file, and of the header by which the next write begins the log anew;
	// of a part only the log's is certain.
	folded := busy == 0 && frames == copied
	if folded {
		w.onFsync(3)
	} else if copied > 0 {
		w.onFsync(1)
	}
	return folded, nil
}

// close waits for the writer at work, folds the log in and closes the connection. SQLite removes the log when the
// last connection of all goes. The turn is not given back.
func (w *writer) close() error {
	w.turn <- struct{}{}
	// Closing must not be cut short by whoever's context has ended: a log that is left makes the next start slower.
	_, err := w.checkpoint(context.Background())
	errs := []error{err}
	for _, stmt := range w.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, w.conn.Close(), w.db.Close())...)
}

// tx is a running write transaction, in the hands of one step. Whoever has it has the turn.
type tx struct {
	w *writer
	// changed is set once a statement has changed a row: a transaction that has changed nothing is not committed.
	changed bool
}

// prepare returns a statement of the writer's connection, prepared once. The turn guards the map.
func (t *tx) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := t.w.stmts[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := t.w.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	t.w.stmts[query] = stmt
	return stmt, nil
}

// exec runs a statement and returns how many rows it changed. It does not set changed: it is for what begins and ends
// transactions.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	stmt, err := t.prepare(ctx, query) //nolint:sqlclosecheck // the writer keeps it until its own close
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// change runs a statement that writes and returns how many rows it changed.
func (t *tx) change(ctx context.Context, query string, args ...any) (int64, error) {
	n, err := t.exec(ctx, query, args...)
	t.changed = t.changed || n > 0
	return n, err
}

// query runs a query inside the transaction.
func (t *tx) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := t.prepare(ctx, query) //nolint:sqlclosecheck // the writer keeps it until its own close
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}
