package scrub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
	"batchd/internal/scrub"
	"batchd/internal/store"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const day = 24 * time.Hour

// disk is a backend that counts the reads of each object, and on which objects can be damaged.
type disk struct {
	blob.Backend
	// took is how long a read takes.
	took time.Duration

	// mu guards following fields.
	mu    sync.Mutex
	reads map[string]int
	wrong map[string]error
}

// errFlipped stands for a bit that has changed.
var errFlipped = errors.New("flipped")

func (d *disk) ReadAt(ctx context.Context, key string, p []byte, off int64) (int, error) {
	d.mu.Lock()
	d.reads[key]++
	wrong := d.wrong[key]
	d.mu.Unlock()
	time.Sleep(d.took)
	if wrong != nil && !errors.Is(wrong, errFlipped) {
		return 0, wrong
	}
	n, err := d.Backend.ReadAt(ctx, key, p, off)
	if wrong != nil && n > 0 {
		p[0] ^= 1
	}
	return n, err
}

// spoil makes an object answer with an error, or with a flipped bit, or well again with nil.
func (d *disk) spoil(key string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wrong[key] = err
}

// read returns how often each object was read since the last call.
func (d *disk) read() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.reads
	d.reads = make(map[string]int)
	return was
}

// rows is a store in memory.
type rows struct {
	// mu guards following fields.
	mu      sync.Mutex
	state   store.ScrubState
	saves   int
	files   []batch.File
	hidden  map[string]bool
	damages []store.Damage
	fails   error
}

func (r *rows) ScrubState(context.Context) (store.ScrubState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.fails
}

func (r *rows) SaveScrub(ctx context.Context, s store.ScrubState) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.state, r.saves = s, r.saves+1
	return r.fails
}

func (r *rows) FilesFrom(_ context.Context, first int64, n int) ([]batch.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []batch.File
	for _, f := range r.files {
		if f.Seq >= first && len(found) < n && !r.hidden[f.ID] {
			found = append(found, f)
		}
	}
	return found, r.fails
}

func (r *rows) RecordDamage(_ context.Context, d store.Damage) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hidden[d.File] {
		return false, r.fails
	}
	for i, known := range r.damages {
		if known.File == d.File && known.Key == d.Key {
			r.damages[i].Seen, r.damages[i].Problem = d.Seen, d.Problem
			return false, r.fails
		}
	}
	d.Found = d.Seen
	for _, f := range r.files {
		if f.ID == d.File {
			d.Seq = f.Seq
		}
	}
	r.damages = append(r.damages, d)
	return true, r.fails
}

func (r *rows) ForgetDamage(_ context.Context, before time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var kept []store.Damage
	for _, d := range r.damages {
		if !d.Seen.Before(before) {
			kept = append(kept, d)
		}
	}
	r.damages = kept
	return r.fails
}

func (r *rows) DropDamage(_ context.Context, fileID, key string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.damages = slices.DeleteFunc(r.damages, func(d store.Damage) bool { return d.File == fileID && d.Key == key })
	return r.fails
}

func (r *rows) Damages(_ context.Context, n int) ([]store.Damage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var shown []store.Damage
	for _, d := range r.damages {
		if !r.hidden[d.File] && len(shown) < n {
			shown = append(shown, d)
		}
	}
	return shown, r.fails
}

func (r *rows) change(how func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	how()
}

func (r *rows) at() store.ScrubState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// world is a store with files, over a disk.
type world struct {
	t *testing.T
	*scrub.Scrubber
	rows     *rows
	disk     *disk
	blobs    blob.Store
	log      *bytes.Buffer
	registry *prometheus.Registry
	every    time.Duration
	rate     int64
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, rows: &rows{hidden: make(map[string]bool)}, log: &bytes.Buffer{}, every: 7 * day, rate: 2 * batch.MiB,
		disk: &disk{Backend: blobtest.NewMemory(), reads: make(map[string]int), wrong: make(map[string]error)},
	}
	w.blobs = blob.NewStore(w.disk, blob.Options{CacheBlocks: -1})
	return w
}

