package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
	"batchd/internal/store"
	"batchd/internal/sweep"
)

// maintained is a store with things that are due.
type maintained struct {
	// mu guards following fields.
	mu       sync.Mutex
	windows  map[string]time.Time
	expiring int
	// hidden are in the order in which they were hidden. files says which of them have a blob; what nobody has is not in it.
	hidden []store.HiddenFile
	files  map[string][]string
	// failPurge is how often purging fails.
	failPurge  int
	dropped    map[string]time.Time
	keys       []time.Time
	uploads    []time.Time
	over       []time.Time
	deliveries []time.Time
	referenced map[string]bool
	leases     map[batch.LeaseID]bool
}

func (m *maintained) SettleWindows(context.Context, time.Duration) (int, error) { return 0, nil }

func (m *maintained) ExpireBatches(_ context.Context, now time.Time) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id, at := range m.windows {
		if !now.Before(at) {
			ids = append(ids, id)
			delete(m.windows, id)
		}
	}
	return ids, nil
}

func (m *maintained) DeleteExpiredFiles(_ context.Context, now time.Time, n int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n = min(n, m.expiring)
	m.expiring -= n
	for range n {
		m.hide(now)
	}
	return n, nil
}

// hide hides one more file and returns its id. The lock is the caller's.
func (m *maintained) hide(at time.Time) string {
	seq := int64(len(m.hidden) + 1)
	id := fmt.Sprintf("file-%d", seq)
	m.hidden = append(m.hidden, store.HiddenFile{ID: id, Seq: seq, HiddenAt: at, Blobs: 1})
	return id
}

func (m *maintained) HiddenFiles(_ context.Context, q store.HiddenQuery) ([]store.HiddenFile, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page []store.HiddenFile
	for _, f := range m.hidden {
		after := f.HiddenAt.After(q.After.HiddenAt) || f.HiddenAt.Equal(q.After.HiddenAt) && f.Seq > q.After.Seq
		if after && (q.Before.IsZero() || f.HiddenAt.Before(q.Before)) && len(page) < q.Limit {
			page = append(page, f)
		}
	}
	return page, nil
}

func (m *maintained) LastReferences(_ context.Context, ids []string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for key, files := range m.files {
		if !slices.ContainsFunc(files, func(id string) bool { return !slices.Contains(ids, id) }) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (m *maintained) PurgeFiles(_ context.Context, ids []string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failPurge > 0 {
		m.failPurge--
		return 0, errors.New("the database takes nothing")
	}
	before := len(m.hidden)
	m.hidden = slices.DeleteFunc(m.hidden, func(f store.HiddenFile) bool { return slices.Contains(ids, f.ID) })
	for key, files := range m.files {
		m.files[key] = slices.DeleteFunc(files, func(id string) bool { return slices.Contains(ids, id) })
		if len(m.files[key]) == 0 {
			delete(m.files, key)
		}
	}
	return before - len(m.hidden), nil
}

func (m *maintained) DroppedBlobs(_ context.Context, before, beyond time.Time, n int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for key, at := range m.dropped {
		if (at.Before(before) || at.After(beyond)) && len(keys) < n {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Freeing counts each file as a byte.
func (m *maintained) Freeing(context.Context, string, time.Time) (store.Freeing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return store.Freeing{Bytes: int64(len(m.hidden))}, nil
}

func (m *maintained) ForgetDroppedBlobs(_ context.Context, keys []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		delete(m.dropped, key)
	}
	return nil
}

func (m *maintained) ForgetIdempotencyKeys(_ context.Context, before time.Time, n int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return dropOld(&m.keys, before, n), nil
}

func (m *maintained) ExpireUploads(_ context.Context, now time.Time, n int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n = dropOld(&m.uploads, now, n)
	for range n {
		m.over = append(m.over, now)
	}
	return n, nil
}

func (m *maintained) ForgetUploads(_ context.Context, before time.Time, n int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return dropOld(&m.over, before, n), nil
}

func (m *maintained) ForgetDeliveries(_ context.Context, before time.Time, n int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return dropOld(&m.deliveries, before, n), nil
}

// dropOld removes at most n times that lie before the given one, and returns how many there were.
func dropOld(times *[]time.Time, before time.Time, n int) int {
	dropped := 0
	*times = slices.DeleteFunc(*times, func(at time.Time) bool {
		if dropped < n && at.Before(before) {
			dropped++
			return true
		}
		return false
	})
	return dropped
}

func (m *maintained) Unreferenced(_ context.Context, keys []string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var free []string
	for _, k := range keys {
		if !m.referenced[k] {
			free = append(free, k)
		}
	}
	return free, nil
}

func (m *maintained) LiveLeases(context.Context) (map[batch.LeaseID]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leases, nil
}

// start runs a sweeper over m and blobs, whose files nobody reads, until the test ends.
func start(t *testing.T, m *maintained, blobs blob.Store, expired func(string)) {
	startWith(t, sweep.Options{Store: m, Blobs: blobs, Expired: expired, Busy: func(string) bool { return false }, Now: time.Now})
}

// startWith runs a sweeper until the test ends or stop is called.
func startWith(t *testing.T, o sweep.Options) (stop func()) {
	o.Logger = slog.New(slog.DiscardHandler)
	if o.Deleted == nil {
		o.Deleted = func(int64) {}
	}
	s := sweep.New(o)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

func newBlobs() blob.Store { return blob.NewStore(blobtest.NewMemory(), blob.Options{}) }

func TestPassedWindowIsNoticedWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		due := time.Now().Add(time.Hour)
		at := make(chan time.Time, 1)
		start(t, &maintained{windows: map[string]time.Time{"b": due}}, newBlobs(), func(string) { at <- time.Now() })
		if late := (<-at).Sub(due); late < 0 || late > time.Second {
			t.Errorf("noticed %s after the window, want at most 1 s", late)
		}
	})
}

func TestUploadsEndWhenTheirTimeIsOverAndStayADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maintained{uploads: []time.Time{time.Now().Add(time.Hour)}}
		start(t, m, newBlobs(), nil)
		count := func() (int, int) { m.mu.Lock(); defer m.mu.Unlock(); return len(m.uploads), len(m.over) }
		time.Sleep(2 * time.Hour)
		if pending, over := count(); pending != 0 || over != 1 {
			t.Errorf("after two hours %d are pending and %d over, want 0 and 1", pending, over)
		}
		time.Sleep(24 * time.Hour)
		if _, over := count(); over != 0 {
			t.Error("it is remembered after a day")
		}
	})
}

