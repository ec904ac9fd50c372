package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// smallDisk stands for a disk that has room for the pages that are there, and for some more in reserve: SQLite refuses
// further ones with the same error. It runs in the store's turn.
type smallDisk struct {
	t     *testing.T
	store *Store
	// extra is how many pages the reserve has; released counts how often it was given.
	extra    int64
	released int
}

// fill bounds the pages to those that are there and more.
func (d *smallDisk) fill(more int64) {
	conn := d.store.writer.conn
	pages, err := pragma(d.t.Context(), conn, "page_count")
	if err == nil {
		_, err = conn.ExecContext(d.t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages+more))
	}
	if err != nil {
		d.t.Error(err)
	}
}

func (d *smallDisk) Release() bool {
	d.released++
	if d.extra > 0 {
		d.fill(d.extra)
	}
	return d.extra > 0
}

// Refill takes the reserve back where it was given.
func (d *smallDisk) Refill() {
	if d.released > 0 {
		d.fill(0)
	}
}

// fullStore returns a store without room, and the ids of the files in it.
func fullStore(t *testing.T, extra int64) (*Store, *smallDisk, []string) {
	t.Helper()
	disk := &smallDisk{t: t, extra: extra}
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "batchd.db"), Options{MayCreate: true, Tenant: "t", Reserve: disk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	disk.store = s
	var ids []string
	for i := range 200 {
		if err := s.CreateFile(t.Context(), someFile(i)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, someFile(i).ID)
	}
	disk.fill(0)
	for i := 200; ; i++ {
		err := s.CreateFile(t.Context(), someFile(i))
		if errors.Is(err, store.ErrNoSpace) {
			break
		}
		if err != nil || i == 1000 {
			t.Fatalf("file %d: got %v, want that there is no room", i, err)
		}
		ids = append(ids, someFile(i).ID)
	}
	if disk.released > 0 {
		t.Error("a new file was given the reserve")
	}
	return s, disk, ids
}

// someFile has a name that takes much of a page.
func someFile(i int) batch.File {
	return batch.File{ID: fmt.Sprintf("file-%d", i), Tenant: "t", Name: fmt.Sprintf("%02000d", i), Bytes: 1, CreatedAt: now}
}

var now = time.Unix(1_700_000_000, 0)

func TestOnAFullDiskFilesAreDeletedAndPurgedButNotMade(t *testing.T) {
	t.Parallel()
	s, disk, ids := fullStore(t, 20)
	for _, id := range ids {
		if err := s.DeleteFile(t.Context(), "t", id, now); err != nil {
			t.Fatalf("delete %s: %v", id, err)
		}
	}
	if disk.released == 0 {
		t.Error("all was deleted without the reserve: the test shows nothing")
	}
	if n, err := s.PurgeFiles(t.Context(), ids); n != len(ids) || err != nil {
		t.Errorf("purged %d of %d files: %v", n, len(ids), err)
	}
	if err := s.CreateFile(t.Context(), someFile(-1)); err != nil {
		t.Errorf("create a file where there is room again: %v", err)
	}
}

func TestWithoutAReserveADeleteSaysThatThereIsNoRoom(t *testing.T) {
	t.Parallel()
	s, disk, ids := fullStore(t, 0)
	var failed error
	for _, id := range ids {
		if failed = s.DeleteFile(t.Context(), "t", id, now); failed != nil {
			break
		}
	}
	if !errors.Is(failed, store.ErrNoSpace) || disk.released == 0 {
		t.Errorf("got %v after the reserve was asked for %d times, want that there is no room", failed, disk.released)
	}
}

// TestOnAFullDiskOnlyWhatMakesRoomGetsTheReserve has writes of both kinds share transactions. A new file may find room in a
// page that was split for the reserve.
func TestOnAFullDiskOnlyWhatMakesRoomGetsTheReserve(t *testing.T) {
	t.Parallel()
	s, _, ids := fullStore(t, 20)
	s.writer.turn <- struct{}{} // all of them wait for each other
	var writes sync.WaitGroup
	var refused atomic.Int64
	for i, id := range ids {
		writes.Go(func() {
			if err := s.DeleteFile(t.Context(), "t", id, now); err != nil {
				t.Errorf("delete %s: %v", id, err)
			}
		})
		writes.Go(func() {
			err := s.CreateFile(t.Context(), someFile(2000+i))
			if errors.Is(err, store.ErrNoSpace) {
				refused.Add(1)
			} else if err != nil {
				t.Errorf("create %d: got %v, want that there is no room", i, err)
			}
		})
	}
	<-s.writer.turn
	writes.Wait()
	if n := refused.Load(); n < int64(len(ids)/2) {
		t.Errorf("%d of %d new files were refused", n, len(ids))
	}
}

func TestAnErrorThatIsNotAboutRoomIsNoLackOfIt(t *testing.T) {
	t.Parallel()
	s, disk, _ := fullStore(t, 20)
	for _, err := range []error{
		s.DeleteFile(t.Context(), "t", "none", now),
		s.write(t.Context(), func(ctx context.Context, t *tx) error { _, err := t.change(ctx, `no SQL`); return err }),
	} {
		if err == nil || errors.Is(err, store.ErrNoSpace) {
			t.Errorf("got %v", err)
		}
	}
	if disk.released > 0 {
		t.Error("the reserve was given for nothing")
	}
	if diskFull(s.path) {
		t.Error("the disk of the tests counts as full")
	}
}
