package journal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/journal"
	"batchd/internal/vfs"
	"batchd/internal/vfs/memfs"
)

// failing returns a hook that lets the first skip operations of a kind pass and fails the next n with err.
func failing(kind string, skip, n int, err error) func(memfs.Op) error {
	return func(op memfs.Op) error {
		if op.Kind != kind {
			return nil
		}
		if skip--; skip >= 0 || skip < -n {
			return nil
		}
		return err
	}
}

func TestF09FailedFsyncMovesTheJournalToAFreshFile(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	large := recordOf(3, journal.KeepLimit)
	large.Text = spooled(large.Text.Bytes())
	records := []journal.Record{recordOf(1, 700), recordOf(2, 700), large, recordOf(4, 700), recordOf(5, 700)}
	mustAppend(t, j, records[0])
	mustSync(t, j)
	mustAppend(t, j, records[1:]...)
	fsys.OnOp(failing("sync", 0, 1, syscall.EIO))
	mustSync(t, j)
	if n, cause := j.Rescues(); j.Dirty() || n != 1 || !errors.Is(cause, syscall.EIO) {
		t.Errorf("dirty = %v, %d rescues, the last for %v", j.Dirty(), n, cause)
	}
	after, r := mustOpen(t, fsys.CrashKeepingNothing())
	if r.Frames != 5 || len(r.Damage) != 0 {
		t.Errorf("replay = %+v", r)
	}
	checkContents(t, after, records...)

	mustAppend(t, j, recordOf(6, 700))
	mustSync(t, j)
	after, _ = mustOpen(t, fsys.CrashKeepingNothing())
	checkContents(t, after, append(records, recordOf(6, 700))...)
	checkNames(t, fsys, "u1")
	if n := fsys.OpenFiles(); n != 1 {
		t.Errorf("%d files are open, want 1", n)
	}
}

func checkNames(t testing.TB, fsys *memfs.FS, want ...string) {
	t.Helper()
	entries, err := fsys.ReadDir("journals")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names in the directory (-want +got):\n%s", diff)
	}
}

// losePages returns a hook that fails the next fsync after calling meanwhile, and lets the kernel drop what the
// journal's file has from offset on.
func losePages(t *testing.T, fsys *memfs.FS, from int64, meanwhile func()) func(memfs.Op) error {
	return func(op memfs.Op) error {
		if op.Kind != "sync" {
			return nil
		}
		fsys.OnOp(nil)
		meanwhile()
		edit(t, fsys, func(b []byte) []byte {
			clear(b[from:])
			return b
		})
		return syscall.EIO
	}
}

func TestF09UnsyncedFramesAreRescuedFromMemory(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 700))
	mustSync(t, j)
	start := j.Size()
	mustAppend(t, j, recordOf(2, 700), recordOf(3, 700))
	fsys.OnOp(losePages(t, fsys, start, func() { mustAppend(t, j, recordOf(4, 700)) }))
	mustSync(t, j)
	if n, _ := j.Rescues(); n != 1 {
		t.Errorf("%d rescues, want 1", n)
	}
	after, _ := mustOpen(t, fsys.CrashKeepingNothing())
	checkContents(t, after, recordOf(1, 700), recordOf(2, 700), recordOf(3, 700), recordOf(4, 700))
}

func TestF09RescueThatLosesALargeFrameIsADiskFailure(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 700))
	mustSync(t, j)
	start := j.Size()
	mustAppend(t, j, recordOf(2, journal.OneWrite))
	fsys.OnOp(losePages(t, fsys, start, func() {}))
	if err := j.Sync(); !errors.Is(err, journal.ErrDiskFailed) {
		t.Errorf("Sync: %v", err)
	}
	after, _ := mustOpen(t, fsys.CrashKeepingNothing())
	checkContents(t, after, recordOf(1, 700))
}

