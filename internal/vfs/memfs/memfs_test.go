package memfs_test

import (
	"errors"
	"io/fs"
	"testing"

	"batchd/internal/vfs"
	"batchd/internal/vfs/memfs"
	"batchd/internal/vfs/vfstest"

	"github.com/google/go-cmp/cmp"
)

var errDisk = errors.New("disk says no")

func TestMemFSConforms(t *testing.T) {
	t.Parallel()
	vfstest.Run(t, func(*testing.T) vfs.FS { return memfs.New() })
}

// must fails the test on an error of a step that is only preparation.
func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, m *memfs.FS, name, contents string) vfs.File {
	t.Helper()
	f, err := m.Create(name)
	must(t, err)
	_, err = f.Write([]byte(contents))
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// contents returns what the file called name holds, or "<absent>".
func contents(t *testing.T, m *memfs.FS, name string) string {
	t.Helper()
	raw, err := vfstest.ReadFile(m, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "<absent>"
	}
	must(t, err)
	return string(raw)
}

func TestHookSeesEveryOperationAndNumbersTheChangingOnes(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	var got []memfs.Op
	m.OnOp(func(op memfs.Op) error {
		got = append(got, op)
		return nil
	})
	must(t, m.MkdirAll("d/e"), m.MkdirAll("d/e"))
	f := create(t, m, "d/a", "12345")
	_, err := f.ReadAt(make([]byte, 3), 0)
	must(t, err, f.Truncate(2), f.Sync(), m.Rename("d/a", "b"), m.SyncDir("d"))
	_, err = m.Stat("b")
	must(t, err)
	_, err = m.ReadDir("d")
	must(t, err)
	_, err = m.Open("b")
	must(t, err, m.Remove("b"))

	want := []memfs.Op{
		{N: 1, Kind: "mkdir", Name: "d"},
		{N: 2, Kind: "mkdir", Name: "d/e"},
		{N: 3, Kind: "create", Name: "d/a"},
		{N: 4, Kind: "write", Name: "d/a", Len: 5},
		{Kind: "read", Name: "d/a", Len: 3},
		{N: 5, Kind: "truncate", Name: "d/a", Len: 2},
		{N: 6, Kind: "sync", Name: "d/a"},
		{N: 7, Kind: "rename", Name: "d/a", To: "b"},
		{N: 8, Kind: "syncdir", Name: "d"},
		{Kind: "stat", Name: "b"},
		{Kind: "readdir", Name: "d"},
		{Kind: "open", Name: "b"},
		{N: 9, Kind: "remove", Name: "b"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
	if m.Ops() != 9 {
		t.Errorf("Ops() = %d, want 9", m.Ops())
	}
}

func TestFailedOperationChangesNothing(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	must(t, m.MkdirAll("d"))
	f := create(t, m, "a", "kept")
	m.OnOp(func(memfs.Op) error { return errDisk })
	_, createErr := m.Create("b")
	_, openErr := m.Open("a")
	_, writeErr := f.Write([]byte("more"))
	_, readErr := f.ReadAt(make([]byte, 1), 0)
	_, sizeErr := f.Size()
	_, statErr := m.Stat("a")
	_, listErr := m.ReadDir(".")
	for what, err := range map[string]error{
		"create": createErr, "open": openErr, "write": writeErr, "read": readErr, "size": sizeErr, "stat": statErr,
		"readdir": listErr, "truncate": f.Truncate(0), "rename": m.Rename("a", "c"), "remove": m.Remove("a"),
		"mkdir": m.MkdirAll("e"), "syncdir": m.SyncDir("."),
	} {
		if !errors.Is(err, errDisk) {
			t.Errorf("%s: error = %v, want the hook's", what, err)
		}
	}
	m.OnOp(nil)
	list, err := m.ReadDir(".")
	must(t, err)
	if len(list) != 2 || contents(t, m, "a") != "kept" {
		t.Errorf("after failures: %v with %q, want a and d as they were", list, contents(t, m, "a"))
	}
}

func TestShortWriteAppendsWhatItSays(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "a", "12")
	m.OnOp(func(op memfs.Op) error {
		if op.Kind == "write" {
			return memfs.ShortWrite{N: 3, Err: errDisk}
		}
		return nil
	})
	n, err := f.Write([]byte("34567"))
	if n != 3 || !errors.Is(err, errDisk) {
		t.Errorf("write = %d, %v, want 3 and the hook's error", n, err)
	}
	if got := contents(t, m, "a"); got != "12345" {
		t.Errorf("contents = %q, want 12345", got)
	}
}

func TestPowerCutStopsEverything(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	m.CutPowerAfter(2)
	f := create(t, m, "a", "x")
	_, err := f.ReadAt(make([]byte, 1), 0)
	must(t, err)
	if err := f.Sync(); !errors.Is(err, memfs.ErrPowerCut) {
		t.Errorf("third operation: error = %v, want ErrPowerCut", err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, memfs.ErrPowerCut) {
		t.Errorf("read without power: error = %v, want ErrPowerCut", err)
	}
	if got := contents(t, m.CrashKeepingAll(), "a"); got != "x" {
		t.Errorf("after the cut: %q; the sync that failed for want of power must not lose anything", got)
	}
}

func TestPowerCutByTheHookLasts(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	m.OnOp(func(op memfs.Op) error {
		if op.N == 2 {
			return memfs.ErrPowerCut
		}
		return nil
	})
	must(t, m.MkdirAll("a"))
	for range 2 {
		if err := m.MkdirAll("b"); !errors.Is(err, memfs.ErrPowerCut) {
			t.Errorf("error = %v, want ErrPowerCut", err)
		}
	}
	if m.Ops() != 2 {
		t.Errorf("Ops() = %d, want 2: those after the cut do not count", m.Ops())
	}
}

func TestHookMayTakeImages(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	var before []string
	m.OnOp(func(op memfs.Op) error {
		if op.N > 0 {
			before = append(before, contents(t, m.Kill(), "a"))
		}
		return nil
	})
	f := create(t, m, "a", "x")
	must(t, f.Sync())
	if diff := cmp.Diff([]string{"<absent>", "", "x"}, before); diff != "" {
		t.Errorf("images before each operation (-want +got):\n%s", diff)
	}
}

func TestOpenFilesCountsHandles(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	f := create(t, m, "a", "")
	g, err := m.Open("a")
	must(t, err)
	if m.OpenFiles() != 2 {
		t.Errorf("OpenFiles() = %d, want 2", m.OpenFiles())
	}
	m.CutPowerAfter(0)
	must(t, f.Close(), g.Close())
	if m.OpenFiles() != 0 {
		t.Errorf("OpenFiles() = %d, want 0", m.OpenFiles())
	}
}
