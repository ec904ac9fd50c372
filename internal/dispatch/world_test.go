package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/limit"
	"batchd/internal/store"

	"github.com/prometheus/client_golang/prometheus"
)

// world is a batch of small units with a scripted upstream, for tests in fake time.
type world struct {
	t     *testing.T
	d     *dispatch.Dispatcher
	reg   *prometheus.Registry
	ready chan string

	// settling is how long it takes to settle some units.
	settling time.Duration

	// mu guards following fields.
	mu      sync.Mutex
	pending map[string][]batch.Unit
	units   map[batch.UnitID]*fakeUnit
	left    map[string]int
	results map[string]map[uint32]batch.Outcome
	calls   []call
	// unread is why what is stored of a batch cannot be read; reads counts how often that was tried in vain.
	unread map[string]error
	reads  map[string]int
}

// read returns why what is stored of a batch cannot be read, nil if it can.
func (w *world) read(id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unread[id] != nil {
		w.reads[id]++
	}
	return w.unread[id]
}

// hide keeps what is stored of a batch from being read; mend lets it be read again, and returns how often it was tried.
func (w *world) hide(id string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unread[id] = err
}

func (w *world) mend(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.unread, id)
	return w.reads[id]
}

// call is one call that reached an upstream.
type call struct {
	key string
	at  time.Time
}

// upstreamFunc is a scripted upstream.
type upstreamFunc struct {
	name   string
	models []string
	limit  int
	answer func(ctx context.Context, c dispatch.Call) dispatch.Answer
	world  *world
}

func (u *upstreamFunc) Name() string { return u.name }

func (u *upstreamFunc) Serves(model string) bool {
	for _, m := range u.models {
		if m == model {
			return true
		}
	}
	return len(u.models) == 0
}

func (u *upstreamFunc) Call(ctx context.Context, c dispatch.Call) dispatch.Answer {
	u.world.mu.Lock()
	u.world.calls = append(u.world.calls, call{c.Key, time.Now()})
	u.world.mu.Unlock()
	return u.answer(ctx, c)
}

// served is the answer of an upstream that did the work.
func served() dispatch.Answer {
	return dispatch.Answer{
		Signal:  limit.Signal{Kind: limit.Served, Status: 200},
		Outcome: batch.Outcome{Status: 200, Body: batch.MemoryBody(`{}`)},
		Cause:   "ok",
	}
}

// newWorld starts a dispatcher over the upstreams; it is stopped when the test ends.
func newWorld(t *testing.T, tune func(*dispatch.Options), upstreams ...*upstreamFunc) *world {
	w := &world{
		t: t, reg: prometheus.NewRegistry(), ready: make(chan string, 100),
		pending: map[string][]batch.Unit{}, units: map[batch.UnitID]*fakeUnit{},
		left: map[string]int{}, results: map[string]map[uint32]batch.Outcome{}, unread: map[string]error{}, reads: map[string]int{},
	}
	o := w.options(upstreams...)
	if tune != nil {
		tune(&o)
	}
	d := dispatch.New(o)
	w.d = d
	ctx, cancel := context.WithCancel(context.Background())
	drain := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx, drain) })
	t.Cleanup(func() {
		cancel()
		close(drain)
		running.Wait()
	})
	return w
}

// options are those of a dispatcher over the upstreams.
func (w *world) options(upstreams ...*upstreamFunc) dispatch.Options {
	w.reg = prometheus.NewRegistry()
	o := dispatch.Options{
		Store: w, Node: "node", Ready: func(id string) { w.ready <- id },
		Fatal: func(err error) { w.t.Errorf("fatal: %v", err) }, Final: func(error) bool { return false },
		CancelGrace: time.Minute, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2)),
		Logger: slog.New(slog.DiscardHandler), Registerer: w.reg,
	}
	for _, u := range upstreams {
		u.world = w
		o.Targets = append(o.Targets, dispatch.Target{Upstream: u, Concurrency: max(u.limit, 1)})
	}
	return o
}

// mustCounter returns the only counter of a family, for reading.
func mustCounter(t *testing.T, w *world, name string) prometheus.Collector {
	t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			c := prometheus.NewCounter(prometheus.CounterOpts{Name: name})
			for _, m := range f.GetMetric() {
				c.Add(m.GetCounter().GetValue())
			}
			return c
		}
	}
	t.Fatalf("no metric %s", name)
	return nil
}

