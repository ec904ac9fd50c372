package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/blob"
	"batchd/internal/openfile"
	"batchd/internal/store"
	"batchd/internal/sweep"
)

func (m *maintained) countHidden() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.hidden)
}

func TestI24DeletedFilesBytesStayTenMinutesForDownloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maintained{expiring: 1200}
		var deleted atomic.Int64
		startWith(t, sweep.Options{Store: m, Blobs: newBlobs(), Busy: func(string) bool { return false }, Deleted: deleted.Store, Now: time.Now})
		time.Sleep(time.Minute)
		if deleted.Load() != 1200 {
			t.Errorf("%d bytes are told to wait", deleted.Load())
		}
		if hidden := m.countHidden(); hidden != 1200 {
			t.Errorf("after a minute %d of 1200 are hidden", hidden)
		}
		time.Sleep(9 * time.Minute)
		if hidden := m.countHidden(); hidden != 1200 {
			t.Errorf("purged %d files within ten minutes", 1200-hidden)
		}
		time.Sleep(30 * time.Second)
		if hidden := m.countHidden(); hidden != 0 {
			t.Errorf("%d files are left after ten minutes", hidden)
		}
		if deleted.Load() != 0 {
			t.Errorf("%d bytes are told to wait at the end", deleted.Load())
		}
	})
}

// held is a world with one deleted file that has the blob "files/own" and shares "files/shared" with another one.
func held(t *testing.T) (*maintained, blob.Store) {
	t.Helper()
	m, blobs := &maintained{}, newBlobs()
	first, second := m.hide(time.Now()), m.hide(time.Now())
	m.files = map[string][]string{"files/own": {first}, "files/shared": {first, second}}
	put(t, blobs, "files/own")
	put(t, blobs, "files/shared")
	return m, blobs
}

func TestI24TheTenMinutesAreCountedFromTheLastDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, blobs := held(t)
		reading := openfile.NewRegistry(store.DeletedStay)
		download := reading.Hold("file-1")
		startWith(t, sweep.Options{Store: m, Blobs: blobs, Busy: reading.Busy, Now: time.Now})
		time.Sleep(3 * time.Hour)
		if got := keys(t, blobs); len(got) != 2 || m.countHidden() != 1 {
			t.Fatalf("left while it is downloaded: %v, %d files", got, m.countHidden())
		}
		download.Release()
		time.Sleep(store.DeletedStay - time.Second)
		if got := keys(t, blobs); len(got) != 2 {
			t.Fatalf("left within ten minutes of the download: %v", got)
		}
		time.Sleep(store.DeletedGone - store.DeletedStay)
		if got := keys(t, blobs); len(got) != 0 || m.countHidden() != 0 {
			t.Errorf("left after ten minutes: %v, %d files", got, m.countHidden())
		}
	})
}

// TestTheStayIsNotBegunAnewByARestart has the process die every five minutes.
func TestTheStayIsNotBegunAnewByARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, blobs := held(t)
		for range 3 {
			stop := startWith(t, sweep.Options{Store: m, Blobs: blobs, Busy: func(string) bool { return false }, Now: time.Now})
			time.Sleep(5 * time.Minute)
			stop()
		}
		if got := keys(t, blobs); len(got) != 0 || m.countHidden() != 0 {
			t.Errorf("left after 15 minutes: %v, %d files", got, m.countHidden())
		}
	})
}

func TestACrashBetweenTheBlobsAndTheRowIsCompletedByTheNextTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, blobs := held(t)
		m.failPurge = 2
		start(t, m, blobs, nil)
		time.Sleep(store.DeletedStay + 15*time.Second)
		if got := keys(t, blobs); len(got) != 0 || m.countHidden() != 2 {
			t.Errorf("after the first turn: %v, %d files", got, m.countHidden())
		}
		time.Sleep(20 * time.Second)
		if m.countHidden() != 0 {
			t.Errorf("%d files are left", m.countHidden())
		}
	})
}

// stubborn does not delete one of its blobs.
type stubborn struct {
	blob.Store
	key string
}

func (s stubborn) Delete(ctx context.Context, key string) error {
	if key == s.key {
		return errors.New("the disk is read-only there")
	}
	return s.Store.Delete(ctx, key)
}

func TestAFileWhoseBytesStayKeepsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, blobs := &maintained{files: make(map[string][]string)}, newBlobs()
		for i := range 250 {
			key := fmt.Sprintf("files/%d", i)
			m.files[key] = []string{m.hide(time.Now())}
			put(t, blobs, key)
		}
		start(t, m, stubborn{blobs, "files/7"}, nil)
		time.Sleep(store.DeletedGone)
		if got := keys(t, blobs); !slices.Equal(got, []string{"files/7"}) || m.countHidden() != 1 {
			t.Errorf("left: %v, %d files", got, m.countHidden())
		}
	})
}

func TestWhatWasHiddenAfterNowGoesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, blobs := &maintained{dropped: map[string]time.Time{"parts/a": time.Now().Add(time.Hour)}}, newBlobs()
		m.files = map[string][]string{"files/a": {m.hide(time.Now().Add(24 * 365 * time.Hour))}}
		put(t, blobs, "files/a")
		put(t, blobs, "parts/a")
		start(t, m, blobs, nil)
		time.Sleep(time.Minute)
		if got := keys(t, blobs); len(got) != 0 || m.countHidden() != 0 {
			t.Errorf("left: %v, %d files", got, m.countHidden())
		}
	})
}

func TestDroppedBlobsStayTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, blobs := &maintained{dropped: make(map[string]time.Time)}, newBlobs()
		for i := range 1200 {
			key := fmt.Sprintf("parts/%d", i)
			m.dropped[key] = time.Now()
			put(t, blobs, key)
		}
		start(t, m, blobs, nil)
		time.Sleep(store.DeletedStay)
		if got := len(keys(t, blobs)); got != 1200 {
			t.Errorf("%d of 1200 are left within ten minutes", got)
		}
		time.Sleep(store.DeletedGone - store.DeletedStay)
		m.mu.Lock()
		defer m.mu.Unlock()
		if got := len(keys(t, blobs)); got != 0 || len(m.dropped) != 0 {
			t.Errorf("%d blobs and %d rows are left", got, len(m.dropped))
		}
	})
}
