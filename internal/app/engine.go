// Package app builds everything from the settings and owns the order of starting and stopping. It is the only
// package that knows all the others; it holds no logic of its own beyond who wakes whom.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"batchd/internal/assemble"
	"batchd/internal/batch"
	"batchd/internal/clock"
	"batchd/internal/config"
	"batchd/internal/datadir"
	"batchd/internal/descriptors"
	"batchd/internal/dialect"
	"batchd/internal/dialect/vendors"
	"batchd/internal/dispatch"
	"batchd/internal/extsort"
	"batchd/internal/journal"
	"batchd/internal/leaseloop"
	"batchd/internal/openfile"
	"batchd/internal/plan"
	"batchd/internal/readwait"
	"batchd/internal/retry"
	"batchd/internal/scrub"
	"batchd/internal/store"
	"batchd/internal/sweep"
	"batchd/internal/tenant"
	"batchd/internal/unit"
	"batchd/internal/upstream"
	"batchd/internal/webhook"

	"github.com/google/uuid"
)

const (
	// drainReserve is the part of the shutdown grace that is kept for what comes after the calls in flight: syncing
	// journals, closing the database.
	drainReserve = 3 * time.Second
	// probeTime is how long a probe of the database may take: longer than a write waits for another process that is
	// using the database, shorter than a load balancer waits for /readyz.
	probeTime = 5 * time.Second
)

// Engine is everything but the HTTP API: it takes batches from their creation to their files. Open makes it, Run lets it
// work, Close ends it. What the API asks it may be asked concurrently, before Run as well as after it.
type Engine struct {
	cfg config.Config
	// log is the node's logger; reasons gets the lines about reasons to wait, which a one-shot run discards.
	log      *slog.Logger
	reasons  *slog.Logger
	clock    *clock.Clock
	metrics  *metrics
	storage  *storage
	ups      *upstreams
	space    *datadir.Space
	writable *datadir.Writable
	profiles map[string]dialect.Profile
	shares   descriptors.Shares
	// node is this process's random name, which its leases carry; tenant is the ID of the default tenant, which owns
	// everything while there are no keys.
	node   string
	tenant string

	// reading has the files that are being downloaded or copied.
	reading *openfile.Registry
	// unread is the account of what waits because stored bytes cannot be read.
	unread     *readwait.Waits
	progress   *unit.Progress
	keeper     *unit.Keeper
	starter    *unit.Starter
	dispatcher *dispatch.Dispatcher
	planner    *plan.Runner
	validating *leaseloop.Loop
	finalizing *leaseloop.Loop
	sweeper    *sweep.Sweeper
	scrubber   *scrub.Scrubber
	retrier    *retry.Retrier
	// buckets counts requests against tenants' limits; sender delivers webhooks from the outbox.
	buckets *tenant.Buckets
	sender  *webhook.Sender
	// surveying has room for one: it is full while somebody finds out what uses the disk, which reads every directory.
	surveying chan struct{}

	// fatal ends Run with the error that it carries. Run sets it before it starts anything that may call it, so it needs
	// no lock.
	fatal context.CancelCauseFunc

	// mu guards following fields. It is held for a few instructions and never while another package is called.
	mu sync.Mutex
	// draining is set from the end of Run's context on.
	draining bool
	// watchers are closed when the batch with their id has reached a terminal state.
	watchers map[string][]chan struct{}
}

// Open opens the data directory and takes over what an earlier process left behind: journals are adopted, and units of dead
// processes freed. When it returns, counts and states are what they were; nothing is sent before Run. A directory that another
// process works on is a *datadir.LockedError, a database that is missing or damaged a *sqlite.UnusableError.
func Open(ctx context.Context, cfg config.Config, logger *slog.Logger) (*Engine, error) {
	return open(ctx, cfg, logger, logger, time.Now)
}