func TestF10DiskThatNeverSyncsIsReported(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sync", "syncdir", "rename"} {
		fsys := newFS(t)
		j := mustCreate(t, fsys)
		mustAppend(t, j, recordOf(1, 700))
		mustSync(t, j)
		mustAppend(t, j, recordOf(2, 700))
		syncs := 0
		fsys.OnOp(func(op memfs.Op) error {
			if op.Kind == "sync" {
				syncs++
			}
			if op.Kind == kind || op.Kind == "sync" && syncs == 1 {
				return syscall.EIO
			}
			return nil
		})
		if err := j.Sync(); !errors.Is(err, journal.ErrDiskFailed) || !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: Sync on a dead disk: %v", kind, err)
		}
		if err := j.Append(recordOf(3, 10)); !errors.Is(err, journal.ErrDiskFailed) {
			t.Errorf("%s: Append after that: %v", kind, err)
		}
		if err := j.Sync(); !errors.Is(err, journal.ErrDiskFailed) {
			t.Errorf("%s: Sync after that: %v", kind, err)
		}
		_ = j.Close()
		if n := fsys.OpenFiles(); n != 0 {
			t.Errorf("%s: %d files are open", kind, n)
		}
		after, _ := mustOpen(t, fsys.CrashKeepingNothing())
		if got := contentsOf(t, after); got[1] != contentsOfRecords(recordOf(1, 700))[1] {
			t.Errorf("%s: the acknowledged record is lost", kind)
		}
	}
}

// The kernel takes pages that a failed fsync has lost for clean. A new process that reads them from the cache and
// syncs them with success must not rely on it.
func TestF10RestartDoesNotTrustThePageCacheOfAFailedFsync(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 700))
	fsys.OnOp(failing("sync", 0, 100, syscall.EIO))
	if err := j.Sync(); !errors.Is(err, journal.ErrDiskFailed) {
		t.Fatalf("Sync: %v", err)
	}
	fsys = fsys.Kill()
	j, r := mustOpen(t, fsys)
	if r.Frames != 1 {
		t.Fatalf("replay = %+v", r)
	}
	if err := j.Adopt(batch.LeaseID{2}); err != nil {
		t.Fatal(err)
	}
	after, r := mustOpen(t, fsys.CrashKeepingNothing())
	checkContents(t, after, recordOf(1, 700))
	if len(r.Leases) != 2 {
		t.Errorf("leases = %v", r.Leases)
	}
	checkNames(t, fsys, "u1")
}

func TestF10SuspectMarkGoesWithItsJournal(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 700))
	fsys.OnOp(failing("sync", 0, 100, syscall.EIO))
	_ = j.Sync()
	fsys.OnOp(nil)
	checkNames(t, fsys, "u1", "u1"+journal.SuspectSuffix)
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
	checkNames(t, fsys)
}

func TestF11AppendThatDidNotFitLeavesNoTrace(t *testing.T) {
	t.Parallel()
	kept := recordOf(1, 700)
	large := recordOf(2, 200_000)
	large.Text = spooled(large.Text.Bytes())
	huge := recordOf(2, journal.OneWrite)
	for name, r := range map[string]journal.Record{"small": recordOf(2, 700), "spooled": large, "huge": huge} {
		for _, n := range []int{0, 1, journal.HeadSize, 700} {
			for skip := range 2 {
				fsys := newFS(t)
				j := mustCreate(t, fsys)
				mustAppend(t, j, kept)
				fsys.OnOp(failing("write", skip, 1, memfs.ShortWrite{N: n, Err: syscall.ENOSPC}))
				if err := j.Append(r); skip == 0 && !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("%s, short by %d: Append: %v", name, n, err)
				} else if err == nil {
					continue // it took one write
				}
				checkContents(t, j, kept)
				if got := int64(len(readFile(t, fsys, path))); got != j.Size() {
					t.Fatalf("%s, short by %d: %d bytes left behind", name, n, got-j.Size())
				}
				fsys.OnOp(nil)
				mustAppend(t, j, recordOf(3, 700))
				mustSync(t, j)
				after, replay := mustOpen(t, fsys.CrashKeepingNothing())
				if len(replay.Damage) != 0 {
					t.Fatalf("%s, short by %d: damage %v", name, n, replay.Damage)
				}
				checkContents(t, after, kept, recordOf(3, 700))
			}
		}
	}
}

func TestF11CutThatFailsIsMadeUpForBeforeTheNextAppend(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 700))
	full := func(op memfs.Op) error {
		switch op.Kind {
		case "write":
			return memfs.ShortWrite{N: 300, Err: syscall.ENOSPC}
		case "truncate":
			return syscall.EIO
		}
		return nil
	}
	fsys.OnOp(full)
	for range 3 {
		if err := j.Append(recordOf(2, 700)); err == nil {
			t.Fatal("Append on a full disk succeeded")
		}
	}
	checkContents(t, j, recordOf(1, 700))
	mustSync(t, j)
	if after, r := mustOpen(t, fsys.Kill()); r.Frames != 1 || len(r.Damage) != 1 || !r.Damage[0].Torn {
		t.Errorf("replay = %+v", r)
	} else {
		mustAppend(t, after, recordOf(3, 100))
		checkContents(t, after, recordOf(1, 700), recordOf(3, 100))
	}
	if err := j.Release(); err != nil {
		t.Fatal(err)
	}
	fsys.OnOp(nil)
	mustAppend(t, j, recordOf(2, 700))
	_, r := mustOpen(t, fsys)
	if r.Frames != 2 || len(r.Damage) != 0 {
		t.Errorf("replay after the cut = %+v", r)
	}
}

