package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sort"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxAttempts is how many tries a line has that may cost it one.
	maxAttempts = 5
	// suspectAfter lost connections make a line a suspect of breaking its server.
	suspectAfter = 2
	// leaseAhead is how many units with lines to take a job keeps ready; leaseAtOnce how many one transaction takes.
	leaseAhead  = 2
	leaseAtOnce = 4
	// retryLookahead bounds the search for a retry that an upstream may take.
	retryLookahead = 32
	// lineCharge is what a call in flight is charged beside its request.
	lineCharge = 64 * batch.KiB
)

// Causes of the end of a job's context.
var (
	// ErrStopped means that the batch was cancelled or expired and its grace is over.
	ErrStopped = errors.New("batch stopped")
	// ErrShutdown means that the process is going down.
	ErrShutdown = errors.New("shutting down")
)

// Target is an upstream with its limiter.
type Target struct {
	Upstream Upstream
	Limiter  limit.Limiter
}

// Options are what a Dispatcher works with. Fields without a default are required.
type Options struct {
	Store   Store
	Targets []Target
	// Node is this process's random name.
	Node string
	// MaxFilling is how many units may have lines to take at the same time, default 64; MaxOpen how many may be open
	// in all, default 2,000.
	MaxFilling int
	MaxOpen    int
	// MaxBytes bounds the memory of calls in flight, each charged its request and 64 KiB; default 256 MiB. One call
	// may always run.
	MaxBytes int64
	// CancelGrace is how long the calls of a stopped batch may go on; zero ends them at once.
	CancelGrace time.Duration
	// Ready is called when every unit of a batch is sealed.
	Ready func(batchID string)
	// Fatal is called, once, with an error after which the process must stop.
	Fatal func(error)
	// MayLease reports whether new units may be leased now; nil means always.
	MayLease func() bool
	// Final reports whether an error of Record or Seal means that nothing can be written any more.
	Final      func(error) bool
	Now        func() time.Time
	Rand       *rand.Rand
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Dispatcher sends lines. Make it with New, then Run it; jobs may be added before and after.
type Dispatcher struct {
	o       Options
	metrics metrics
	// kick wakes the pump, lease the leasing loop; each holds at most one pending wake-up.
	kick  chan struct{}
	lease chan struct{}
	// work counts every goroutine that Run waits for; seals bounds how many units are sealed at once.
	work  sync.WaitGroup
	seals chan struct{}
	fatal sync.Once

	// mu guards following fields.
	mu      sync.Mutex
	ctx     context.Context
	stopped bool
	jobs    map[string]*job
	// ring is the jobs in turn; turn is whose turn it is.
	ring    []*job
	turn    int
	targets []*target
	// bytes is what the calls in flight are charged; starved is set while that keeps permits unused.
	bytes   int64
	starved bool
	flying  int
}

// target is an upstream in the scheduler's eyes. The dispatcher's mutex guards it.
type target struct {
	upstream Upstream
	limiter  limit.Limiter
	breaker  *limit.Breaker
	// suspects is how many suspected lines are in flight here: at most one.
	suspects int
	// retryAt is when the breaker is to be asked again; zero if it is closed or waits for its probe.
	retryAt time.Time
}

// New returns a dispatcher with no jobs.
func New(o Options) *Dispatcher {
	o.MaxFilling = cmp.Or(o.MaxFilling, 64)
	o.MaxOpen = cmp.Or(o.MaxOpen, 2000)
	o.MaxBytes = cmp.Or(o.MaxBytes, 256*batch.MiB)
	d := &Dispatcher{
		o: o, metrics: newMetrics(o.Registerer),
		kick: make(chan struct{}, 1), lease: make(chan struct{}, 1), seals: make(chan struct{}, 2),
		jobs: make(map[string]*job),
	}
	for _, t := range o.Targets {
		d.targets = append(d.targets, &target{
			upstream: t.Upstream, limiter: t.Limiter,
			breaker: limit.NewBreaker(rand.New(rand.NewPCG(o.Rand.Uint64(), o.Rand.Uint64()))),
		})
	}
	return d
}

// Add starts a running batch. adopted are its units that were open in an earlier process; they count among b's
// unsealed units. A batch with a stop is settled at once.
func (d *Dispatcher) Add(b batch.Batch, j Job, adopted []Unit) {
	added := &job{
		batch: b, job: j, stop: batch.StopNone, open: make(map[batch.UnitID]*unit),
		unleased: b.Units - b.SealedUnits - len(adopted),
	}
	added.ctx, added.cancel = context.WithCancelCause(context.Background())
	d.mu.Lock()
	if d.stopped || d.jobs[b.ID] != nil {
		d.mu.Unlock()
		added.cancel(ErrShutdown)
		return
	}
	d.jobs[b.ID] = added
	d.ring = append(d.ring, added)
	for _, u := range adopted {
		if entered := added.opened(u); !u.Untaken() {
			d.sealLocked(entered)
		}
	}
	d.mu.Unlock()
	if b.Stop != batch.StopNone {
		d.Stop(b.ID, b.Stop)
	}
	d.Wake()
}

// opened enters an open unit in the job's lists.
func (j *job) opened(u Unit) *unit {
	entered := &unit{Unit: u, job: j}
	j.open[u.ID()] = entered
	if u.Untaken() {
		j.filling = append(j.filling, entered)
	}
	return entered
}

// Run sends lines until ctx ends; then it starts no new call, waits for those in flight as long as drain allows, ends
// the rest with ErrShutdown, and returns when every goroutine of its own is done.
func (d *Dispatcher) Run(ctx context.Context, drain <-chan struct{}) {
	d.mu.Lock()
	d.ctx = ctx
	d.mu.Unlock()
	d.work.Go(func() { d.leaseLoop(ctx) })
	d.pump(ctx)
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	d.drain(drain)
}

// drain waits for the calls in flight, then ends what is left of the jobs.
func (d *Dispatcher) drain(limit <-chan struct{}) {
	idle := make(chan struct{})
	var waiter sync.WaitGroup
	waiter.Go(func() { d.work.Wait(); close(idle) })
	select {
	case <-idle:
	case <-limit:
	}
	d.mu.Lock()
	for _, j := range d.jobs {
		j.cancel(ErrShutdown)
		if j.grace != nil {
			j.grace.Stop()
		}
	}
	d.mu.Unlock()
	waiter.Wait()
}

// wake makes sure that the loop behind ch runs once more.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Wake makes the dispatcher look again, after something outside of it has changed.
func (d *Dispatcher) Wake() {
	wake(d.kick)
	wake(d.lease)
}

// pump starts calls whenever there may be both a line and a permit.
func (d *Dispatcher) pump(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := d.fill()
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(0, next.Sub(d.o.Now())))
		}
		select {
		case <-ctx.Done():
			return
		case <-d.kick:
		case <-timer.C:
		}
	}
}

