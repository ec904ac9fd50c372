package unit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/dispatch"
	"batchd/internal/journal"
	"batchd/internal/plan"
	"batchd/internal/store"
	"batchd/internal/vfs"

	"golang.org/x/sync/errgroup"
)

// syncEvery is how often dirty journals are made durable: what a power cut may cost.
const syncEvery = time.Second

// syncAtOnce is how many journals are synced at the same time: a disk merges what is flushed side by side, and a node with
// hundreds of open units needs no thread for each.
const syncAtOnce = 16

// Store is the part of the metadata store that units need.
type Store interface {
	SealUnits(ctx context.Context, seals []batch.Seal, now time.Time) (store.SealResult, error)
	AdoptUnit(ctx context.Context, id batch.UnitID, from []batch.LeaseID, h store.Holder) (batch.Unit, error)
	BatchByID(ctx context.Context, id string) (batch.Batch, error)
}

// Options configures a Keeper; all fields but Hold and OnRescue are required.
type Options struct {
	Store    Store
	Blobs    blob.Store
	Disk     vfs.FS
	Dir      string
	Dialect  func(name string) (dialect.Dialect, error)
	Progress *Progress
	Now      func() time.Time
	Logger   *slog.Logger
	// Hold, if set, returns an error while no line may be sent; lines are then not loaded before it returns nil. It must not
	// block, and may be called concurrently.
	Hold func() error
	// OnRescue, if set, is called each time that a failed fsync made a journal move to a fresh file. It must not block, and may
	// be called concurrently.
	OnRescue func()
}

// Keeper owns the open units of this node and makes their journals durable. All methods may be called
// concurrently.
type Keeper struct {
	o       Options
	trouble trouble

	// mu guards open.
	mu   sync.Mutex
	open map[batch.UnitID]*Unit
}

// NewKeeper returns a keeper with no open unit.
func NewKeeper(o Options) *Keeper {
	if o.Hold == nil {
		o.Hold = func() error { return nil }
	}
	if o.OnRescue == nil {
		o.OnRescue = func() {}
	}
	return &Keeper{o: o, open: make(map[batch.UnitID]*Unit)}
}

// Open opens a freshly leased unit: none of its lines has an outcome.
func (k *Keeper) Open(ctx context.Context, in *Input, u batch.Unit) (*Unit, error) {
	return k.openUnit(ctx, in, u, nil, nil)
}

// openUnit opens a unit whose journal, if it has one, holds the outcomes of the lines in done.
func (k *Keeper) openUnit(ctx context.Context, in *Input, u batch.Unit, log *journal.Journal, done map[uint32]bool) (*Unit, error) {
	d, err := k.o.Dialect(in.Batch.Dialect)
	if err != nil {
		return nil, fmt.Errorf("open unit %s: %w", u.UnitID, err)
	}
	entries, err := in.entries(ctx, u.UnitSpan)
	if err != nil {
		return nil, fmt.Errorf("open unit %s: %w", u.UnitID, err)
	}
	opened := &Unit{
		Unit: u, keeper: k, input: in, dialect: d, log: log,
		pending: make(map[uint32]plan.Entry, len(entries)-len(done)), order: make([]uint32, 0, len(entries)-len(done)),
	}
	for i, e := range entries { // in plan order, of which order and controls keep what is not done
		switch {
		case done[e.Line]:
			continue
		case dispatch.KeptBack(u.First+int64(i), in.Batch.Counts.Total):
			opened.controls = append(opened.controls, e.Line)
		default:
			opened.order = append(opened.order, e.Line)
		}
		opened.pending[e.Line] = e
	}
	if log != nil {
		opened.rescues, _ = log.Rescues() // these were told when the journal was adopted
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open[u.UnitID] = opened
	return opened, nil
}

// Run makes dirty journals durable once a second until ctx ends, and once more then. It returns early, with an error
// that wraps journal.ErrDiskFailed, when a journal cannot be made durable at all: the process must stop.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return k.Sync()
		case <-tick.C:
			if err := k.Sync(); err != nil {
				return err
			}
		}
	}
}

// Sync makes every dirty journal durable now. Only an error after which nothing may go on is returned. What keeps a journal
// from it for a while, like a want of descriptors, is told once, when it begins, and again when it is over.
func (k *Keeper) Sync() error {
	var g errgroup.Group
	g.SetLimit(syncAtOnce)
	for _, u := range k.units() {
		g.Go(func() error {
			err := u.sync()
			if err == nil || errors.Is(err, journal.ErrDiskFailed) {
				return err
			}
			if k.trouble.met(k.o.Now(), err) {
				return nil
			}
			k.o.Logger.Error("sync journal", "unit", u.String(), "error", err)
			return nil
		})
	}
	err := g.Wait()
	k.tellTrouble()
	return err
}

func (k *Keeper) units() []*Unit {
	k.mu.Lock()
	defer k.mu.Unlock()
	units := make([]*Unit, 0, len(k.open))
	for _, u := range k.open {
		units = append(units, u)
	}
	return units
}

func (k *Keeper) forget(id batch.UnitID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, id)
}
