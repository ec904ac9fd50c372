package datadir_test

import (
	"errors"
	"io/fs"
	"testing"

	"batchd/internal/datadir"
	"batchd/internal/vfs"
	"batchd/internal/vfs/memfs"
	"batchd/internal/vfs/vfstest"
)

// write makes a file, durably.
func write(t *testing.T, fsys vfs.FS, dir, name, content string) {
	t.Helper()
	must(t, fsys.MkdirAll(dir))
	f, err := fsys.Create(dir + "/" + name)
	must(t, err)
	_, err = f.Write([]byte(content))
	must(t, errors.Join(err, f.Sync(), f.Close(), fsys.SyncDir(dir), fsys.SyncDir(".")))
}

// contents returns what a file holds, "" if it is not there.
func contents(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	raw, err := vfstest.ReadFile(fsys, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(raw)
}

func TestD12WhatIsSetAsideReplacesNothing(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	write(t, fsys, "lost", "a", "an older one")
	write(t, fsys, "lost", "a.2", "another")
	write(t, fsys, "journals", "a", "new")
	kept, err := datadir.SetAside(fsys, "journals/a", "a")
	must(t, err)
	if kept != "lost/a.3" || contents(t, fsys, kept) != "new" || contents(t, fsys, "journals/a") != "" {
		t.Errorf("it is kept as %s: %q", kept, contents(t, fsys, kept))
	}
	if contents(t, fsys, "lost/a") != "an older one" || contents(t, fsys, "lost/a.2") != "another" {
		t.Error("what was there has changed")
	}
}

// TestD12PowerLossWhileAFileIsSetAsideLosesNoneOfIt cuts the power after each disk operation.
func TestD12PowerLossWhileAFileIsSetAsideLosesNoneOfIt(t *testing.T) {
	t.Parallel()
	for after := 0; ; after++ {
		fsys := memfs.New()
		write(t, fsys, "journals", "a", "results")
		fsys.CutPowerAfter(after)
		_, err := datadir.SetAside(fsys, "journals/a", "a")
		if err != nil && !errors.Is(err, memfs.ErrPowerCut) {
			t.Fatal(err)
		}
		for name, image := range map[string]*memfs.FS{"nothing": fsys.CrashKeepingNothing(), "all": fsys.CrashKeepingAll()} {
			before, now := contents(t, image, "journals/a"), contents(t, image, "lost/a")
			if before != "results" && now != "results" {
				t.Errorf("cut after operation %d, keeping %s: %q and %q are left", after, name, before, now)
			}
			if err == nil && now != "results" {
				t.Errorf("set aside, and then lost, keeping %s", name)
			}
		}
		if err == nil {
			if after < 5 {
				t.Fatalf("it took %d disk operations: nothing was tested", after)
			}
			return
		}
	}
}