func TestF11FullDiskAtCreateLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"create", "write", "rename"} {
		fsys := newFS(t)
		fsys.OnOp(failing(kind, 0, 1, syscall.ENOSPC))
		if _, err := journal.Create(fsys, path, header); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s fails: Create: %v", kind, err)
		}
		checkNames(t, fsys)
		if n := fsys.OpenFiles(); n != 0 {
			t.Errorf("%s fails: %d files are open", kind, n)
		}
		mustCreate(t, fsys)
	}
}

func TestF13ReadOnlyDiskGivesCleanErrors(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 700))
	mustSync(t, j)
	fsys.OnOp(func(op memfs.Op) error {
		if op.N > 0 {
			return syscall.EROFS
		}
		return nil
	})
	if err := j.Append(recordOf(2, 10)); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Append: %v", err)
	}
	if err := j.Adopt(batch.LeaseID{1}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Adopt: %v", err)
	}
	checkContents(t, j, recordOf(1, 700))
	fsys.OnOp(nil)
	mustAppend(t, j, recordOf(2, 10))
	checkContents(t, j, recordOf(1, 700), recordOf(2, 10))
}

func TestF13RunningOutOfDescriptorsIsPassing(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 700))
	mustSync(t, j)
	if err := j.Release(); err != nil {
		t.Fatal(err)
	}
	fsys.OnOp(failing("open", 0, 1<<30, syscall.EMFILE))
	if err := j.Append(recordOf(2, 10)); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("Append: %v", err)
	}
	if err := j.Lines(func(uint32, batch.Kind, batch.Usage) error { return nil }); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("Lines: %v", err)
	}
	fsys.OnOp(nil)
	mustAppend(t, j, recordOf(2, 10))
	checkContents(t, j, recordOf(1, 700), recordOf(2, 10))
}

// shrunk is a body whose file has lost its end.
type shrunk struct{ spooled }

func (s shrunk) Len() int64 { return s.spooled.Len() + 1 }

func TestTextThatCannotBeReadIsNotRecorded(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	bad := recordOf(1, 0)
	bad.Text = shrunk{spooled(strings.Repeat("x", 100_000))}
	if err := j.Append(bad); err == nil {
		t.Error("Append took a text that ends early")
	}
	mustAppend(t, j, recordOf(2, 10))
	checkContents(t, j, recordOf(2, 10))
}

func TestAppendsGoOnDuringAnFsyncAndItsRescue(t *testing.T) {
	t.Parallel()
	for _, fault := range []error{nil, syscall.EIO} {
		fsys := newFS(t)
		j := mustCreate(t, fsys)
		mustAppend(t, j, recordOf(1, 700))
		fsys.OnOp(func(op memfs.Op) error {
			if op.Kind != "sync" {
				return nil
			}
			fsys.OnOp(nil)
			mustAppend(t, j, recordOf(2, 700)) // would never return if Sync kept appends out
			return fault
		})
		mustSync(t, j)
		if fault == nil && !j.Dirty() {
			t.Error("a record appended during the fsync counts as synced")
		}
		mustSync(t, j)
		after, _ := mustOpen(t, fsys.CrashKeepingNothing())
		checkContents(t, after, recordOf(1, 700), recordOf(2, 700))
	}
}