// add starts a batch of the given units; each is a model and a number of lines.
func (w *world) add(id string, units ...fakeUnitSpec) batch.Batch {
	b := batch.Batch{ID: id, Endpoint: "/v1/x", Units: len(units), Stop: batch.StopNone, ExpiresAt: time.Now().Add(24 * time.Hour)}
	for _, spec := range units {
		b.Counts.Total += int64(spec.lines)
	}
	w.mu.Lock()
	first := uint32(1)
	for i, spec := range units {
		if !slices.Contains(b.Models, spec.model) {
			b.Models = append(b.Models, spec.model)
		}
		u := batch.Unit{UnitID: batch.UnitID{Batch: id, Ordinal: i}, Lease: batch.NewLeaseID()}
		u.Model = slices.Index(b.Models, spec.model)
		w.pending[id] = append(w.pending[id], u)
		w.units[u.UnitID] = &fakeUnit{world: w, id: u.UnitID, model: spec.model, first: first, lines: spec.lines, left: spec.lines, total: b.Counts.Total}
		first += uint32(spec.lines)
	}
	w.left[id] = len(units)
	w.results[id] = map[uint32]batch.Outcome{}
	w.mu.Unlock()
	w.d.Add(b, fakeJob{w}, nil)
	return b
}

// fakeUnitSpec is a unit to make.
type fakeUnitSpec struct {
	model string
	lines int
}

// wait waits until a batch is ready.
func (w *world) wait(id string) {
	w.t.Helper()
	if got := <-w.ready; got != id {
		w.t.Fatalf("ready: got batch %s, want %s", got, id)
	}
	synctest.Wait()
}

// callsOf returns how often each line was called.
func (w *world) callsOf() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[string]int{}
	for _, c := range w.calls {
		n[c.key]++
	}
	return n
}

// result returns the outcomes of a batch by line.
func (w *world) result(id string) map[uint32]batch.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.results[id])
}

// LeaseUnits hands out pending units.
func (w *world) LeaseUnits(_ context.Context, id, _ string, n int) ([]batch.Unit, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n = min(n, len(w.pending[id]))
	got := w.pending[id][:n]
	w.pending[id] = w.pending[id][n:]
	return got, nil
}

// LeaseUnitsOf hands out pending units of some models.
func (w *world) LeaseUnitsOf(_ context.Context, id, _ string, models []int, n int) ([]batch.Unit, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var got, rest []batch.Unit
	for _, u := range w.pending[id] {
		if slices.Contains(models, u.Model) && len(got) < n {
			got = append(got, u)
		} else {
			rest = append(rest, u)
		}
	}
	w.pending[id] = rest
	return got, nil
}

func (w *world) seal(id batch.UnitID) store.SealResult {
	w.left[id.Batch]--
	return store.SealResult{Ready: w.left[id.Batch] == 0}
}

// fakeJob opens the world's units.
type fakeJob struct{ w *world }

func (j fakeJob) Open(_ context.Context, u batch.Unit) (dispatch.Unit, error) {
	if err := j.w.read(u.Batch); err != nil {
		return nil, err
	}
	j.w.mu.Lock()
	defer j.w.mu.Unlock()
	return j.w.units[u.UnitID], nil
}

func (j fakeJob) Settle(ctx context.Context, units []batch.Unit, stop batch.Stop) (store.SealResult, error) {
	if j.w.settling > 0 {
		time.Sleep(j.w.settling)
	}
	if err := ctx.Err(); err != nil {
		return store.SealResult{}, err
	}
	if err := j.w.read(units[0].Batch); err != nil {
		return store.SealResult{}, err
	}
	j.w.mu.Lock()
	defer j.w.mu.Unlock()
	var r store.SealResult
	for _, u := range units {
		f := j.w.units[u.UnitID]
		f.fill(stop)
		r = j.w.seal(u.UnitID)
	}
	return r, nil
}

// fakeUnit is a unit in memory. The world's mutex guards it.
type fakeUnit struct {
	world     *world
	id        batch.UnitID
	model     string
	first     uint32
	lines     int
	total     int64
	taken     int
	takenLast int
	left      int
	sealed    bool
	told      map[uint32]string
	// unknown makes the first Seal commit and yet fail.
	unknown bool
	// refuse makes Record and Seal fail so many times.
	refuse int
}