// put stores an object of so many blocks.
func (w *world) put(key string, blocks int) batch.Blob {
	w.t.Helper()
	b, err := w.blobs.Put(w.t.Context(), key, bytes.NewReader(blobtest.Random(1, blocks*batch.BlobBlock)))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// add adds a file that is the blobs one after the other.
func (w *world) add(id string, blobs ...batch.Blob) {
	f := batch.File{ID: id, Purpose: batch.PurposeBatchOutput, Seq: int64(len(w.rows.files)) + 1}
	for _, b := range blobs {
		f.Content = f.Content.Append(b, 0, b.Size)
	}
	f.Bytes = f.Content.Size()
	w.rows.change(func() { w.rows.files = append(w.rows.files, f) })
}

// run starts a scrubber, as a process does that starts; it ends with the test or by what is returned.
func (w *world) run() (stop func()) {
	w.registry = prometheus.NewRegistry()
	w.Scrubber = scrub.New(scrub.Options{
		Store: w.rows, Blobs: w.blobs, Every: w.every, Rate: w.rate, Now: time.Now,
		Logger: slog.New(slog.NewTextHandler(w.log, nil)), Registerer: w.registry,
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	w.t.Cleanup(stop)
	return stop
}

// value returns what a metric shows.
func (w *world) value(name string) float64 {
	w.t.Helper()
	all, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range all {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	w.t.Fatalf("no metric %s; there are %d", name, testutil.CollectAndCount(w.registry))
	return 0
}

func TestAPassReadsEveryFileOnceAWeek(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		shared := w.put("segments/a", 2)
		w.add("one", shared, w.put("segments/b", 1))
		w.add("two", shared)
		w.run()
		time.Sleep(time.Minute)
		began := w.rows.at().Started
		for range 3 {
			synctest.Wait()
			if got := w.disk.read(); got["segments/a"] != 4 || got["segments/b"] != 1 {
				t.Errorf("read %v", got)
			}
			time.Sleep(7*day - 2*time.Minute)
			if got := w.disk.read(); len(got) > 0 {
				t.Errorf("read %v before it was due", got)
			}
			time.Sleep(2 * time.Minute)
			if started := w.rows.at().Started; started.Sub(began) < 7*day || started.Sub(began) > 7*day+time.Second {
				t.Errorf("a pass began %s after the one before", started.Sub(began))
			} else {
				began = started
			}
		}
		if got := w.value("batchd_scrub_bytes_total"); got != 4*5<<20 {
			t.Errorf("%f bytes counted", got)
		}
		if got, want := w.value("batchd_scrub_last_pass_timestamp_seconds"), float64(w.rows.at().Finished.Unix()); got != want {
			t.Errorf("the last pass ended at %f, want %f", got, want)
		}
		if w.value("batchd_scrub_damaged_blobs") != 0 || w.log.Len() > 0 {
			t.Errorf("it found something:\n%s", w.log)
		}
	})
}

// A read that takes long is one that others make wait, so nothing is read for four times as long.
func TestAPassKeepsToItsRateAndLeavesABusyDiskAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ took, want time.Duration }{
		{0, 10 * time.Second}, {50 * time.Millisecond, 10 * time.Second}, {time.Second, 100 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.disk.took = c.took
			w.add("one", w.put("files/a", 20))
			w.run()
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if got := w.rows.at().Finished.Sub(w.rows.at().Started); got < c.want-time.Second || got > c.want+time.Second {
				t.Errorf("a block in %s: 20 MiB took %s, want %s", c.took, got, c.want)
			}
		})
	}
}

func TestARestartGoesOnWhereThePassWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 3 {
			w.add(fmt.Sprint("small", i), w.put(fmt.Sprint("files/small", i), 1))
		}
		w.add("large", w.put("files/large", 100))
		w.add("last", w.put("files/last", 1))
		w.disk.spoil("files/small1", errFlipped)
		stop := w.run()
		time.Sleep(30 * time.Second)
		stop()
		first := w.disk.read()
		if first["files/small0"] != 1 || first["files/large"] < 50 || first["files/large"] > 60 || first["files/last"] != 0 {
			t.Fatalf("before the stop: %v", first)
		}
		began := w.rows.at().Started
		time.Sleep(day)
		w.run()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		second := w.disk.read()
		if total := first["files/large"] + second["files/large"]; second["files/small0"] != 0 || total < 100 || total > 116 || second["files/last"] != 1 {
			t.Errorf("after the start: %v", second)
		}
		if s := w.rows.at(); !s.Started.Equal(began) || s.Finished.Before(began) {
			t.Errorf("the pass is %+v", s)
		}
		if _, damaged := w.Damage("small1"); !damaged {
			t.Error("what was found before the stop is forgotten")
		}
		if w.rows.saves > 30 {
			t.Errorf("the place was saved %d times", w.rows.saves)
		}
	})
}

