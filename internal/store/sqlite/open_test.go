package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"batchd/internal/store/sqlite"

	_ "modernc.org/sqlite"
)

// closedStore makes a store with something in it, closes it and returns its path.
func closedStore(t *testing.T) string {
	t.Helper()
	place := t.TempDir()
	s := openWith(t, place, sqlite.Options{})
	fill(t, s, 200)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(place, "batchd.db")
}

// raw runs SQL on the file behind the store's back, as somebody does who then removes its checksum.
func raw(t *testing.T, path, query string) {
	t.Helper()
	if err := os.Remove(filepath.Join(filepath.Dir(path), "batchd.sum")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesWhatItCannotTrust(t *testing.T) {
	t.Parallel()
	truncate := func(size int64) func(*testing.T, string) {
		return func(t *testing.T, path string) { must(t, os.Truncate(path, size)) }
	}
	garbage := []byte(strings.Repeat("not a database. ", 1024))
	cases := []struct {
		name   string
		damage func(t *testing.T, path string)
		// problem and remedy are parts of the sentence.
		problem, remedy string
	}{
		{"empty", truncate(0), "is empty", "backup"},
		{"cut inside the header", truncate(50), "only 50 bytes", "backup"},
		{"cut inside the first page", truncate(2000), "damaged", "backup"},
		{"cut at a page", truncate(4096), "damaged", "backup"},
		{"last page gone", func(t *testing.T, path string) {
			info, err := os.Stat(path)
			must(t, err)
			must(t, os.Truncate(path, info.Size()-4096))
		}, "damaged", "backup"},
		{"last bytes gone", func(t *testing.T, path string) {
			info, err := os.Stat(path)
			must(t, err)
			must(t, os.Truncate(path, info.Size()-10))
		}, "damaged", "backup"},
		{"garbage", func(t *testing.T, path string) { must(t, os.WriteFile(path, garbage, 0o600)) }, "not an SQLite database", "backup"},
		{"zeros", func(t *testing.T, path string) { must(t, os.WriteFile(path, make([]byte, 8192), 0o600)) }, "not an SQLite database", "backup"},
		{"a page overwritten", func(t *testing.T, path string) { overwrite(t, path, 4096, garbage[:4096]) }, "damaged", "backup"},
		{"garbage behind the header", func(t *testing.T, path string) { overwrite(t, path, 100, garbage[:3000]) }, "damaged", "backup"},
		{"a database of another program", func(t *testing.T, path string) {
			must(t, os.Remove(path))
			raw(t, path, `CREATE TABLE theirs (x); PRAGMA application_id = 7; PRAGMA user_version = 1`)
		}, "another program", "move it away"},
		{"a newer schema", func(t *testing.T, path string) { raw(t, path, `PRAGMA user_version = 999`) }, "newer version of batchd", "run that version"},
		{"a schema from before the first release", func(t *testing.T, path string) { raw(t, path, `DROP TABLE tenants`) }, "before batchd 0.1.0", "another data directory"},
		{"our file without its tables", func(t *testing.T, path string) { raw(t, path, `DROP TABLE meta`) }, "damaged", "backup"},
		{"our file without its tenant", func(t *testing.T, path string) { raw(t, path, `DELETE FROM meta`) }, "damaged", "backup"},
		{"a directory", func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Mkdir(path, 0o700)) }, "is a directory", "move it away"},
		{"missing beside its log", func(t *testing.T, path string) {
			must(t, os.Rename(path, path+"-wal"))
		}, "missing, though its write-ahead log", "backup"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := closedStore(t)
			c.damage(t, path)
			before := snapshot(t, path)
			_, err := sqlite.Open(t.Context(), path, sqlite.Options{MayCreate: true})
			var refused *sqlite.UnusableError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want an UnusableError", err)
			}
			for _, part := range []string{path, c.problem, c.remedy} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if after := snapshot(t, path); after != before {
				t.Error("the file was changed")
			}
		})
	}
}

func TestOpenMakesAStoreOnlyWhenItMay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "batchd.db")
	_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	var refused *sqlite.UnusableError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "missing") {
		t.Fatalf("got %v, want an UnusableError", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a file was made: %v", err)
	}
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{MayCreate: true, Tenant: "11111111-2222-4333-8444-555555555555"})
	must(t, err)
	must(t, s.Close())
	s, err = sqlite.Open(t.Context(), path, sqlite.Options{Tenant: "other"})
	must(t, err)
	defer func() { _ = s.Close() }()
	if got, _ := s.DefaultTenant(t.Context()); got != "11111111-2222-4333-8444-555555555555" {
		t.Errorf("default tenant is %q", got)
	}
}

