package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	driver "modernc.org/sqlite"

	"batchd/internal/datadir"
	"batchd/internal/store"
)

// Group commit: a write joins the queue and waits for the writer's turn. Whoever gets the turn takes the oldest steps
// out of the queue, runs them in one transaction, commits, and closes their done channels, which wakes the others. So
// there is no writer goroutine to start, stop or lose, and a lone write commits at once. docs/adr/0009-group-commit.md
// has the figures.

// groupMost is how many steps one transaction takes in: enough to share an fsync, few enough to bound how long the
// first of them waits for the last.
const groupMost = 32

// longLog is the size of the write-ahead log at which it is folded into the file: SQLite's own 1,000 pages, each with a
// header of 24 bytes. A longer log makes reads slower and the next start longer, a shorter one costs more fsyncs.
const longLog = 1000 * (4096 + 24)

// writer is the one connection that writes. SQLite takes one write at a time anyway; queueing here, where a context
// can end the wait, beats queueing in SQLite, which can only poll.
type writer struct {
	path     string
	db       *sql.DB
	contents *contents
	onCommit func()
	onFsync  func(int)
	onFault  func(error)
	reserve  Reserve
	guard    func() error

	// queue holds the steps that wait for a transaction. It has a lock of its own, so that steps can join while others
	// are committed.
	queue queue
	// turn holds a token while somebody commits steps; it guards all that follows. It is a channel and not a mutex
	// because the wait for it must end with a context, or when the store is closed.
	turn  chan struct{}
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	// checkpointAt is the length of the log at which the next checkpoint is due.
	checkpointAt int64
	// number is that of the last commit of this process, and folded one up to which the log was folded in; sequence tells
	// later starts of the commits.
	number, folded uint64
	sequence       *datadir.SequenceFile
	// logSeen is how long the log was after our last commit but one, and seenAt that one's number.
	logSeen int64
	seenAt  uint64
	// sequenceFailed is set while the number of the last commit could not be written.
	sequenceFailed bool
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
	files, err := openContents(path)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close(), files.close())
	}
	return &writer{
		path: path, db: db, contents: files, conn: conn, onCommit: opts.OnCommit, onFsync: opts.OnFsync, onFault: opts.OnFault,
		reserve: opts.Reserve, guard: opts.Guard, turn: make(chan struct{}, 1), stmts: make(map[string]*sql.Stmt), checkpointAt: longLog,
	}, nil
}

// step is a write on its way into a transaction.
type step struct {
	ctx context.Context
	fn  func(context.Context, *tx) error
	// reserved is set for a step that may use the reserve.
	reserved bool
	// err is the step's result. It is set by whoever holds the turn, and read once done, which the same one closes, is
	// closed.
	err  error
	done chan struct{}
}

// queue is the steps that nobody has begun, oldest first. Its methods may be called concurrently.
type queue struct {
	// mu guards steps.
	mu    sync.Mutex
	steps []*step
}

// add puts a step at the end.
func (q *queue) add(s *step) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.steps = append(q.steps, s)
}

// withdraw takes a step out again and reports whether it was still there.
func (q *queue) withdraw(s *step) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.steps, s)
	if i >= 0 {
		q.steps = slices.Delete(q.steps, i, i+1)
	}
	return i >= 0
}

// take removes the oldest steps, as many as go into one transaction. Once taken, a step can no longer be withdrawn.
func (q *queue) take() []*step {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.steps), groupMost)
	group := slices.Clone(q.steps[:n])
	q.steps = slices.Delete(q.steps, 0, n)
	return group
}

// write runs fn as one atomic step and returns when it is durable. Steps that wait at the same time share a
// transaction, and so its fsync: whoever gets the turn commits for all. The context ends the wait; a step that has
// begun is finished, because cutting it off would leave the caller not knowing whether it was done.
func (s *Store) write(ctx context.Context, fn func(context.Context, *tx) error) error {
	return s.run(ctx, &step{fn: fn})
}

// run has a step committed, by itself or by whoever has the turn.
func (s *Store) run(ctx context.Context, mine *step) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := s.writer
	if w == nil {
		return errReadOnly
	}
	// Once begun, the step runs without the caller's cancellation, but with its values.
	mine.ctx, mine.done = context.WithoutCancel(ctx), make(chan struct{})
	w.queue.add(mine)
	for {
		var gaveUp error
		select {
		case <-mine.done:
			return mine.err
		case <-s.closing:
			gaveUp = errClosed
		case <-ctx.Done():
			gaveUp = ctx.Err()
		case w.turn <- struct{}{}:
			// Our step may be beyond the group that we commit. Then we wait again, and someone else's turn may come
			// first.
			s.lead(ctx)
			<-w.turn
			continue
		}
		if w.queue.withdraw(mine) {
			return gaveUp
		}
		<-mine.done // begun, so it is finished
		return mine.err
	}
}

// lead commits the oldest steps of the queue. The turn is the caller's.
func (s *Store) lead(ctx context.Context) {
	group := s.writer.queue.take()
	if len(group) == 0 {
		return // somebody else has committed our step meanwhile
	}
	if s.writer.commit(group) {
		s.tellSequence(ctx)
	}
	// The checkpoint comes before the callers are woken, so that it cannot fall behind: who writes much waits for it.
	if err := s.writer.checkpointIfLong(context.WithoutCancel(ctx)); err != nil {
		// The steps themselves are durable, and the next ones try again.
		s.log.ErrorContext(ctx, "fold write-ahead log", "path", s.path, "error", err)
	}
	for _, st := range group {
		close(st.done)
	}
}

