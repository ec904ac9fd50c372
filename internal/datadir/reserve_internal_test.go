package datadir

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"batchd/internal/vfs"
)

// testReserve returns a reserve on a disk of so many bytes, of which so many are free beside the reserve.
func testReserve(t *testing.T, total, free int64) (r *Reserve, room *int64, now *time.Time) {
	t.Helper()
	room, now = &free, new(time.Time)
	*now = time.Unix(1_700_000_000, 0)
	r = NewReserve(t.TempDir(), func() time.Time { return *now })
	r.size = min(reserveBytes, total/reserveShare)
	r.allocate = func(path string, size int64) error {
		if size > *room {
			return syscall.ENOSPC
		}
		return vfs.Allocate(path, size)
	}
	return r, room, now
}

func length(t *testing.T, r *Reserve) int64 {
	t.Helper()
	info, err := os.Stat(r.path)
	if os.IsNotExist(err) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestAReserveIsTakenGivenAndTakenAgain(t *testing.T) {
	t.Parallel()
	r, _, _ := testReserve(t, 1<<40, 1<<40)
	if r.Refill(); r.Release() || length(t, r) != 0 {
		t.Error("something was taken before it was to be kept")
	}
	r.Keep()
	if got := length(t, r); got != reserveBytes {
		t.Errorf("%d bytes are kept, want %d", got, reserveBytes)
	}
	if !r.Release() || length(t, r) != 0 || r.Release() {
		t.Error("not released, or twice")
	}
	if r.Refill(); length(t, r) != reserveBytes {
		t.Error("not taken again")
	}
}

func TestAFullDiskGivesWhatItHasAndIsAskedAgainAfterAWhile(t *testing.T) {
	t.Parallel()
	r, room, now := testReserve(t, 1<<40, 3*reserveStep+100)
	r.Keep()
	if got := length(t, r); got != 3*reserveStep {
		t.Errorf("%d bytes are kept, want %d", got, 3*reserveStep)
	}
	*room = 1 << 40
	if r.Refill(); length(t, r) != 3*reserveStep {
		t.Error("the disk was asked again at once")
	}
	*now = now.Add(refillEvery)
	if r.Refill(); length(t, r) != reserveBytes {
		t.Error("the disk was not asked again")
	}
	*room = 0
	if !r.Release() || length(t, r) != 0 {
		t.Error("not released")
	}
	r.Refill()
	*room = 1 << 40
	*now = now.Add(-time.Hour) // the clock goes back
	if r.Refill(); length(t, r) != reserveBytes {
		t.Error("a clock that went back keeps it from being taken")
	}
}

func TestASmallDiskHasASmallReserve(t *testing.T) {
	t.Parallel()
	r, _, _ := testReserve(t, 64<<20, 1<<40)
	r.Keep()
	if got := length(t, r); got != 1<<20 {
		t.Errorf("%d bytes are kept of 64 MiB, want 1 MiB", got)
	}
}

func TestAReserveOfAnEarlierProcessIsTakenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := vfs.Allocate(filepath.Join(dir, ReserveFile), reserveStep); err != nil {
		t.Fatal(err)
	}
	r := NewReserve(dir, time.Now)
	if !r.Release() || length(t, r) != 0 {
		t.Error("what was left is not there, or not released")
	}
}
