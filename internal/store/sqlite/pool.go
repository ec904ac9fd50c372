package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	driver "modernc.org/sqlite"
)

const (
	// busyPragma bounds how long a write waits for one of another process, in milliseconds. Such a process is a command
	// that administers the store, whose transactions take milliseconds; ten seconds mean that it hangs.
	busyPragma = "busy_timeout(10000)"
	// minReaders is the least number of connections for reads; more processors get more. Fewer would let one slow list
	// hold up the keys that every request looks up.
	minReaders = 4
)

// dsn returns the driver's name for the file at path, which must exist: SQLite is never the one to create a file.
func dsn(path string, pragmas ...string) string {
	return fileURL(path, url.Values{"mode": {"rw"}, "_pragma": pragmas, "_defensive": {"1"}, "_dqs": {"0"}, "_error_rc": {"1"}})
}

// readOnlyDSN returns the driver's name for the file at path when nothing of it may be written; with fileOnly, what its
// log holds is left out.
func readOnlyDSN(path string, fileOnly bool) string {
	q := url.Values{"mode": {"ro"}, "_pragma": {busyPragma}, "_dqs": {"0"}, "_error_rc": {"1"}}
	if fileOnly {
		q.Set("immutable", "1")
	}
	return fileURL(path, q)
}

func fileURL(path string, q url.Values) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed
	}
	return (&url.URL{Scheme: "file", Path: slashed, RawQuery: q.Encode()}).String()
}

// pool is database/sql with each statement prepared once per connection and kept. Statements are constants of this
// package, so that their number is bounded.
type pool struct {
	db *sql.DB

	// mu guards stmts. It is not held while a statement is prepared: two may prepare the same one, and the second closes
	// its own.
	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

// openReaders opens the connections for reads. They cannot write.
func openReaders(ctx context.Context, path string) (*pool, error) {
	connector, err := driver.NewConnector(dsn(path, busyPragma, "query_only(1)"))
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	n := max(minReaders, runtime.NumCPU())
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	p := &pool{db: db, stmts: make(map[string]*sql.Stmt)}
	if err := p.fill(ctx, n); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return p, nil
}

// fill opens all connections now: one that is opened later may find no descriptor left, or another file under the name.
func (p *pool) fill(ctx context.Context, n int) (err error) {
	for range n {
		var conn *sql.Conn
		if conn, err = p.db.Conn(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, conn.Close()) }() // which gives it back to the pool
	}
	return nil
}

// prepare returns the statement of a query, prepared once; database/sql prepares it again on each connection that
// needs it.
func (p *pool) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.Lock()
	stmt := p.stmts[query]
	p.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.stmts[query]; first != nil {
		return first, stmt.Close() //nolint:sqlclosecheck // it is this one alone that goes
	}
	p.stmts[query] = stmt
	return stmt, nil
}

// query runs a query outside any transaction: it sees what was committed when it began.
func (p *pool) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.prepare(ctx, query) //nolint:sqlclosecheck // the pool keeps it until its own close
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// close closes the statements, then the connections. Reads in progress end with an error of the driver.
func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, stmt := range p.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, p.db.Close())...)
}
