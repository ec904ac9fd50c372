package datadir_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"batchd/internal/datadir"
)

func TestADirectoryIsMadeLockedAndPrepared(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "data")
	d, err := datadir.Open(path, datadir.Options{})
	must(t, err)
	var locked *datadir.LockedError
	if _, err := datadir.Open(path, datadir.Options{}); !errors.As(err, &locked) {
		t.Errorf("opened twice: got %v", err)
	}
	must(t, os.Mkdir(d.Path(datadir.Temp), 0o700))
	left := d.Path(filepath.Join(datadir.Temp, "left"))
	must(t, os.WriteFile(left, nil, 0o600))
	must(t, d.Prepare())
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a temporary file outlived its process: %v", err)
	}
	if info, err := os.Stat(d.Path(datadir.Journals)); err != nil || !info.IsDir() {
		t.Errorf("there is no directory of journals: %v", err)
	}
	must(t, d.Close())
	d, err = datadir.Open(path, datadir.Options{})
	must(t, err)
	must(t, d.Close())
}

func TestBlobsAndJournalsShowThatADatabaseWasThere(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	check := func(what string, want bool) {
		t.Helper()
		if got, err := datadir.Untouched(path); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
		}
	}
	check("empty", true)
	must(t, os.WriteFile(filepath.Join(path, datadir.LockFile), nil, 0o600))
	for _, name := range []string{datadir.Journals, datadir.Blobs, datadir.Temp} {
		must(t, os.Mkdir(filepath.Join(path, name), 0o700))
	}
	must(t, os.WriteFile(filepath.Join(path, datadir.Temp, "x"), nil, 0o600))
	check("prepared", true)
	for _, name := range []string{datadir.Journals, datadir.Blobs} {
		file := filepath.Join(path, name, "x")
		must(t, os.WriteFile(file, nil, 0o600))
		check("with something in "+name, false)
		must(t, os.Remove(file))
	}
	must(t, os.Remove(filepath.Join(path, datadir.Blobs)))
	must(t, os.WriteFile(filepath.Join(path, datadir.Blobs), nil, 0o600))
	if _, err := datadir.Untouched(path); err == nil {
		t.Error("a file in the place of the blobs is no fault")
	}
}

func TestOnlyADirectoryWithoutADatabaseIsLockedToMakeOne(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	lock, err := datadir.LockNew(t.Context(), path)
	must(t, err)
	if lock == nil {
		t.Fatal("there is no database, and no lock was taken")
	}
	made := make(chan *datadir.Lock)
	go func() { // ends with the test: the lock is given back below
		second, err := datadir.LockNew(t.Context(), path)
		if err != nil {
			t.Error(err)
		}
		made <- second
	}()
	must(t, os.WriteFile(filepath.Join(path, datadir.Database), nil, 0o600))
	must(t, lock.Close())
	if second := <-made; second != nil {
		t.Error("whoever waited for the database to be made took the lock to make it again")
		must(t, second.Close())
	}
}

func TestTheDiskIsProbedWithoutATrace(t *testing.T) {
	t.Parallel()
	d, err := datadir.Open(t.TempDir(), datadir.Options{})
	must(t, err)
	defer func() { must(t, d.Close()) }()
	if d.Probe() == nil {
		t.Error("there is no directory to write into, and it worked")
	}
	must(t, d.Prepare())
	left := d.Path(filepath.Join(datadir.Temp, "probe"))
	must(t, os.WriteFile(left, []byte("of a probe before"), 0o600))
	must(t, d.Probe())
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the probe is still there: %v", err)
	}
}