// fill starts as many calls as permits and lines allow, upstreams with the most free permits first, and returns when
// to look again even if nothing happens; zero for never. Looking and asking when to look again go by one and the same
// time: what fell due between two would be found by neither.
func (d *Dispatcher) fill() time.Time {
	for {
		now := d.o.Now()
		assigned := d.assign(now)
		if len(assigned) == 0 {
			return d.nextTime(now)
		}
		for _, a := range assigned {
			d.work.Go(func() { d.send(a) })
		}
	}
}

// assignment is a task with a permit of the target that will serve it.
type assignment struct {
	*task
	target *target
	// suspected says that the task was a suspect when it was sent, and holds the target's place for one.
	suspected bool
}

// assign takes one line for each target that has a permit and may be called, the freest first.
func (d *Dispatcher) assign(now time.Time) []assignment {
	d.mu.Lock()
	defer d.mu.Unlock()
	order := make([]*target, len(d.targets))
	copy(order, d.targets)
	sort.SliceStable(order, func(i, j int) bool { return order[i].free() > order[j].free() })
	var assigned []assignment
	for _, t := range order {
		if a, ok := d.takeLocked(t, now); ok {
			assigned = append(assigned, a)
		}
	}
	return assigned
}

func (t *target) free() int { return t.limiter.Limit() - t.limiter.InUse() }

// takeLocked takes a permit of t, then a line for it.
func (d *Dispatcher) takeLocked(t *target, now time.Time) (assignment, bool) {
	if d.stopped || d.ctx == nil || d.ctx.Err() != nil || len(d.ring) == 0 {
		return assignment{}, false
	}
	if d.bytes >= d.o.MaxBytes {
		d.starved = true
		return assignment{}, false
	}
	if !t.limiter.TryAcquire() {
		return assignment{}, false
	}
	task := d.turnLocked(t, now)
	if task == nil {
		t.limiter.Release(limit.Signal{Kind: limit.Abandoned})
		return assignment{}, false
	}
	task.unit.flying++
	d.flying++
	d.bytes += int64(task.line.Length) + lineCharge
	if task.suspect() {
		t.suspects++
	}
	return assignment{task: task, target: t, suspected: task.suspect()}, true
}

// turnLocked goes round the jobs, from the one whose turn it is, until one has a line for t.
func (d *Dispatcher) turnLocked(t *target, now time.Time) *task {
	ready, at := t.breaker.Ready(now)
	t.retryAt = at
	if !ready {
		return nil
	}
	for i := range d.ring {
		j := d.ring[(d.turn+i)%len(d.ring)]
		task := j.next(t, now)
		if task == nil {
			j.hungerFor(t)
		}
		if j.wantsUnits() {
			wake(d.lease)
		}
		if task != nil {
			d.turn = (d.turn + i + 1) % len(d.ring)
			t.breaker.Started()
			return task
		}
	}
	return nil
}

// nextTime returns the earliest time after now at which a retry is due or a breaker lets a probe go.
func (d *Dispatcher) nextTime(now time.Time) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	var next time.Time
	earlier := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, t := range d.targets {
		earlier(t.retryAt)
	}
	for _, j := range d.ring {
		// The head may be due and yet wait for a permit or another upstream; what is behind it must not wait with it.
		for _, r := range j.retries[:min(len(j.retries), retryLookahead)] {
			earlier(r.due)
		}
	}
	return next
}

// fail hands a final error out, once.
func (d *Dispatcher) fail(err error) {
	d.fatal.Do(func() { d.o.Fatal(fmt.Errorf("dispatch: %w", err)) })
}