// attempt runs steps in one transaction and sets what became of each. A fault of the transaction is that of every step that
// has none of its own. Where SQLite has rolled the whole back for want of room in one step, that is the fault. It
// reports whether anything was committed.
func (w *writer) attempt(group []*step) bool {
	if err := w.guard(); err != nil {
		for _, st := range group {
			st.err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		return false
	}
	ctx := group[0].ctx
	changed, err := w.transact(ctx, group)
	if err == nil {
		if changed {
			w.onCommit()
			w.onFsync(1)
		}
		return changed
	}
	for _, st := range group {
		if st.err != nil && w.outOfSpace(st.err) {
			err = st.err
		}
	}
	w.onFault(err)
	// SQLite may have rolled back by itself, and then this fails. A transaction left open would make every later BEGIN
	// fail.
	_, _ = (&tx{w: w}).exec(ctx, `ROLLBACK`)
	for _, st := range group {
		if st.err == nil {
			st.err = err
		}
	}
	return false
}

// transact runs the steps and commits what they changed; an error is one of the transaction. Where nothing was
// changed it is rolled back, so that asking in vain costs no fsync.
func (w *writer) transact(ctx context.Context, group []*step) (changed bool, err error) {
	t := &tx{w: w}
	// IMMEDIATE takes the write lock now: a transaction that read first and then asked for it could be refused at once,
	// without the wait of the busy timeout, because another process had written in between.
	if _, err := t.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	for _, st := range group {
		did, err := w.runStep(st, len(group) > 1)
		if err != nil {
			return false, err
		}
		changed = changed || did
	}
	if !changed {
		if _, err := t.exec(ctx, `ROLLBACK`); err != nil {
			return false, fmt.Errorf("commit: %w", err)
		}
		return false, nil
	}
	number, err := w.raise(ctx, t)
	if err != nil {
		return false, fmt.Errorf("number the commit: %w", err)
	}
	if _, err := t.exec(ctx, `COMMIT`); err != nil {
		return false, fmt.Errorf("commit: %w", err)
	}
	w.number = number
	return true, nil
}

// runStep runs one step and reports whether it changed anything. A step among others stands in a savepoint, so that
// its failure undoes nothing but itself.
func (w *writer) runStep(st *step, shared bool) (bool, error) {
	// Each step has a tx of its own, since changed is asked step by step. A lone step needs no savepoint: what fails is
	// rolled back with the transaction.
	t := &tx{w: w}
	if shared {
		if _, err := t.exec(st.ctx, `SAVEPOINT step`); err != nil {
			return false, fmt.Errorf("begin step: %w", err)
		}
	}
	st.err = st.fn(st.ctx, t)
	did := st.err == nil && t.changed
	if !shared {
		return did, nil
	}
	if !did {
		if _, err := t.exec(st.ctx, `ROLLBACK TO step`); err != nil {
			return false, fmt.Errorf("undo step: %w", err)
		}
	}
	if _, err := t.exec(st.ctx, `RELEASE step`); err != nil {
		return false, fmt.Errorf("end step: %w", err)
	}
	return did, nil
}

// checkpointIfLong folds the log into the file once it has grown by longLog. Where a reader keeps it from being
// folded whole, the next try waits until it has grown as much again.
func (w *writer) checkpointIfLong(ctx context.Context) error {
	size, err := w.logSize()
	if err != nil {
		return err
	}
	if size < w.logSeen {
		// Another process has folded the log in whole, with what we had committed before.
		w.folded = max(w.folded, w.seenAt)
	}
	w.logSeen, w.seenAt = size, w.number
	if size < w.checkpointAt {
		return nil
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
// for no reader. It costs an fsync of the log and one of the file, and one before of the cleared checksum; the log's new
// header will cost another.
func (w *writer) checkpoint(ctx context.Context) (bool, error) {
	before, err := scanCommits(ctx, w.conn)
	if err != nil {
		return false, err
	}
	size, err := w.logSize()
	if err != nil {
		return false, err
	}
	if size == 0 {
		w.folded = before.number
		return true, nil
	}
	folded, fsyncs, err := w.contents.change(ctx, foldWait, func() (bool, error) { return w.fold(ctx) })
	if fsyncs > 0 {
		w.onFsync(fsyncs)
	}
	if folded {
		w.folded, w.logSeen = before.number, 0
	}
	if errors.Is(err, errFolding) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("checkpoint: %w", err)
	}
	return folded, nil
}

// fold is the checkpoint itself.
func (w *writer) fold(ctx context.Context) (bool, error) {
	var busy, frames, copied int64
	if err := w.conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &frames, &copied); err != nil {
		return false, err
	}
	// A whole log costs the fsync of the log, of the file, and of the header by which the next write begins the log
	// anew; of a part only the log's is certain.
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
	if w.sequence != nil {
		errs = append(errs, w.sequence.Close())
	}
	return errors.Join(append(errs, w.conn.Close(), w.db.Close(), w.contents.close())...)
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