func TestMethodsMayBeCalledConcurrently(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	syncs := 0 // there is one at a time
	fsys.OnOp(func(op memfs.Op) error {
		if op.Kind != "sync" {
			return nil
		}
		if syncs++; syncs%3 == 0 {
			return syscall.EIO
		}
		return nil
	})
	const workers, each = 8, 40
	var wg sync.WaitGroup
	for w := range uint32(workers) {
		wg.Go(func() {
			for i := range uint32(each) {
				if err := j.Append(recordOf(1+w*each+i, 100)); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range each {
				if err := j.Sync(); err != nil {
					t.Error(err)
				}
				if err := j.Release(); err != nil {
					t.Error(err)
				}
				err := j.Lines(func(uint32, batch.Kind, batch.Usage) error { return nil })
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mustSync(t, j)
	after, r := mustOpen(t, fsys.CrashKeepingNothing())
	if r.Frames != workers*each || len(r.Damage) != 0 {
		t.Errorf("replay = %d frames, damage %v", r.Frames, r.Damage)
	}
	var all []journal.Record
	for line := range uint32(workers * each) {
		all = append(all, recordOf(line+1, 100))
	}
	checkContents(t, after, all...)
}

// shortages are what a journal waits for.
var shortages = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, vfs.ErrRootGone}

// shortage returns a hook that fails operations with err, three of those that need what is short, after n of them have
// passed. If failed is set, the first fsync fails before that.
func shortage(err error, n int, failed bool) func(memfs.Op) error {
	seen := 0
	return func(op memfs.Op) error {
		switch op.Kind {
		case "write", "remove", "stat":
			return nil // these take no descriptor
		case "sync":
			if failed {
				failed = false
				return syscall.EIO
			}
			if !errors.Is(err, syscall.ENOMEM) {
				return nil
			}
		}
		if seen++; seen > n && seen <= n+3 {
			return err
		}
		return nil
	}
}

// A shortage at any operation of a Sync, for as long as it lasts, costs no record and ends nothing; nor does it where an
// fsync had failed before. Records that come meanwhile are kept too, in the order in which they came.
func TestF13AShortageInASyncIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, short := range shortages {
		for n := range 12 {
			for _, failed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v after %d, fsync failed %t", short, n, failed), func(t *testing.T) {
					fsys := newFS(t)
					j := mustCreate(t, fsys)
					records := []journal.Record{recordOf(1, 700), recordOf(2, 700)}
					mustAppend(t, j, records...)
					fsys.OnOp(shortage(short, n, failed))
					records = syncThroughShortage(t, fsys, j, records, short)
					fsys.OnOp(nil)
					after, r := mustOpen(t, fsys.CrashKeepingNothing())
					if r.Frames != len(records) || len(r.Damage) != 0 {
						t.Errorf("replay = %+v", r)
					}
					checkContents(t, after, records...)
					checkNames(t, fsys, "u1")
					_ = j.Close()
					if n := fsys.OpenFiles(); n != 0 {
						t.Errorf("%d files are open", n)
					}
				})
			}
		}
	}
}

// syncThroughShortage syncs a journal, with another record after each try that ended with short, until it is clean. It returns
// all records. Each try leaves what a kill would not harm.
func syncThroughShortage(t *testing.T, fsys *memfs.FS, j *journal.Journal, records []journal.Record, short error) []journal.Record {
	t.Helper()
	for range 8 {
		if err := j.Sync(); errors.Is(err, journal.ErrDiskFailed) || err != nil && !errors.Is(err, short) {
			t.Fatalf("Sync: %v", err)
		}
		after, r := mustOpen(t, fsys.Kill())
		if r.Frames != len(records) || len(r.Damage) != 0 {
			t.Fatalf("a kill leaves %+v", r)
		}
		checkContents(t, after, records...)
		if !j.Dirty() {
			return records
		}
		records = append(records, recordOf(uint32(len(records)+1), 700))
		mustAppend(t, j, records[len(records)-1])
	}
	t.Fatal("still dirty")
	return nil
}

// While a rescue waits for a descriptor the process may be killed: the next one must not trust the old file.
func TestF13ARescueThatWaitsLeavesItsMarkAsSoonAsItCan(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 700))
	creates := 0
	fsys.OnOp(func(op memfs.Op) error {
		switch op.Kind {
		case "sync":
			return syscall.EIO
		case "create":
			if creates++; creates != 3 { // the second try may make its mark, and no copy
				return syscall.EMFILE
			}
		}
		return nil
	})
	for range 2 {
		if err := j.Sync(); !errors.Is(err, syscall.EMFILE) || !errors.Is(err, syscall.EIO) && creates < 3 {
			t.Fatalf("Sync: %v", err)
		}
	}
	checkNames(t, fsys, "u1", "u1"+journal.SuspectSuffix)
	fsys.OnOp(nil)
	mustSync(t, j)
	checkNames(t, fsys, "u1")
	if n, _ := j.Rescues(); n != 1 {
		t.Errorf("%d rescues, want 1", n)
	}
}