func TestDeliveriesAreRememberedForAMonth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		m := &maintained{deliveries: []time.Time{time.Now().Add(-29 * day)}}
		start(t, m, newBlobs(), nil)
		count := func() int { m.mu.Lock(); defer m.mu.Unlock(); return len(m.deliveries) }
		time.Sleep(day - time.Hour)
		if count() != 1 {
			t.Error("it was forgotten within a month")
		}
		time.Sleep(2 * time.Hour)
		if count() != 0 {
			t.Error("it is remembered after a month")
		}
	})
}

func TestI28KeysAreForgottenOnceTheStoreNoLongerHonoursThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maintained{}
		for range 1200 {
			m.keys = append(m.keys, time.Now())
		}
		start(t, m, newBlobs(), nil)
		count := func() int { m.mu.Lock(); defer m.mu.Unlock(); return len(m.keys) }
		time.Sleep(store.IdempotencyKeyTTL)
		if left := count(); left != 1200 {
			t.Errorf("%d of 1200 keys are left while they are honoured", left)
		}
		time.Sleep(15 * time.Minute)
		if left := count(); left != 0 {
			t.Errorf("%d keys are left a quarter of an hour later", left)
		}
	})
}

// put stores an object under key.
func put(t *testing.T, blobs blob.Store, key string) {
	t.Helper()
	if _, err := blobs.Put(t.Context(), key, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
}

// keys lists what is stored.
func keys(t *testing.T, blobs blob.Store) []string {
	t.Helper()
	var all []string
	if err := blobs.List(t.Context(), "", func(i blob.Info) error { all = append(all, i.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func TestUnreferencedBlobGoesOnlyAfterADayAndASecondLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lease := batch.NewLeaseID()
		held := "plans/00/b-" + lease.String()
		m := &maintained{referenced: map[string]bool{"files/used": true}, leases: map[batch.LeaseID]bool{lease: true}}
		blobs := newBlobs()
		for _, key := range []string{"files/used", "files/lost", "files/late", held} {
			put(t, blobs, key)
		}
		start(t, m, blobs, nil)
		time.Sleep(23 * time.Hour)
		if got := len(keys(t, blobs)); got != 4 {
			t.Fatalf("%d of 4 blobs are left after 23 hours", got)
		}
		m.mu.Lock()
		m.referenced["files/late"] = true // its row was committed between the two looks
		m.mu.Unlock()
		time.Sleep(3 * time.Hour)
		want := []string{"files/late", "files/used", held}
		if got := keys(t, blobs); !slices.Equal(got, want) {
			t.Errorf("left after 26 hours: %v, want %v", got, want)
		}
		m.mu.Lock()
		delete(m.referenced, "files/late")
		m.leases = nil
		m.mu.Unlock()
		time.Sleep(20 * time.Hour)
		if got := keys(t, blobs); !slices.Equal(got, want) {
			t.Errorf("a blob went %v: the day starts anew with each mark", got)
		}
		time.Sleep(6 * time.Hour)
		if got := keys(t, blobs); !slices.Equal(got, []string{"files/used"}) {
			t.Errorf("left at the end: %v, want the used one", got)
		}
	})
}
