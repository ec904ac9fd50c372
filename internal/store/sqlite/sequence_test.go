package sqlite_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/datadir"
	"batchd/internal/store/sqlite"
)

// addFile makes one commit.
func addFile(t *testing.T, s *sqlite.Store, id string) {
	t.Helper()
	must(t, s.CreateFile(t.Context(), batch.File{ID: id, Tenant: "t", Purpose: "batch", CreatedAt: time.Unix(1_790_000_000, 0)}))
}

// crashed copies what kill -9 would leave of a place now: every file but those that are named.
func crashed(t *testing.T, place string, without ...string) string {
	t.Helper()
	to := t.TempDir()
	entries, err := os.ReadDir(place)
	must(t, err)
next:
	for _, e := range entries {
		for _, name := range without {
			if e.Name() == name {
				continue next
			}
		}
		content, err := os.ReadFile(filepath.Join(place, e.Name()))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, e.Name()), content, 0o600))
	}
	return to
}

func told(t *testing.T, place string) uint64 {
	t.Helper()
	n, found, err := datadir.ReadSequence(place)
	must(t, err)
	if !found {
		t.Fatal("there is no sequence file")
	}
	return n
}

func TestEachCommitIsNumberedBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	var onCommit uint64
	s := openWith(t, place, sqlite.Options{OnCommit: func() { onCommit = told(t, place) }})
	t.Cleanup(func() { _ = s.Close() })
	other := openWith(t, place, sqlite.Options{})
	defer func() { _ = other.Close() }()
	path := filepath.Join(place, "batchd.db")
	for i, each := range []*sqlite.Store{s, other, s, s, other, other, s} {
		before := told(t, place)
		addFile(t, each, "file-"+string(rune('a'+i)))
		number, err := sqlite.CommitNumber(t.Context(), path)
		must(t, err)
		if now := told(t, place); now != before+1 || number != now {
			t.Errorf("commit %d: from %d to %d, the database says %d", i, before, now, number)
		}
		if each == s && onCommit != before {
			t.Errorf("commit %d: when it was on disk, the file held %d already", i, onCommit)
		}
	}
	before := told(t, place)
	if _, err := s.LeaseUnits(t.Context(), "absent", "n", 1); err == nil {
		t.Error("units of no batch were leased")
	}
	if now := told(t, place); now != before {
		t.Errorf("what changed nothing was numbered: %d, then %d", before, now)
	}
}

func TestAStoreThatLostTimeIsRefused(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	s := openWith(t, place, sqlite.Options{})
	t.Cleanup(func() { _ = s.Close() })
	for _, id := range []string{"file-1", "file-2"} {
		addFile(t, s, id)
	}
	older := crashed(t, place)
	addFile(t, s, "file-3")
	log := func(dir string) string { return filepath.Join(dir, "batchd.db-wal") }
	for name, damage := range map[string]func(t *testing.T, dir string){
		"the log is gone":  func(t *testing.T, dir string) { must(t, os.Remove(log(dir))) },
		"the log is empty": func(t *testing.T, dir string) { must(t, os.Truncate(log(dir), 0)) },
		"the log is cut": func(t *testing.T, dir string) {
			info, err := os.Stat(log(dir))
			must(t, err)
			must(t, os.Truncate(log(dir), info.Size()-1))
		},
		"a bit of the log": func(t *testing.T, dir string) {
			content, err := os.ReadFile(log(dir))
			must(t, err)
			content[len(content)/2] ^= 1
			must(t, os.WriteFile(log(dir), content, 0o600))
		},
		"an older log": func(t *testing.T, dir string) {
			content, err := os.ReadFile(log(older))
			must(t, err)
			must(t, os.WriteFile(log(dir), content, 0o600))
		},
		"from before there were numbers": func(t *testing.T, dir string) {
			raw(t, filepath.Join(dir, "batchd.db"), `DROP TABLE commits; PRAGMA user_version = 1`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := crashed(t, place)
			damage(t, dir)
			path := filepath.Join(dir, "batchd.db")
			before, logBefore := snapshot(t, path), read(log(dir))
			_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			var refused *sqlite.UnusableError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want an UnusableError", err)
			}
			for _, part := range []string{path, "batchd.db-wal", filepath.Join(dir, "batchd.seq") + " holds 3", "batchd check " + dir, "batchd repair " + dir, "--accept-older"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if snapshot(t, path) != before || read(log(dir)) != logBefore {
				t.Error("the refusal has changed something")
			}
			number, err := sqlite.CommitNumber(t.Context(), path)
			must(t, err)
			must(t, datadir.WriteSequence(dir, number))
			must(t, openWith(t, dir, sqlite.Options{}).Close())
		})
	}
}

