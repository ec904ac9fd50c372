// Package sqlite keeps the metadata of a single node in one SQLite file. It promises what package store does: each
// method is one atomic step, on disk when it returns; steps that wait at the same time share a transaction and its
// fsync (group commit). Writes go through one connection; reads run beside them on a pool and never write. A store file
// appears whole or not at all, and one that is damaged, foreign or newer is refused, never made anew. The lock on the
// data directory stands for every lease; who opens the store to execute batches holds it. The package does no
// scheduling, knows no wire shapes and opens no blob.
//
// Locks. A write waits for the turn of the writer, and whoever holds it runs the steps of all that wait; it guards the
// one connection that writes. queue.mu and pool.mu guard a slice and a map: each is held briefly, with the turn or
// without, and nothing else is locked while it is. A step must not call a method of the Store that writes: it would
// wait for the turn that it runs under.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"batchd/internal/store"
)

// Store implements store.Store on one file. All methods may be called concurrently. A process opens a file once at
// a time; other processes may have it open as well, and their writes queue with ours for at most ten seconds.
type Store struct {
	path   string
	tenant string
	log    *slog.Logger
	// writer is nil if the store was opened for reading only.
	writer  *writer
	readers *pool

	closing   chan struct{} // closed by Close: no new step may begin
	closeOnce sync.Once
	closeErr  error
}

var _ store.Store = (*Store)(nil)

// Options configures a Store. The zero value opens an existing file silently.
type Options struct {
	// Logger gets what an operator should know about the file; nil discards it.
	Logger *slog.Logger
	// MayCreate lets Open make a new store where there is no file. The caller decides, because only it can see
	// whether the data directory holds anything that proves that a store was there before.
	MayCreate bool
	// LostTime opens a store that has lost changes that were answered for, which is refused otherwise. It is for repair,
	// which sets the sequence file right when it has done what it can.
	LostTime bool
	// Tenant is the UUID of the default tenant of a new store; "" mints one. An existing store keeps its own.
	Tenant string
	// OnCommit is called once for each committed write transaction, and OnFsync with the number of fsyncs that a
	// commit or a checkpoint asked of the disk. They run while other writers wait: they must be quick and must not
	// use the store. Either may be nil.
	OnCommit func()
	OnFsync  func(n int)
	// Guard, if set, returns an error while nothing may be written; every write then fails with store.ErrUnavailable. It must
	// be quick.
	Guard func() error
	// OnFault is called in the same way with the error of a transaction that could not be begun or committed: nothing
	// was written, as far as is known.
	OnFault func(error)
	// Reserve is for writes that make room on a full disk; nil is none.
	Reserve Reserve
}

func (o *Options) fillDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnCommit == nil {
		o.OnCommit = func() {}
	}
	if o.OnFsync == nil {
		o.OnFsync = func(int) {}
	}
	if o.Guard == nil {
		o.Guard = func() error { return nil }
	}
	if o.OnFault == nil {
		o.OnFault = func(error) {}
	}
	if o.Reserve == nil {
		o.Reserve = noReserve{}
	}
}

// errClosed is returned by methods that are called after Close.
var errClosed = errors.New("store is closed")

// Open opens the store in the file at path, making it first if there is none and opts allow that, and brings an
// older schema up to date. A file that cannot be trusted is an *UnusableError and is left as it is. Open does not
// lock the data directory: commands that only administer the store may open it beside a running server. The one who
// executes batches must hold the lock on the directory, which package datadir takes.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	opts.fillDefaults()
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	// From here on SQLite is let near the file only if the look at its header has found nothing wrong.
	found, err := inspect(path, opts.MayCreate)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if !found {
		if err := create(ctx, path, opts); err != nil {
			return nil, fmt.Errorf("create store: %w", err)
		}
		opts.Logger.InfoContext(ctx, "store created", "path", path)
	}
	if err := checkFiles(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if !opts.LostTime {
		if err := checkSequence(ctx, path); err != nil {
			return nil, fmt.Errorf("open store: %w", named(path, err))
		}
	}
	if err := checkContents(ctx, path, opts.Logger); err != nil {
		return nil, fmt.Errorf("open store: %w", named(path, err))
	}
	s, err := connect(ctx, path, opts)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", named(path, err))
	}
	return s, nil
}

// connect opens a file that has passed inspection. The writer comes first, because only it may replay a log that a
// crash has left; readers open what it finds good.
func connect(ctx context.Context, path string, opts Options) (*Store, error) {
	w, err := openWriter(ctx, path, opts)
	if err != nil {
		return nil, damaged(path, err)
	}
	s := &Store{path: path, log: opts.Logger, writer: w, closing: make(chan struct{})}
	err = s.prepare(ctx)
	if err == nil {
		err = s.openSequence(ctx, opts)
	}
	if err == nil {
		err = s.openContents(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	if s.readers, err = openReaders(ctx, path); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return s, nil
}

// prepare does everything that must be right before the first step: the file is sound, the schema is ours and
// current, the default tenant is known.
func (s *Store) prepare(ctx context.Context) error {
	version, err := checkFile(ctx, s.writer)
	if err != nil {
		return err
	}
	if version < schemaVersion {
		s.log.InfoContext(ctx, "upgrading store", "path", s.path, "from", version, "to", schemaVersion)
		_, _, err := s.writer.contents.change(ctx, upgradeWait, func() (bool, error) { return false, upgrade(ctx, s.path) })
		if err != nil {
			return err
		}
	}
	row := s.writer.conn.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'default_tenant'`)
	if err := row.Scan(&s.tenant); err != nil {
		return damaged(s.path, err)
	}
	return nil
}

// DefaultTenant returns the UUID of the tenant that was minted with the store. It was read when the store was opened.
func (s *Store) DefaultTenant(context.Context) (string, error) { return s.tenant, nil }

// Probe implements store.Store.
func (s *Store) Probe(ctx context.Context) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.change(ctx, `UPDATE meta SET value = value WHERE key = 'default_tenant'`)
		return err
	})
	if err != nil {
		return fmt.Errorf("probe store: %w", err)
	}
	return nil
}

// Close waits for running steps, folds the write-ahead log into the file and closes it. Methods that are called later
// fail. Closing twice is no error.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		// From here on waiting steps give up. A step that has begun is finished: the writer's close waits for its turn.
		close(s.closing)
		s.closeErr = s.readers.close()
		if s.writer != nil {
			s.closeErr = errors.Join(s.closeErr, s.writer.close())
		}
		if s.closeErr != nil {
			s.closeErr = fmt.Errorf("close store: %w", s.closeErr)
		}
	})
	return s.closeErr
}
