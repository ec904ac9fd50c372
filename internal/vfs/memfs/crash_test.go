package memfs_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"batchd/internal/vfs/memfs"

	"github.com/google/go-cmp/cmp"
)

// images returns how often each state that look reports is found in 400 random power cuts.
func images(m *memfs.FS, look func(*memfs.FS) string) map[string]int {
	seen := map[string]int{}
	for seed := range uint64(400) {
		seen[look(m.Crash(rand.New(rand.NewPCG(seed, 1))))]++
	}
	return seen
}

// names returns the files of the root that exist, with their contents.
func names(t *testing.T, files ...string) func(*memfs.FS) string {
	return func(m *memfs.FS) string {
		var found []string
		for _, name := range files {
			if c := contents(t, m, name); c != "<absent>" {
				found = append(found, name+"="+c)
			}
		}
		return strings.Join(found, " ")
	}
}

func wantStates(t *testing.T, seen map[string]int, want ...string) {
	t.Helper()
	wanted := map[string]bool{}
	for _, w := range want {
		wanted[w] = true
		if seen[w] == 0 {
			t.Errorf("state %q never came up", w)
		}
	}
	for s := range seen {
		if !wanted[s] {
			t.Errorf("state %q came up, which no disk leaves", s)
		}
	}
}

func TestSyncedFileInSyncedDirectoryAlwaysSurvives(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	must(t, m.MkdirAll("d"))
	f := create(t, m, "d/a", "text")
	must(t, f.Sync(), m.SyncDir("d"), m.SyncDir("."))
	wantStates(t, images(m, names(t, "d/a")), "d/a=text")
}

func TestEachMissingSyncLosesSomething(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, dir, parent bool
		want              string
	}{
		"file not synced":                {false, true, true, ""},
		"directory not synced":           {true, false, true, "<absent>"},
		"parent of directory not synced": {true, true, false, "<absent>"},
		"all synced":                     {true, true, true, "text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := memfs.New()
			must(t, m.MkdirAll("d"))
			f := create(t, m, "d/a", "text")
			if test.file {
				must(t, f.Sync())
			}
			if test.dir {
				must(t, m.SyncDir("d"))
			}
			if test.parent {
				must(t, m.SyncDir("."))
			}
			if got := contents(t, m.CrashKeepingNothing(), "d/a"); got != test.want {
				t.Errorf("kept = %q, want %q", got, test.want)
			}
			if got := contents(t, m.CrashKeepingAll(), "d/a"); got != "text" {
				t.Errorf("keeping all: %q, want text", got)
			}
		})
	}
}

func TestUnsyncedBytesMayEndAnywhere(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "a", "ab")
	must(t, f.Sync(), m.SyncDir("."))
	_, err := f.Write([]byte("cd"))
	must(t, err)
	wantStates(t, images(m, names(t, "a")), "a=ab", "a=abc", "a=abcd",
		"a=ab\x00", "a=ab\x00\x00") // the size reached the disk, the sector did not
}

func TestUnsyncedSectorsSurviveIndependently(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "a", "")
	must(t, m.SyncDir("."))
	full := bytes.Repeat([]byte{'x'}, 4*512)
	_, err := f.Write(full)
	must(t, err)
	lateWithoutEarly := false
	for seed := range uint64(400) {
		got := contents(t, m.Crash(rand.New(rand.NewPCG(seed, 1))), "a")
		for i := 0; i+512 <= len(got); i += 512 {
			if s := got[i : i+512]; strings.Trim(s, "x") != "" && strings.Trim(s, "\x00") != "" {
				t.Fatalf("sector %d is torn within", i/512)
			}
		}
		if len(got) == len(full) && got[0] == 0 && got[len(got)-1] == 'x' {
			lateWithoutEarly = true
		}
	}
	if !lateWithoutEarly {
		t.Error("a later sector never survived without an earlier one")
	}
}

func TestTruncatedAndRewrittenBytesAreOldOrNew(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "a", "abcd")
	must(t, f.Sync(), m.SyncDir("."), f.Truncate(1))
	_, err := f.Write([]byte("XY"))
	must(t, err)
	wantStates(t, images(m, names(t, "a")), "a=abcd", "a=a", "a=aX", "a=aXY", "a=ab", "a=abc", "a=aXY\x00")
	must(t, f.Sync())
	wantStates(t, images(m, names(t, "a")), "a=aXY")
}

func TestRenameInADirectoryIsAllOrNothing(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "a", "new")
	g := create(t, m, "b", "old")
	must(t, f.Sync(), g.Sync(), m.SyncDir("."), m.Rename("a", "b"))
	wantStates(t, images(m, names(t, "a", "b")), "a=new b=old", "b=new")
	must(t, m.SyncDir("."))
	wantStates(t, images(m, names(t, "a", "b")), "b=new")
}

func TestRenameBetweenDirectoriesMayLeaveBothNamesButNeverNone(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	must(t, m.MkdirAll("d"))
	f := create(t, m, "a", "x")
	must(t, f.Sync(), m.SyncDir("."), m.Rename("a", "d/b"))
	look := names(t, "a", "d/b")
	wantStates(t, images(m, look), "a=x", "a=x d/b=x", "d/b=x")
	must(t, m.SyncDir("d"))
	wantStates(t, images(m, look), "a=x d/b=x", "d/b=x")
	must(t, m.SyncDir("."))
	wantStates(t, images(m, look), "d/b=x")
}

func TestSyncingOnlyTheOldDirectoryLosesAMovedFile(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	must(t, m.MkdirAll("d"))
	f := create(t, m, "a", "x")
	must(t, f.Sync(), m.SyncDir("."), m.Rename("a", "d/b"), m.SyncDir("."))
	wantStates(t, images(m, names(t, "a", "d/b")), "", "d/b=x")
}

