package sqlite_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"batchd/internal/store/sqlite"
)

func TestABitThatChangedAnywhereInTheStoreFileIsNoticed(t *testing.T) {
	t.Parallel()
	path := closedStore(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		at, bit := random.IntN(len(whole)), random.IntN(8)
		damaged := bytes.Clone(whole)
		damaged[at] ^= 1 << bit
		must(t, os.WriteFile(path, damaged, 0o600))
		s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		var refused *sqlite.UnusableError
		if !errors.As(err, &refused) {
			t.Fatalf("bit %d of byte %d: got %v, want an UnusableError", bit, at, err)
		}
		if s != nil {
			t.Fatal("there is a store beside the error")
		}
	}
	must(t, os.WriteFile(path, whole, 0o600))
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	must(t, err)
	must(t, s.Close())
}

func TestTheChecksumFollowsTheStoreFile(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	path := filepath.Join(place, "batchd.db")
	s := openWith(t, place, sqlite.Options{})
	t.Cleanup(func() { _ = s.Close() })
	refused := func(when, dir string) {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(dir, "batchd.db"))
		must(t, err)
		content[len(content)-1] ^= 1
		must(t, os.WriteFile(filepath.Join(dir, "batchd.db"), content, 0o600))
		if _, err := sqlite.Open(t.Context(), filepath.Join(dir, "batchd.db"), sqlite.Options{}); err == nil || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("%s: got %v", when, err)
		}
	}
	sound := func(when, dir string) {
		t.Helper()
		again, err := sqlite.Open(t.Context(), filepath.Join(dir, "batchd.db"), sqlite.Options{})
		if err != nil {
			t.Errorf("%s: %v", when, err)
			return
		}
		must(t, again.Close())
	}
	both := func(when string) {
		t.Helper()
		sound(when, crashed(t, place))
		refused(when, crashed(t, place))
	}
	both("a new store")
	addFile(t, s, "file-1")
	both("with a log")
	fill(t, s, 120000)
	both("after a checkpoint")
	addFile(t, s, "file-2")
	must(t, s.Close())
	both("closed")
	must(t, os.WriteFile(filepath.Join(place, "batchd.sum"), nil, 0o600))
	sound("killed within a checkpoint", crashed(t, place))
	must(t, os.Remove(filepath.Join(place, "batchd.sum")))
	sound("without a checksum", crashed(t, place))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestAChecksumThatIsDamagedIsToldAndTakenAnew(t *testing.T) {
	t.Parallel()
	path := closedStore(t)
	sum := filepath.Join(filepath.Dir(path), "batchd.sum")
	whole, err := os.ReadFile(sum)
	must(t, err)
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x10
		if i%2 == 1 {
			damaged = whole[:i]
		}
		must(t, os.WriteFile(sum, damaged, 0o600))
		var log bytes.Buffer
		s, err := sqlite.Open(t.Context(), path, sqlite.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		must(t, err)
		if !strings.Contains(log.String(), "checksum of the database is damaged") || !strings.Contains(log.String(), sum) {
			t.Fatalf("byte %d: told %q", i, log.String())
		}
		must(t, s.Close())
		if now, err := os.ReadFile(sum); err != nil || !bytes.Equal(now, whole) {
			t.Fatalf("byte %d: %x is not taken anew, %v", i, now, err)
		}
	}
}

func TestAChecksumThatIsDamagedIsToldAfterAKillToo(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	s := openWith(t, place, sqlite.Options{})
	t.Cleanup(func() { _ = s.Close() })
	fill(t, s, 3) // leaves a log, so that the next start folds it
	dir := crashed(t, place)
	must(t, os.Truncate(filepath.Join(dir, "batchd.sum"), 9))
	var log bytes.Buffer
	again := openWith(t, dir, sqlite.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, again.Close())
	if !strings.Contains(log.String(), "checksum of the database is damaged") {
		t.Errorf("told %q", log.String())
	}
}

func TestTheChecksumIsClearedBeforeTheStoreFileChanges(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	s := openWith(t, place, sqlite.Options{})
	t.Cleanup(func() { _ = s.Close() })
	fill(t, s, 3)
	// Another process that folds the log clears the checksum first, and tells of the fsync before those of the checkpoint.
	sum := filepath.Join(place, "batchd.sum")
	before := read(sum)
	var seen []string
	other := openWith(t, place, sqlite.Options{OnFsync: func(int) { seen = append(seen, read(sum)) }})
	must(t, other.Close())
	if len(before) != 32 || len(seen) == 0 {
		t.Fatalf("a checksum of %d bytes, %d fsyncs", len(before), len(seen))
	}
	for i, content := range seen {
		if content == before {
			t.Errorf("at fsync %d the checksum of before was there", i)
		}
	}
	if now := read(sum); len(now) != 32 || now == before {
		t.Errorf("%x was not taken anew: %x", before, now)
	}
}
