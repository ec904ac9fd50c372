package datadir_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/datadir"
	"batchd/internal/vfs"
)

func TestADirectoryThatIsTakenAwayIsNoticed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a file that is in use cannot be moved there")
	}
	root := filepath.Join(t.TempDir(), "data")
	d, err := datadir.Open(root, datadir.Options{})
	must(t, err)
	defer func() { must(t, d.Close()) }()
	must(t, d.Present())
	lock, away := filepath.Join(root, datadir.LockFile), root+".away"
	for name, c := range map[string]struct{ take, bring func() error }{
		"moved":    {func() error { return os.Rename(root, away) }, func() error { return os.Rename(away, root) }},
		"replaced": {func() error { return errors.Join(os.Rename(root, away), os.Mkdir(root, 0o700)) }, func() error { return errors.Join(os.Remove(root), os.Rename(away, root)) }},
		"emptied":  {func() error { return os.Rename(lock, away) }, func() error { return os.Rename(away, lock) }},
		"another lock": {
			func() error { return errors.Join(os.Rename(lock, away), os.WriteFile(lock, nil, 0o600)) },
			func() error { return os.Rename(away, lock) },
		},
	} {
		must(t, c.take())
		if err := d.Present(); !errors.Is(err, vfs.ErrRootGone) {
			t.Errorf("%s: %v", name, err)
		}
		must(t, c.bring())
		if err := d.Present(); err != nil {
			t.Errorf("%s, and brought back: %v", name, err)
		}
	}
}

func TestThatADirectoryIsGoneIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		var logs bytes.Buffer
		p := datadir.NewPresence(func() error {
			if away.Load() {
				return vfs.ErrRootGone
			}
			return nil
		}, slog.New(slog.NewTextHandler(&logs, nil)), time.Now)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { p.Run(ctx) })
		wait := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		for round := range 2 {
			wait(time.Minute)
			if p.Gone() != nil {
				t.Error("gone while it is there")
			}
			away.Store(true)
			wait(2 * time.Second)
			if !errors.Is(p.Gone(), vfs.ErrRootGone) {
				t.Errorf("gone: %v", p.Gone())
			}
			wait(time.Minute)
			away.Store(false)
			wait(2 * time.Second)
			gone, back := strings.Count(logs.String(), "level=ERROR"), strings.Count(logs.String(), "level=WARN")
			if gone != round+1 || back != round+1 || p.Gone() != nil {
				t.Errorf("told %d times that it is gone and %d times that it is back:\n%s", gone, back, &logs)
			}
		}
		stop()
		running.Wait()
	})
}