func TestAStoreFileThatIsOlderThanItsLogIsRefused(t *testing.T) {
	t.Parallel()
	for name, fold := range map[string]func(t *testing.T, s *sqlite.Store, place string){
		"folded by the writer": func(t *testing.T, s *sqlite.Store, place string) { fill(t, s, 120000) },
		"folded by another process": func(t *testing.T, s *sqlite.Store, place string) {
			must(t, openWith(t, place, sqlite.Options{}).Close())
			addFile(t, s, "file-4") // begins the log anew, and sees that it did
		},
		"folded at the start": func(t *testing.T, s *sqlite.Store, place string) {
			must(t, s.Close())
			again := openWith(t, place, sqlite.Options{})
			t.Cleanup(func() { _ = again.Close() })
			addFile(t, again, "file-4")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := t.TempDir()
			s := openWith(t, place, sqlite.Options{})
			t.Cleanup(func() { _ = s.Close() })
			addFile(t, s, "file-1")
			addFile(t, s, "file-2")
			older := crashed(t, place)
			fold(t, s, place)
			if name != "folded at the start" {
				addFile(t, s, "file-5")
			}
			dir := crashed(t, place)
			path := filepath.Join(dir, "batchd.db")
			compared(t, path, sqlite.Fits)
			copyFile(t, older, dir, "batchd.db")
			before, logBefore := snapshot(t, path), read(path+"-wal")
			_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			var refused *sqlite.UnusableError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), "is older than its log batchd.db-wal") {
				t.Fatalf("got %v, want that it is refused", err)
			}
			if snapshot(t, path) != before || read(path+"-wal") != logBefore {
				t.Error("the refusal has changed something")
			}
			compared(t, path, sqlite.OlderFile)
			// Without the log it is what it was.
			must(t, os.Remove(path+"-wal"))
			number, err := sqlite.CommitNumber(t.Context(), path)
			must(t, err)
			must(t, datadir.WriteSequence(dir, number))
			must(t, openWith(t, dir, sqlite.Options{}).Close())
		})
	}
}

func compared(t *testing.T, path string, want sqlite.Fit) {
	t.Helper()
	if got, err := sqlite.CompareLog(t.Context(), path); got != want || err != nil {
		t.Errorf("the log compares as %v, %v, want %v", got, err, want)
	}
}

func TestALogThatEndsBeforeWhatTheFileHoldsIsRefused(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	s := openWith(t, place, sqlite.Options{})
	t.Cleanup(func() { _ = s.Close() })
	addFile(t, s, "file-1")
	older := crashed(t, place)
	addFile(t, s, "file-2")
	must(t, openWith(t, place, sqlite.Options{}).Close()) // folds the log
	for _, name := range []string{"no log since", "a log since"} {
		if name == "a log since" {
			addFile(t, s, "file-3")
		}
		dir := crashed(t, place)
		path := filepath.Join(dir, "batchd.db")
		compared(t, path, sqlite.Fits)
		copyFile(t, older, dir, "batchd.db-wal")
		before, logBefore := snapshot(t, path), read(path+"-wal")
		_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		var refused *sqlite.UnusableError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "has a log batchd.db-wal that is older") {
			t.Fatalf("%s: got %v, want that it is refused", name, err)
		}
		if snapshot(t, path) != before || read(path+"-wal") != logBefore {
			t.Errorf("%s: the refusal has changed something", name)
		}
		compared(t, path, sqlite.OlderLog)
		must(t, os.Remove(path+"-wal"))
		compared(t, path, sqlite.Fits)
	}
}

// read returns a file's content, "" if there is none.
func read(path string) string {
	content, _ := os.ReadFile(path)
	return string(content)
}

func TestWhatAnOrdinaryCrashOrACopyLeavesIsOpened(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	s := openWith(t, place, sqlite.Options{})
	t.Cleanup(func() { _ = s.Close() })
	addFile(t, s, "file-1")
	older := crashed(t, place)
	addFile(t, s, "file-2")
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		told   string
	}{
		"as it was":                    {func(*testing.T, string) {}, ""},
		"the file is behind":           {func(t *testing.T, dir string) { copyFile(t, older, dir, "batchd.seq") }, ""},
		"a copy without the file":      {func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "batchd.seq"))) }, "sequence file was missing"},
		"the file is damaged":          {func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, "batchd.seq"), 9)) }, "sequence file was damaged"},
		"a whole copy of before":       {func(t *testing.T, dir string) { copyFile(t, older, dir, "batchd.db", "batchd.db-wal", "batchd.seq") }, ""},
		"the index of the log is gone": {func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "batchd.db-shm"))) }, ""},
		"the index of the log is damaged": {func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "batchd.db-shm"), bytes.Repeat([]byte{0xa5}, 32768), 0o600))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := crashed(t, place)
			c.change(t, dir)
			var log bytes.Buffer
			again := openWith(t, dir, sqlite.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
			if (c.told == "") != (log.Len() == 0) || !strings.Contains(log.String(), c.told) {
				t.Errorf("told %q, want %q", log.String(), c.told)
			}
			number := told(t, dir)
			addFile(t, again, "file-9")
			if now := told(t, dir); now != number+1 {
				t.Errorf("after %d came %d", number, now)
			}
			must(t, again.Close())
		})
	}
}

func copyFile(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(from, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, name), content, 0o600))
	}
}
