package datadir

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"batchd/internal/vfs"
)

// presenceEvery is how often a Presence looks.
const presenceEvery = time.Second

// Present returns nil while the directory is the one that was opened, with the lock in it that this process holds. Else it
// was removed, emptied or replaced, or what was mounted there is not, and the error wraps vfs.ErrRootGone.
func (d *Dir) Present() error {
	if err := d.disk.Present(); err != nil {
		return err
	}
	path := filepath.Join(d.disk.Root(), LockFile)
	there, err := os.Stat(path)
	if err != nil && !os.IsNotExist(err) {
		return nil // nothing can be said; what is tried in the directory says more
	}
	ours, statErr := d.lock.file.Stat()
	if statErr != nil {
		return fmt.Errorf("look at the lock: %w", statErr)
	}
	if err != nil || !os.SameFile(there, ours) {
		return fmt.Errorf("%s is not the lock of this process: %w", path, vfs.ErrRootGone)
	}
	return nil
}

// Presence watches whether a data directory is there. Its methods may be called concurrently.
type Presence struct {
	check  func() error
	logger *slog.Logger
	now    func() time.Time
	gone   atomic.Pointer[error]
}

// NewPresence watches by check, which is Dir.Present, and logs what changes. It takes the directory to be there until it is
// run.
func NewPresence(check func() error, logger *slog.Logger, now func() time.Time) *Presence {
	return &Presence{check: check, logger: logger, now: now}
}

// Gone returns why the directory is not there, as of the last look; nil while it is.
func (p *Presence) Gone() error {
	if err := p.gone.Load(); err != nil {
		return *err
	}
	return nil
}

// Run looks once a second until ctx ends.
func (p *Presence) Run(ctx context.Context) {
	tick := time.NewTicker(presenceEvery)
	defer tick.Stop()
	var since time.Time
	for {
		err := p.check()
		switch {
		case err != nil && since.IsZero():
			since = p.now()
			p.gone.Store(&err)
			p.logger.Error("data directory is gone, or another one stands in its place: nothing is sent, taken or stored until it is back; "+
				"if it does not come back, stop the server and restore the directory", "error", err)
		case err == nil && !since.IsZero():
			p.gone.Store(nil)
			p.logger.Warn("data directory is back; work goes on", "after", p.now().Sub(since).Round(time.Second))
			since = time.Time{}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