func TestOpenIgnoresWhatACrashedCreationLeft(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	for _, suffix := range []string{".new", ".new-wal", ".new-shm", ".new-journal"} {
		must(t, os.WriteFile(filepath.Join(place, "batchd.db"+suffix), []byte("half"), 0o600))
	}
	must(t, openWith(t, place, sqlite.Options{}).Close())
	entries, err := os.ReadDir(place)
	must(t, err)
	if len(entries) != 3 || entries[0].Name() != "batchd.db" || entries[1].Name() != "batchd.seq" || entries[2].Name() != "batchd.sum" {
		t.Errorf("left behind: %v", entries)
	}
}

func TestOpenSaysWhatTheSystemSays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "absent", "batchd.db")
	if _, err := sqlite.Open(t.Context(), path, sqlite.Options{MayCreate: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that the directory does not exist", err)
	}
}

func TestOpenNamesTheFileThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"-wal", "-shm"} {
		for what, put := range map[string]struct {
			in   func(t *testing.T, name string)
			says string
		}{
			"a directory":              {func(t *testing.T, name string) { must(t, os.Mkdir(name, 0o700)) }, "is a directory"},
			"a link to itself":         {func(t *testing.T, name string) { must(t, os.Symlink(name, name)) }, "symbolic link"},
			"a link to nothing at all": {func(t *testing.T, name string) { must(t, os.Symlink(name+".absent/x", name)) }, "symbolic link to nothing"},
		} {
			t.Run(suffix+" is "+what, func(t *testing.T) {
				t.Parallel()
				path := closedStore(t)
				put.in(t, path+suffix)
				before := snapshot(t, path)
				_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
				if err == nil || !strings.Contains(err.Error(), "open "+path+suffix+": ") || !strings.Contains(err.Error(), put.says) {
					t.Errorf("got %v, want what is wrong with %s", err, suffix)
				}
				if snapshot(t, path) != before {
					t.Error("the file was changed")
				}
			})
		}
	}
}

func TestOpenTakesAnyPath(t *testing.T) {
	t.Parallel()
	place := filepath.Join(t.TempDir(), "with space, 50%, #1 & ü?x=1;")
	must(t, os.Mkdir(place, 0o700))
	s := openWith(t, place, sqlite.Options{})
	fill(t, s, 3)
	must(t, s.Close())
	if _, err := os.Stat(filepath.Join(place, "batchd.db")); err != nil {
		t.Error(err)
	}
}

func TestAKilledStoreLosesNothing(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	s := openWith(t, place, sqlite.Options{})
	defer func() { _ = s.Close() }()
	fill(t, s, 50)
	// What kill -9 leaves is what is on disk while the store is open.
	crashed := t.TempDir()
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(filepath.Join(place, "batchd.db"+suffix))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(crashed, "batchd.db"+suffix), content, 0o600))
	}
	again := openWith(t, crashed, sqlite.Options{})
	defer func() { _ = again.Close() }()
	got, err := again.LeaseUnits(t.Context(), "b1", "n", 100)
	must(t, err)
	if len(got) != 50 {
		t.Errorf("%d of 50 units are left", len(got))
	}
	if ids, _ := again.DefaultTenant(t.Context()); ids == "" {
		t.Error("the tenant is lost")
	}
}

func TestACutFileBesideItsLogIsNoticed(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	s := openWith(t, place, sqlite.Options{})
	fill(t, s, 5000)
	must(t, s.Close())
	s = openWith(t, place, sqlite.Options{})
	_, err := s.LeaseUnits(t.Context(), "b1", "n", 1)
	must(t, err)
	crashed := t.TempDir()
	path := filepath.Join(crashed, "batchd.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(filepath.Join(place, "batchd.db"+suffix))
		must(t, err)
		must(t, os.WriteFile(path+suffix, content, 0o600))
	}
	must(t, s.Close())
	info, err := os.Stat(path)
	must(t, err)
	must(t, os.Truncate(path, info.Size()/2))
	_, err = sqlite.Open(t.Context(), path, sqlite.Options{})
	var refused *sqlite.UnusableError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want an UnusableError", err)
	}
}

// overwrite puts other bytes at an offset of the file.
func overwrite(t *testing.T, path string, off int64, content []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt(content, off)
	must(t, err)
	must(t, f.Close())
}

// snapshot returns what is at the path and beside it.
func snapshot(t *testing.T, path string) string {
	t.Helper()
	var out strings.Builder
	for _, suffix := range []string{"", "-wal", "-journal", ".new"} {
		content, err := os.ReadFile(path + suffix)
		fmt.Fprintf(&out, "%s %t %d %x\n", suffix, err == nil, len(content), content)
	}
	return out.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
