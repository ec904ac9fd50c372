package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"
	"batchd/internal/readwait"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// leaseAhead is how many units with lines to take a job keeps ready: one to take from, and one for the time in which the
	// next are leased and opened. leaseAtOnce is how many one transaction takes, as jobs take turns in leasing.
	leaseAhead  = 2
	leaseAtOnce = 4
	// lineCharge is what a call in flight is charged beside its request: as much of its answer as every call may hold, see
	// upstream.LargeBodyBudget.
	lineCharge = 64 * batch.KiB
)

// Causes of the end of a job's context.
var (
	// ErrStopped means that the batch was cancelled or expired and its grace is over.
	ErrStopped = errors.New("batch stopped")
	// ErrShutdown means that the process is going down.
	ErrShutdown = errors.New("shutting down")
)

// Options configures a Dispatcher. Fields without a default are required.
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
	// Reasons gets the lines about reasons to wait; nil stands for Logger.
	Reasons *slog.Logger
	// Unread is the account of what waits because stored bytes cannot be read; nil stands for one of its own.
	Unread *readwait.Waits
}

// Dispatcher sends lines. Make it with New, then Run it; jobs may be added before and after. It owns the goroutines: a
// pump that starts calls when something outside changes or a time has come, a loop that leases units, one goroutine for
// each call in flight, which goes on with the next line, and some for opening and sealing units. What is sent when is
// decided by schedule and by the gates, under one mutex; no I/O is done while it is held.
//
// Order of locks: that of gauges is taken before the dispatcher's, as it asks how the upstreams stand; those inside a Unit
// or behind Upstream.Serves or Options.Unread are taken after it, as these are asked while it is held. Opening, Load, Record, Seal, Settle,
// the store, Call, the log and the functions of Options but Now are never called with it.
//
// Who wakes whom: a call that ends goes on with the next line by itself. It wakes the pump if there is none, and for what
// this one call does not use or see: a gate that opened or closed, permits to spare, a limit that will have grown, controls
// that may go, memory that came free, a line that falls due before the pump would look again. A batch that comes or is
// stopped, units that are opened, come back or turn out not to be there, a reading of an engine and other models wake the
// pump too. The leasing loop is woken when a batch comes, when a unit is opened or sealed, when a line is taken of a job
// that wants units, when the pump finds that an upstream with permits to spare could use some, and by a timer while the
// disk is nearly full or the store fails.
type Dispatcher struct {
	o       Options
	metrics metrics
	// pumpWakeUp wakes the pump, leaseWakeUp the leasing loop; each holds at most one pending wake-up, and anybody may send
	// one, with the mutex held or not: wake never waits.
	pumpWakeUp  chan struct{}
	leaseWakeUp chan struct{}
	// work counts every goroutine that Run waits for; seals bounds how many units are sealed at once.
	work  sync.WaitGroup
	seals chan struct{}
	fatal sync.Once

	// mu guards following fields, and all that schedule leads to. It is never held while a channel is waited for.
	mu       sync.Mutex
	ctx      context.Context
	stopped  bool
	schedule *schedule
	// bytes is what the calls in flight are charged; memoryBlocked is when that began to keep permits unused, zero if it
	// keeps none.
	bytes         int64
	memoryBlocked time.Time
	inFlight      int
	// full is since when nothing may be leased for want of disk; zero if it may.
	full time.Time
	// alarm is when the pump looks again by itself; zero for never.
	alarm time.Time
	// notes are lines for the log that wait for the mutex to be free.
	notes []note
}

// New returns a dispatcher with no jobs.
func New(o Options) *Dispatcher {
	o.MaxFilling = cmp.Or(o.MaxFilling, 64)
	o.MaxOpen = cmp.Or(o.MaxOpen, 2000)
	o.MaxBytes = cmp.Or(o.MaxBytes, 256*batch.MiB)
	o.Reasons = cmp.Or(o.Reasons, o.Logger)
	if o.Unread == nil {
		o.Unread = readwait.New(o.Now, o.Logger)
	}
	d := &Dispatcher{
		o: o, schedule: newSchedule(o.Targets, o.Rand),
		pumpWakeUp: make(chan struct{}, 1), leaseWakeUp: make(chan struct{}, 1), seals: make(chan struct{}, 2),
	}
	// Gates find such a number while the mutex is held.
	d.schedule.changed = func(g *gate, c limit.Change) {
		d.metrics.changes.WithLabelValues(g.target.upstream.Name(), string(c.Why)).Inc()
		d.notes = append(d.notes, note{level: slog.LevelDebug, text: "calls worth having in flight", args: []any{
			"upstream", g.target.upstream.Name(), "model", g.queue.model, "from", c.From, "to", c.To, "why", c.Why,
		}})
	}
	d.metrics = newMetrics(o.Registerer, d.Upstreams)
	return d
}

// Add starts a running batch. adopted are its units that were open in an earlier process; they count among b's
// unsealed units. A batch with a stop is settled at once.
func (d *Dispatcher) Add(b batch.Batch, work Job, adopted []Unit) {
	j := &job{
		batch: b, job: work, stop: batch.StopNone, unleased: b.Units - b.SealedUnits - len(adopted), stopping: make(chan struct{}),
	}
	j.ctx, j.cancel = context.WithCancelCause(context.Background())
	d.mu.Lock()
	if d.stopped || d.schedule.jobs[b.ID] != nil {
		d.mu.Unlock()
		j.cancel(ErrShutdown)
		return
	}
	d.schedule.add(j)
	for _, u := range adopted {
		if entered := d.schedule.enter(j, u, d.o.Now()); entered.Left() == 0 {
			d.sealLocked(entered)
		}
	}
	d.mu.Unlock()
	if b.Stop != batch.StopNone {
		d.Stop(b.ID, b.Stop)
	}
	d.wakeAll()
}

// Run sends lines until ctx ends; then it starts no new call, waits for those in flight as long as drain allows, ends
// the rest with ErrShutdown, and returns when every goroutine of its own is done.
func (d *Dispatcher) Run(ctx context.Context, drain <-chan struct{}) {
	d.mu.Lock()
	d.ctx = ctx
	d.mu.Unlock()
	d.work.Go(func() { d.leaseLoop(ctx) })
	for _, t := range d.schedule.targets {
		if t.load != nil {
			d.work.Go(func() { d.watchLoad(ctx, t) })
		}
	}
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
	for _, j := range d.schedule.jobs {
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

// wakeAll wakes the pump and the leasing loop.
func (d *Dispatcher) wakeAll() {
	wake(d.pumpWakeUp)
	wake(d.leaseWakeUp)
}

// ModelsChanged makes the dispatcher ask the upstreams anew which models they serve.
func (d *Dispatcher) ModelsChanged() {
	d.mu.Lock()
	d.schedule.connect()
	d.mu.Unlock()
	d.wakeAll()
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
		case <-d.pumpWakeUp:
		case <-timer.C:
		}
	}
}

// fail hands a final error out, once.
func (d *Dispatcher) fail(err error) {
	d.fatal.Do(func() { d.o.Fatal(fmt.Errorf("dispatch: %w", err)) })
}
