package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"

	"batchd/internal/store"
	"batchd/internal/vfs"
)

// schemaVersion is the number of the last migration; each one sets SQLite's user_version to its own.
const schemaVersion = 6

//go:embed migrations/*.sql
var migrations embed.FS

// create makes a new store beside path and moves it there only when it is whole and on disk. So a crash on the way
// leaves nothing at path, and an empty file there is always a sign of damage.
func create(ctx context.Context, path string, opts Options) error {
	if opts.Tenant == "" {
		opts.Tenant = uuid.NewString()
	}
	dir, name := filepath.Split(path)
	if _, err := os.Stat(dir); err != nil {
		return err // vfs would make it, and a wrong path must not look like an empty store
	}
	fsys, err := vfs.NewOS(dir, vfs.OSOptions{OnSync: func() { opts.OnFsync(1) }})
	if err != nil {
		return err
	}
	temp := path + ".new"
	if err := removeDatabase(temp); err != nil {
		return err
	}
	f, err := vfs.Replace(fsys, name+".new", name, func(vfs.File) error { return fill(ctx, temp, opts.Tenant) })
	if err != nil {
		return errors.Join(err, removeDatabase(temp))
	}
	return f.Close()
}

// fill turns the empty file at path into a store that is wholly in that one file. It leaves syncing to its caller:
// with synchronous(OFF) the migrations take a few milliseconds instead of an fsync each, and a crash leaves only
// garbage of a name that the next start removes.
func fill(ctx context.Context, path, tenant string) error {
	db, err := openPlain(path, "synchronous(OFF)", "journal_mode(WAL)")
	if err != nil {
		return err
	}
	if err := migrate(ctx, db); err != nil {
		return errors.Join(err, db.Close())
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID)); err != nil {
		return errors.Join(err, db.Close())
	}
	// The tenant that everything belongs to while there are no keys.
	_, err = db.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ('default_tenant', ?)`, tenant)
	if err == nil {
		_, err = db.ExecContext(ctx, `INSERT INTO tenants (id, name, created_at, callback_secret) VALUES (?, ?, ?, ?)`,
			tenant, store.DefaultTenantName, time.Now().UnixNano(), store.NewSecret())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store the default tenant: %w", err), db.Close())
	}
	return db.Close() // folds the write-ahead log in and removes it
}

// upgrade brings the schema of an existing store up to schemaVersion. Each migration is a transaction of its own that
// sets user_version too, so that a crash between two leaves a version that is known.
func upgrade(ctx context.Context, path string) error {
	db, err := openPlain(path, "synchronous(FULL)")
	if err != nil {
		return err
	}
	return errors.Join(migrate(ctx, db), db.Close())
}

// openPlain opens a connection for changing the schema, with one connection so that pragmas hold for every statement.
func openPlain(path string, pragmas ...string) (*sql.DB, error) {
	connector, err := driver.NewConnector(dsn(path, append(pragmas, busyPragma, "foreign_keys(1)")...))
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	return db, nil
}

// migrate runs the migrations that the database has not seen.
func migrate(ctx context.Context, db *sql.DB) error {
	scripts, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, scripts, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema: %w", err)
	}
	return nil
}

// removeDatabase removes what a creation that crashed has left, with the logs that SQLite keeps beside a file: one left
// behind would be replayed into the next file of this name.
func removeDatabase(path string) error {
	for _, suffix := range fileSuffixes {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
