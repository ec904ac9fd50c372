package vfs_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"

	"batchd/internal/vfs"
	"batchd/internal/vfs/memfs"
	"batchd/internal/vfs/vfstest"
)

const before, after = "what was there", "what replaces it, and is longer"

// file returns what a file holds, "" if it is absent.
func file(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	raw, err := vfstest.ReadFile(fsys, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(raw)
}

// replace puts text into d/name.
func replace(fsys vfs.FS, text string) error {
	f, err := vfs.Replace(fsys, "d/name.new", "d/name", func(f vfs.File) error {
		_, err := f.Write([]byte(text))
		return err
	})
	if err != nil {
		return err
	}
	return f.Close()
}

// prepared returns a disk with a file to replace, and what an earlier try has left.
func prepared(t *testing.T) *memfs.FS {
	t.Helper()
	fsys := memfs.New()
	if err := errors.Join(fsys.MkdirAll("d"), fsys.SyncDir("."), replace(fsys, before)); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Create("d/name.new")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return fsys
}

func TestAReplacedFileIsTheOldOneOrTheNewOneAfterAnyPowerCut(t *testing.T) {
	t.Parallel()
	for cut := 0; ; cut++ {
		fsys := prepared(t)
		fsys.CutPowerAfter(cut)
		done := replace(fsys, after) == nil
		for seed := range uint64(50) {
			got := file(t, fsys.Crash(rand.New(rand.NewPCG(seed, 1))), "d/name")
			if got != after && (done || got != before) {
				t.Errorf("cut after operation %d, done: %v: the file holds %q", cut, done, got)
			}
		}
		if done {
			return
		}
	}
}

func TestAFileIsOldOrNewAndNothingElseIsLeftWhereAnOperationFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("it broke")
	for n := 1; ; n++ {
		fsys := prepared(t)
		first := fsys.Ops()
		var failed string
		fsys.OnOp(func(op memfs.Op) error {
			if op.N == first+n {
				failed = op.Kind
				return broken
			}
			return nil
		})
		err := replace(fsys, after)
		if failed == "" {
			if err != nil {
				t.Errorf("nothing failed: %v", err)
			}
			return
		}
		if !errors.Is(err, broken) || fsys.OpenFiles() != 0 {
			t.Errorf("%s: got %v, %d files are open", failed, err, fsys.OpenFiles())
		}
		if got := file(t, fsys, "d/name"); got != before && failed != "syncdir" {
			t.Errorf("%s: the file holds %q", failed, got)
		}
		if _, err := fsys.Stat("d/name.new"); !errors.Is(err, fs.ErrNotExist) && failed != "remove" {
			t.Errorf("%s: the temporary file is left: %v", failed, err)
		}
	}
}
