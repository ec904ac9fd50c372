package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/store/sqlite"
)

func TestAStoreThatIsOpenedForReadingIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	path := filepath.Join(place, "batchd.db")
	s := openWith(t, place, sqlite.Options{})
	addFile(t, s, "file-1")
	beside, err := sqlite.OpenForReading(t.Context(), path, false)
	must(t, err)
	addFile(t, s, "file-2")
	files, err := beside.AllFiles(t.Context(), 0, 9)
	must(t, err)
	if len(files) != 2 {
		t.Errorf("beside the writer %d files are seen, want both", len(files))
	}
	if err := beside.CreateFile(t.Context(), batch.File{ID: "file-3"}); err == nil {
		t.Error("it was written to")
	}
	must(t, beside.Close())
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		t.Errorf("the log has gone: %v", err)
	}
	must(t, s.Close())
	before := snapshot(t, path)
	alone, err := sqlite.OpenForReading(t.Context(), path, true)
	must(t, err)
	if files, err = alone.AllFiles(t.Context(), 0, 9); err != nil || len(files) != 2 {
		t.Errorf("alone %d files are seen, %v", len(files), err)
	}
	must(t, alone.Close())
	if snapshot(t, path) != before {
		t.Error("the file has changed")
	}
	if entries, err := os.ReadDir(place); err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	raw(t, path, `PRAGMA user_version = 1`)
	var refused *sqlite.UnusableError
	if _, err := sqlite.OpenForReading(t.Context(), path, true); !errors.As(err, &refused) {
		t.Errorf("an older schema: got %v", err)
	}
}

func TestDamageInsideAStoreIsFound(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	path := filepath.Join(place, "batchd.db")
	must(t, openWith(t, place, sqlite.Options{}).Close())
	raw(t, path, `PRAGMA foreign_keys = 0; INSERT INTO file_blobs (blob_key, file) VALUES ('k', 7)`)
	s, err := sqlite.OpenForReading(t.Context(), path, true)
	must(t, err)
	defer func() { _ = s.Close() }()
	var found []string
	must(t, s.Verify(t.Context(), func(text string) error { found = append(found, text); return nil }))
	if len(found) != 1 || found[0] != "a row of file_blobs refers to a row of files that is not there" {
		t.Errorf("found %q", found)
	}
}