// open is Open with another logger for the lines about reasons to wait, and another wall clock.
func open(ctx context.Context, cfg config.Config, logger, reasons *slog.Logger, wall func() time.Time) (_ *Engine, err error) {
	e := &Engine{
		cfg: cfg, log: logger, reasons: reasons, metrics: newMetrics(), node: uuid.NewString(), progress: unit.NewProgress(),
		watchers: make(map[string][]chan struct{}), surveying: make(chan struct{}, 1),
		reading: openfile.NewRegistry(store.DeletedStay),
		unread:  readwait.New(time.Now, logger),
	}
	if e.profiles, err = vendors.Profiles(cfg.Vendors, serverRules(cfg)); err != nil {
		return nil, fmt.Errorf("make dialects: %w", err)
	}
	e.shares = shareDescriptors(ctx, cfg, logger)
	if e.storage, err = openStorage(ctx, cfg.DataDir, e.metrics, logger); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = e.Close() // the first error is the one that says what is wrong
		}
	}()
	e.clock, err = clock.Open(ctx, clock.Options{
		Store: e.storage.store, Logger: logger, Registerer: e.metrics.registry, Wall: wall,
	})
	if err != nil {
		return nil, fmt.Errorf("open clock: %w", err)
	}
	e.space = datadir.NewSpace(e.storage.dir.Path(""), time.Now)
	e.writable = datadir.NewWritable(e.storage.dir.Probe, func() error {
		limited, cancel := context.WithTimeout(context.Background(), probeTime)
		defer cancel()
		return e.storage.store.Probe(limited)
	}, time.Now)
	if e.tenant, err = e.storage.store.DefaultTenant(ctx); err != nil {
		return nil, fmt.Errorf("read default tenant: %w", err)
	}
	e.ups, err = openUpstreams(cfg, upstream.Options{
		MaxResponseBytes: cfg.Limits.MaxResponseBytes, SpoolDir: e.storage.dir.Path(datadir.Temp), LargeBodies: upstream.NewLargeBodyBudget(1),
		Connections: descriptors.NewPool(e.shares.Upstreams), UserAgent: userAgent, Steady: e.clock.Now, Logger: logger,
		Registerer: e.metrics.registry,
	})
	if err != nil {
		return nil, err
	}
	e.build()
	if err := e.starter.Recover(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// build makes the parts, which know each other only through functions. What passes between them are wake-ups: the planner has
// a planned batch started at the dispatcher, the seal of a batch's last unit wakes the finalizers, and whatever closes a batch
// wakes the sender of webhooks. Each follows a committed transaction, so a wake-up that is lost with its process delays the
// work until the next look into the store, and loses none.
func (e *Engine) build() {
	st, blobs := e.storage.store, e.storage.blobs
	e.keeper = unit.NewKeeper(unit.Options{
		Store: st, Blobs: blobs, Disk: e.storage.dir.FS(), Dir: datadir.Journals, Dialect: e.dialect,
		Progress: e.progress, Now: e.clock.Wall, Logger: e.log, OnRescue: e.metrics.rescues.Inc,
		Hold: e.storage.presence.Gone,
	})
	e.dispatcher = dispatch.New(dispatch.Options{
		Store: st, Targets: e.ups.targets, Node: e.node, CancelGrace: e.cfg.CancelGrace,
		Ready: func(string) { e.finalizing.Wake() }, Fatal: func(err error) { e.fatal(err) },
		// No retry helps where nothing can be made durable any more.
		Final:    func(err error) bool { return errors.Is(err, journal.ErrDiskFailed) },
		MaxBytes: e.cfg.InFlightMemory, MaxOpen: e.shares.Units,
		MayLease: func() bool { return !e.space.Low() && e.storage.presence.Gone() == nil }, Now: time.Now,
		Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), Logger: e.log, Registerer: e.metrics.registry,
		Reasons: e.reasons, Unread: e.unread,
	})
	e.planner = plan.NewRunner(plan.RunnerOptions{
		Store: st, Blobs: blobs, Dialect: e.dialect, MixedModels: e.cfg.AllowMixedModels,
		Limits: func(string) batch.Limits { return e.cfg.Limits }, KnownModel: e.ups.monitor.Known,
		Temp: extsort.Temp{FS: e.storage.dir.FS(), Dir: datadir.Temp}, Started: func(id string) { e.starter.Start(id) }, Closed: e.closed,
		Now: e.clock.Wall, Logger: e.log,
	})
	finalize := assemble.NewRunner(assemble.RunnerOptions{
		Store: st, Blobs: blobs, Dialect: e.dialect, Temp: extsort.Temp{FS: e.storage.dir.FS(), Dir: datadir.Temp},
		OutputTTL: e.cfg.Retention.Output, Closed: e.closed, Now: e.clock.Wall, TTLFrom: e.clock.Later, Logger: e.log,
	})
	// Two of each at a time: one large input does not hold up the small ones, and each reads or writes whole files.
	e.validating = leaseloop.New(leaseloop.Options{
		Store: st, Stage: store.StageValidate, Node: e.node, Parallel: 2, Do: e.planner.Run, Unread: e.unread, Logger: e.log,
	})
	e.finalizing = leaseloop.New(leaseloop.Options{
		Store: st, Stage: store.StageFinalize, Node: e.node, Parallel: 2, Do: finalize.Run, Unread: e.unread, Logger: e.log,
	})
	copier := retry.NewCopier(retry.CopierOptions{
		Store: st, Blobs: blobs, Reading: e.reading, Dialect: e.dialect, MaxLine: e.cfg.Limits.MaxLineBytes, Now: e.clock.Now,
	})
	e.retrier = retry.New(retry.Options{
		Files: st, Blobs: blobs, CopyUnfinished: copier.CopyUnfinished, Now: e.clock.Wall, Time: e.clock.Read, Logger: e.log,
	})
	e.starter = e.newStarter()
	e.buckets = &tenant.Buckets{}
	e.sender = webhook.New(webhook.Options{
		Store: st, Timers: timersOf(e.cfg),
		Call: webhook.NewCaller(webhook.CallerOptions{Guard: guardOf(e.cfg), Timeout: e.cfg.Webhooks.Timeout}).Call,
		// Whether the vendor of a batch's dialect documents a webhook for the event.
		Announces: func(name string, event batch.Event) bool {
			p, ok := e.profiles[name]
			return ok && p.Dialect.Announces(event)
		},
		Now: e.clock.Later, Steady: e.clock.Now, Logger: e.log, Registerer: e.metrics.registry,
	})
	e.scrubber = scrub.New(scrub.Options{
		Store: st, Blobs: e.storage.scrubbed, Every: e.cfg.Scrub.Every, Rate: e.cfg.Scrub.Rate, Now: time.Now, Logger: e.log,
		Registerer: e.metrics.registry,
	})
	e.sweeper = sweep.New(sweep.Options{
		Store: st, Blobs: blobs, Expired: func(id string) { e.stop(id, batch.StopExpire) }, Busy: e.reading.Busy,
		Deleted: func(bytes int64) { e.metrics.deleted.Set(float64(bytes)) },
		Now:     e.clock.Now, Agreed: e.clock.Agreed, Logger: e.log,
	})
}