var errDisk = errors.New("disk does not take it")

func (u *fakeUnit) ID() batch.UnitID { return u.id }
func (u *fakeUnit) Model() string    { return u.model }

func (u *fakeUnit) Controls() []dispatch.Line {
	var kept []dispatch.Line
	for n := u.first; n < u.first+uint32(u.lines); n++ {
		if u.kept(n) {
			kept = append(kept, dispatch.Line{Number: n, Length: 100})
		}
	}
	return kept
}

// kept reports whether a line is a control.
func (u *fakeUnit) kept(n uint32) bool { return dispatch.KeptBack(int64(n)-1, u.total) }

func (u *fakeUnit) Take() (dispatch.Line, bool) {
	u.world.mu.Lock()
	defer u.world.mu.Unlock()
	for u.taken+u.takenLast < u.lines {
		u.taken++
		if n := u.first + uint32(u.taken) - 1; !u.kept(n) {
			return dispatch.Line{Number: n, Length: 100}, true
		}
	}
	return dispatch.Line{}, false
}

func (u *fakeUnit) TakeLast() (dispatch.Line, bool) {
	u.world.mu.Lock()
	defer u.world.mu.Unlock()
	for u.taken+u.takenLast < u.lines {
		u.takenLast++
		if n := u.first + uint32(u.lines-u.takenLast); !u.kept(n) {
			return dispatch.Line{Number: n, Length: 100}, true
		}
	}
	return dispatch.Line{}, false
}

func (u *fakeUnit) Untaken() bool {
	u.world.mu.Lock()
	defer u.world.mu.Unlock()
	for n := u.first + uint32(u.taken); n < u.first+uint32(u.lines-u.takenLast); n++ {
		if !u.kept(n) {
			return true
		}
	}
	return false
}

func (u *fakeUnit) Left() int {
	u.world.mu.Lock()
	defer u.world.mu.Unlock()
	return u.left
}

func (u *fakeUnit) Load(_ context.Context, l dispatch.Line) (dispatch.Loaded, error) {
	if err := u.world.read(u.id.Batch); err != nil {
		return dispatch.Loaded{}, err
	}
	return dispatch.Loaded{CustomID: []byte(fmt.Sprint(l.Number)), Body: []byte(`{}`)}, nil
}

func (u *fakeUnit) Record(number uint32, _ []byte, o *batch.Outcome) (int, error) {
	u.world.mu.Lock()
	defer u.world.mu.Unlock()
	if u.refuse > 0 {
		u.refuse--
		return 0, errDisk
	}
	if _, ok := u.world.results[u.id.Batch][number]; ok {
		u.world.t.Errorf("line %d recorded twice", number)
	}
	u.world.results[u.id.Batch][number] = *o
	u.left--
	return u.left, nil
}

func (u *fakeUnit) Seal(_ context.Context, stop batch.Stop, told map[uint32]string) (store.SealResult, error) {
	if err := u.world.read(u.id.Batch); err != nil {
		return store.SealResult{}, err
	}
	u.world.mu.Lock()
	defer u.world.mu.Unlock()
	if u.refuse > 0 {
		u.refuse--
		return store.SealResult{}, errDisk
	}
	if u.unknown {
		// The commit is durable, but its answer is lost; trying again finds the unit sealed.
		if !u.sealed {
			u.sealed = true
			u.fill(stop)
			u.world.seal(u.id)
			return store.SealResult{}, errDisk
		}
		return store.SealResult{}, store.ErrLeaseLost
	}
	if u.sealed {
		u.world.t.Errorf("unit %s sealed twice", u.id)
	}
	if stop == batch.StopNone && u.left > 0 {
		u.world.t.Errorf("unit %s sealed with %d lines left", u.id, u.left)
	}
	u.sealed = true
	u.told = told
	u.fill(stop)
	return u.world.seal(u.id), nil
}

// fill gives every line without an outcome the stop's code.
func (u *fakeUnit) fill(stop batch.Stop) {
	for n := u.first; n < u.first+uint32(u.lines); n++ {
		if _, ok := u.world.results[u.id.Batch][n]; !ok {
			u.world.results[u.id.Batch][n] = batch.Outcome{Code: stop.Code(), Message: u.told[n]}
		}
	}
}
