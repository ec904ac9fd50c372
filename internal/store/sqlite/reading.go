package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	driver "modernc.org/sqlite"
)

// errReadOnly is returned by methods that write to a store that was opened for reading.
var errReadOnly = errors.New("store was opened for reading only")

// OpenForReading opens the store in the file at path so that nothing of it can be written, neither the file nor its log;
// methods that write fail. With a process that has the store open, what it commits is seen. Without one there must be no
// log, since to read one that a crash has left SQLite would write: alone says that it is so, and then nothing may open the
// store meanwhile. A file that cannot be trusted, or whose schema is not the current one, is an *UnusableError.
func OpenForReading(ctx context.Context, path string, alone bool) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if _, err := inspect(path, false); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	connector, err := driver.NewConnector(readOnlyDSN(path, alone))
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(minReaders)
	db.SetMaxIdleConns(minReaders)
	s := &Store{path: path, readers: &pool{db: db, stmts: make(map[string]*sql.Stmt)}, closing: make(chan struct{})}
	if err := s.prepareReading(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", damaged(path, err)), db.Close())
	}
	return s, nil
}

// prepareReading is prepare for a store that may not be written to.
func (s *Store) prepareReading(ctx context.Context) error {
	conn, err := s.readers.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // goes back to the pool
	version, err := checkVersion(ctx, conn, s.path)
	if err != nil {
		return err
	}
	if version < schemaVersion {
		return &UnusableError{
			Path:    s.path,
			Problem: fmt.Sprintf("was written by an older version of batchd (schema %d, this one knows %d)", version, schemaVersion),
			Remedy:  "use the version that runs on it",
		}
	}
	return conn.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'default_tenant'`).Scan(&s.tenant)
}
