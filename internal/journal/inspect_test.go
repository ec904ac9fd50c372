package journal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/journal"
	"batchd/internal/vfs/memfs"
)

func TestInspectSeesWhatOpenSeesAndChangesNothing(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 100), recordOf(2, 100), recordOf(1, 50))
	adopted := batch.NewLeaseID()
	if err := errors.Join(j.Adopt(adopted), j.Close()); err != nil {
		t.Fatal(err)
	}
	edit(t, fsys, func(b []byte) []byte { return append(b, "torn"...) })
	writeFile(t, fsys, path+journal.TempSuffix, []byte("an unfinished copy"))
	before := readFile(t, fsys, path)
	fsys.OnOp(func(op memfs.Op) error {
		switch op.Kind {
		case "open", "read", "stat", "readdir":
			return nil
		default:
			t.Errorf("%s of %s", op.Kind, op.Name)
			return nil
		}
	})
	var lines []uint32
	got, err := journal.Inspect(fsys, path, func(line uint32, _ batch.Kind, _ batch.Usage) error {
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := journal.ReadHeader(fsys, path)
	if err != nil || h != header {
		t.Errorf("the header is %+v, %v", h, err)
	}
	fsys.OnOp(nil)
	if diff := cmp.Diff([]uint32{1, 2}, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]batch.LeaseID{header.Lease, adopted}, got.Leases); diff != "" {
		t.Errorf("leases (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, readFile(t, fsys, path)); diff != "" {
		t.Errorf("the file has changed:\n%s", diff)
	}
	_, want := mustOpen(t, fsys)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("replay (-open +inspect):\n%s", diff)
	}
}

// TestALeaseIsFoundWhereverItIsNamed compares Names with what Inspect finds, in a journal that is cut at each byte and in
// one whose bytes are changed one after the other.
func TestALeaseIsFoundWhereverItIsNamed(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	first, second := batch.NewLeaseID(), batch.NewLeaseID()
	mustAppend(t, j, recordOf(1, 60))
	err := j.Adopt(first)
	mustAppend(t, j, recordOf(2, 60), recordOf(3, 60))
	err = errors.Join(err, j.Adopt(second))
	mustAppend(t, j, recordOf(4, 10))
	if err := errors.Join(err, j.Close()); err != nil {
		t.Fatal(err)
	}
	whole := readFile(t, fsys, path)
	check := func(what string, content []byte) {
		t.Helper()
		edit(t, fsys, func([]byte) []byte { return content })
		replay, inspectErr := journal.Inspect(fsys, path, nil)
		for _, lease := range []batch.LeaseID{header.Lease, first, second, batch.NewLeaseID()} {
			got, err := journal.Names(fsys, path, lease)
			if want := slices.Contains(replay.Leases, lease); got != want || (err == nil) != (inspectErr == nil) {
				t.Errorf("%s: got %t, %v, want %t, %v", what, got, err, want, inspectErr)
			}
		}
	}
	check("whole", whole)
	for n := range whole {
		check(fmt.Sprintf("cut at %d", n), whole[:n])
		changed := slices.Clone(whole)
		changed[n] ^= 0x10
		check(fmt.Sprintf("changed at %d", n), changed)
	}
}

func TestInspectRefusesWhatOpenRefuses(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	for _, want := range []error{fs.ErrNotExist, journal.ErrForeign} {
		_, inspectErr := journal.Inspect(fsys, path, nil)
		_, headerErr := journal.ReadHeader(fsys, path)
		if !errors.Is(inspectErr, want) || !errors.Is(headerErr, want) {
			t.Errorf("got %v and %v, want %v", inspectErr, headerErr, want)
		}
		writeFile(t, fsys, path, []byte("no journal"))
	}
}
