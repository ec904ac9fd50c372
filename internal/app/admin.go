package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"batchd/internal/admin"
	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/datadir"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
)

// Administration says how a command works on a data directory.
type Administration struct {
	// Create makes the directory and its store where there are none.
	Create bool
	// UserAgent is what receivers of test events see.
	UserAgent string
	// Logger gets what an operator should know about the store; nil discards it.
	Logger *slog.Logger
}

// Administer lets a command use the metadata store of the settings' data directory, beside a running server as well as
// without one. Where there is none and none is to be made, the error is a *batch.Error of class batch.Invalid: a command
// that changes what is there makes no new directory where the name of one is wrong.
func Administer(ctx context.Context, cfg config.Config, a Administration, use func(*admin.Service) error) error {
	return withStore(ctx, cfg, a.Create, a.Logger, func(st store.Store) error { return use(newAdmin(cfg, st, a.UserAgent, nil)) })
}

// withStore lets a command use the metadata store, as Administer describes it.
func withStore(
	ctx context.Context, cfg config.Config, create bool, logger *slog.Logger, use func(store.Store) error,
) (err error) {
	if found, err := datadir.HasDatabase(cfg.DataDir); !found && err == nil && !create {
		return invalid("there is no batchd data in %s: name the server's data directory with --data-dir", cfg.DataDir)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	// The lock is the executor's, which may be a running server. It is taken only to make a database where there is none,
	// so that of two processes neither puts its own in the place of the other's.
	lock, err := datadir.LockNew(ctx, cfg.DataDir)
	if err != nil {
		return err
	}
	st, err := openStore(ctx, cfg.DataDir, sqlite.Options{Logger: logger})
	if err == nil {
		defer func() { err = errors.Join(err, st.Close()) }()
	}
	if lock != nil {
		err = errors.Join(err, lock.Close())
	}
	if err != nil {
		return err
	}
	return use(st)
}

// newAdmin returns the service of administration over a store. upstreams is nil where no server runs.
func newAdmin(cfg config.Config, st store.Store, userAgent string, upstreams func() []batch.Upstream) *admin.Service {
	return admin.New(admin.Options{
		Store: st, Dialects: config.Dialects(), Guard: guardOf(cfg), Timeout: cfg.Webhooks.Timeout, Upstreams: upstreams,
		UserAgent: userAgent, Now: time.Now,
	})
}