// newStarter makes what hands running batches to the dispatcher. Tests make it again over blobs of their own.
func (e *Engine) newStarter() *unit.Starter {
	return unit.NewStarter(unit.StarterOptions{
		Keeper: e.keeper, Store: e.storage.store, Blobs: e.storage.blobs, Dispatcher: e.dispatcher, Replan: e.planner.Replan,
		Unread: e.unread, Node: e.node,
	})
}

// guardOf returns which receivers of webhooks may be called. Ranges that cannot be read allow none; Validate has refused
// them before.
func guardOf(cfg config.Config) webhook.Guard {
	ranges, _ := cfg.Webhooks.Ranges()
	return webhook.NewGuard(ranges)
}

// timersOf returns when webhooks are called.
func timersOf(cfg config.Config) webhook.Timers {
	w := cfg.Webhooks
	return webhook.Timers{Timeout: w.Timeout, FirstPause: w.FirstPause, LongestPause: w.LongestPause, RetryFor: w.RetryFor}
}

// dialect returns the dialect by the name that stored objects carry.
func (e *Engine) dialect(name string) (dialect.Dialect, error) {
	p, ok := e.profiles[name]
	if !ok {
		return nil, fmt.Errorf("dialect %q: this build does not know it", name)
	}
	return p.Dialect, nil
}

// Close closes the stores and gives the lock on the data directory back. Run must have returned.
func (e *Engine) Close() error {
	if e.ups != nil {
		e.ups.close()
	}
	return e.storage.close()
}