func TestUnsyncedNamesSurviveInAnyCombination(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "old", "o")
	must(t, f.Sync(), m.SyncDir("."))
	a, b := create(t, m, "a", "1"), create(t, m, "b", "2")
	must(t, a.Sync(), b.Sync(), m.Remove("old"))
	wantStates(t, images(m, names(t, "a", "b", "old")),
		"old=o", "a=1 old=o", "b=2 old=o", "a=1 b=2 old=o", "", "a=1", "b=2", "a=1 b=2")
}

func TestSyncedFileIsGoneForGoodOnlyAfterItsDirectoryIsSynced(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "a", "x")
	must(t, f.Sync(), m.SyncDir("."), m.Remove("a"))
	if got := contents(t, m.CrashKeepingNothing(), "a"); got != "x" {
		t.Errorf("unsynced removal: %q, want the file back", got)
	}
	must(t, m.SyncDir("."))
	wantStates(t, images(m, names(t, "a")), "")
}

func TestFailedSyncLosesBytesThatCanStillBeRead(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "a", "ab")
	must(t, f.Sync(), m.SyncDir("."))
	_, err := f.Write([]byte("cd"))
	must(t, err)
	m.OnOp(func(op memfs.Op) error {
		if op.Kind == "sync" {
			return errDisk
		}
		return nil
	})
	if err := f.Sync(); err == nil {
		t.Fatal("the sync did not fail")
	}
	m.OnOp(nil)
	if got := contents(t, m, "a"); got != "abcd" {
		t.Errorf("read after the failed sync = %q, want abcd", got)
	}
	_, err = f.Write([]byte("ef"))
	must(t, err, f.Sync())
	if got := contents(t, m.Kill(), "a"); got != "abcdef" {
		t.Errorf("after kill -9: %q, want abcdef", got)
	}
	wantStates(t, images(m, names(t, "a")), "a=ab\x00\x00ef")
	must(t, f.Truncate(3))
	if got := contents(t, m.CrashKeepingAll(), "a"); got != "ab\x00" {
		t.Errorf("cut after the failed sync: %q, want ab and a zero", got)
	}
}

func TestFailedSyncAfterTruncateKeepsTheOldSectors(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "a", "abcd")
	must(t, f.Sync(), m.SyncDir("."), f.Truncate(1))
	_, err := f.Write([]byte("XYZ123"))
	must(t, err)
	m.OnOp(func(memfs.Op) error { return errDisk })
	_ = f.Sync()
	m.OnOp(nil)
	if got := contents(t, m.CrashKeepingAll(), "a"); got != "abcd\x00\x00\x00" {
		t.Errorf("after the failed sync: %q, want the old bytes and zeros", got)
	}
}

func TestFailedSyncDirLeavesTheNamesUnsynced(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "a", "x")
	must(t, f.Sync())
	m.OnOp(func(memfs.Op) error { return errDisk })
	if err := m.SyncDir("."); err == nil {
		t.Fatal("the sync did not fail")
	}
	m.OnOp(nil)
	wantStates(t, images(m, names(t, "a")), "", "a=x")
}

func TestKillKeepsEverythingButMakesNothingDurable(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	must(t, m.MkdirAll("d"))
	create(t, m, "d/a", "text")
	next := m.Kill()
	if got := contents(t, next, "d/a"); got != "text" {
		t.Errorf("after kill -9: %q, want text", got)
	}
	if got := contents(t, next.CrashKeepingNothing(), "d/a"); got != "<absent>" {
		t.Errorf("power cut after kill -9: %q, want nothing", got)
	}
	f, err := next.OpenWrite("d/a")
	must(t, err, f.Sync(), f.Close(), next.SyncDir("d"), next.SyncDir("."))
	if got := contents(t, next.CrashKeepingNothing(), "d/a"); got != "text" {
		t.Errorf("synced by the next process: %q, want text", got)
	}
}

func TestImagesShareNothing(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "a", "one")
	must(t, f.Sync(), m.SyncDir("."))
	killed, crashed := m.Kill(), m.CrashKeepingAll()
	must(t, f.Truncate(0))
	_, err := f.Write([]byte("two"))
	must(t, err, f.Sync())
	got := []string{contents(t, m, "a"), contents(t, killed, "a"), contents(t, crashed, "a")}
	if diff := cmp.Diff([]string{"two", "one", "one"}, got); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
}

func TestFileWithTwoNamesAfterACrashIsOneFile(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	must(t, m.MkdirAll("d"), m.SyncDir("."))
	f := create(t, m, "a", "x")
	must(t, f.Sync(), m.SyncDir("."), m.Rename("a", "d/a"), m.SyncDir("d"))
	after := m.CrashKeepingNothing()
	g, err := after.OpenWrite("a")
	must(t, err)
	_, err = g.Write([]byte("y"))
	must(t, err, g.Close(), after.Remove("a"))
	if got := contents(t, after, "d/a"); got != "xy" {
		t.Errorf("the other name reads %q, want xy", got)
	}
}

func TestSameSeedGivesTheSameImage(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	for _, name := range []string{"a", "b", "c"} {
		create(t, m, name, strings.Repeat(name, 3000))
	}
	look := names(t, "a", "b", "c")
	for seed := range uint64(50) {
		first := look(m.Crash(rand.New(rand.NewPCG(seed, 2))))
		if again := look(m.Crash(rand.New(rand.NewPCG(seed, 2)))); again != first {
			t.Fatalf("seed %d gave two images", seed)
		}
	}
}