func TestDamageIsToldOncePerBlobUntilItIsMended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.every = day
		shared := w.put("segments/a", 3)
		w.add("output", shared, w.put("segments/b", 1))
		w.add("errors", shared)
		w.add("input", w.put("files/a", 1))
		w.add("good", w.put("files/good", 1))
		w.disk.spoil("segments/a", errFlipped)
		w.disk.spoil("files/a", fmt.Errorf("read it: %w", syscall.EACCES))
		w.run()
		found := time.Now()
		time.Sleep(10*day + time.Hour)
		synctest.Wait()
		for id, want := range map[string]store.Problem{
			"output": store.ProblemDamaged, "errors": store.ProblemDamaged, "input": store.ProblemUnreadable, "good": "",
		} {
			d, damaged := w.Damage(id)
			if damaged != (want != "") || d.Problem != want || damaged && d.Found.Sub(found) > time.Minute {
				t.Errorf("%s: got %+v, want %q", id, d, want)
			}
		}
		if since, any := w.Since(); !any || since.Sub(found) > time.Minute || w.value("batchd_scrub_damaged_blobs") != 2 {
			t.Errorf("since %s, %v, %f blobs", since, any, w.value("batchd_scrub_damaged_blobs"))
		}
		if got := strings.Count(w.log.String(), "level=ERROR"); got != 2 || !strings.Contains(w.log.String(), "file=output purpose=batch_output key=segments/a problem=damaged") {
			t.Errorf("%d lines:\n%s", got, w.log)
		}
		w.disk.spoil("segments/a", nil)
		w.disk.spoil("files/a", fmt.Errorf("read it: %w", blob.ErrNotExist))
		time.Sleep(day)
		synctest.Wait()
		if _, damaged := w.Damage("output"); damaged {
			t.Error("what was mended is still told")
		}
		if d, _ := w.Damage("input"); d.Problem != store.ProblemMissing || strings.Count(w.log.String(), "level=ERROR") != 2 {
			t.Errorf("%+v\n%s", d, w.log)
		}
	})
}

// Who has put a file back need not wait for the next pass to see that it is well.
func TestWhatWasMendedIsTakenBackWithinTheHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.put("segments/a", 1), w.put("segments/b", 1)
		w.add("output", a, b, a)
		w.disk.spoil("segments/a", errFlipped)
		w.disk.spoil("segments/b", blob.ErrNotExist)
		w.run()
		time.Sleep(5*time.Hour + 30*time.Minute) // between two looks
		w.disk.spoil("segments/a", nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if d, _ := w.Damage("output"); d.Key != "segments/b" || w.value("batchd_scrub_damaged_blobs") != 1 {
			t.Errorf("got %+v", d)
		}
		w.disk.spoil("segments/b", nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, any := w.Since(); any || strings.Count(w.log.String(), "can be read again") != 2 {
			t.Errorf("something is still told:\n%s", w.log)
		}
		w.disk.read()
		time.Sleep(day)
		if got := w.disk.read(); len(got) > 0 {
			t.Errorf("read %v with nothing known", got)
		}
	})
}

// A file that is deleted while it is read loses its bytes: that is no damage, and what was one goes with its file.
func TestADeletedFileIsNotDamaged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("f", w.put("files/a", 20))
		w.add("g", w.put("files/b", 1))
		w.disk.spoil("files/b", errFlipped)
		w.run()
		time.Sleep(time.Second)
		w.rows.change(func() { w.rows.hidden["f"] = true })
		w.disk.spoil("files/a", blob.ErrNotExist)
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, damaged := w.Damage("f"); damaged || strings.Contains(w.log.String(), "files/a") {
			t.Errorf("a deleted file is damaged:\n%s", w.log)
		}
		if _, damaged := w.Damage("g"); !damaged {
			t.Error("the damaged file is not told")
		}
		w.rows.change(func() { w.rows.hidden["g"] = true })
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if _, any := w.Since(); any {
			t.Error("damage of a deleted file is still told")
		}
	})
}

func TestAManifestThatCannotBeReadIsDamage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		raw := batch.EncodeManifest(batch.Manifest{}.Append(w.put("segments/a", 1), 0, batch.BlobBlock))
		b, err := w.blobs.Put(t.Context(), "manifests/f", bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		w.rows.files = []batch.File{{ID: "f", Seq: 1, Bytes: batch.BlobBlock, ContentBlob: b}}
		w.every = time.Hour
		w.run()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := w.disk.read(); got["segments/a"] != 1 || got["manifests/f"] != 1 {
			t.Errorf("read %v", got)
		}
		w.disk.spoil("manifests/f", errFlipped)
		time.Sleep(time.Hour)
		synctest.Wait()
		if d, _ := w.Damage("f"); d.Key != "manifests/f" {
			t.Errorf("got %+v", d)
		}
	})
}

// With scrubbing off nothing is read, and what was found before is still told.
func TestOffReadsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.every = 0
		w.add("f", w.put("files/a", 1))
		w.rows.damages = []store.Damage{{File: "f", Key: "files/a", Problem: store.ProblemDamaged, Found: time.Now(), Seen: time.Now()}}
		w.run()
		time.Sleep(100 * day)
		synctest.Wait()
		if got := w.disk.read(); len(got) > 0 {
			t.Errorf("read %v", got)
		}
		if _, damaged := w.Damage("f"); !damaged {
			t.Error("what was found before is not told")
		}
	})
}

func TestAStoreThatFailsIsAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("f", w.put("files/a", 1))
		w.rows.fails = errors.New("locked")
		w.run()
		time.Sleep(5 * time.Minute)
		w.rows.change(func() { w.rows.fails = nil })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := w.disk.read(); got["files/a"] != 1 {
			t.Errorf("read %v", got)
		}
		if got := strings.Count(w.log.String(), "scrub; trying again"); got < 4 || got > 6 {
			t.Errorf("told %d times in five minutes:\n%s", got, w.log)
		}
	})
}
