package dispatch

import (
	"context"
	"time"

	"batchd/internal/batch"
	"batchd/internal/failpoint"
)

// leaseRetry is the pause after a lease or a seal that failed.
const leaseRetry = time.Second

// leaseLoop keeps units ready ahead of need.
func (d *Dispatcher) leaseLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.lease:
		}
		for j, n := d.needy(); j != nil && ctx.Err() == nil; j, n = d.needy() {
			if err := d.leaseUnits(ctx, j, n); err != nil && ctx.Err() == nil {
				d.o.Logger.Error("lease units; trying again", "batch", j.batch.ID, "error", err)
				pause(ctx)
				wake(d.lease)
				break
			}
		}
	}
}

// pause waits until the next try or until ctx ends.
func pause(ctx context.Context) {
	t := time.NewTimer(leaseRetry)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// needy returns a job that wants units, and how many it may have; nil when there is none.
func (d *Dispatcher) needy() (*job, int) {
	if d.o.MayLease != nil && !d.o.MayLease() {
		return nil, 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	filling, open := 0, 0
	for _, j := range d.ring {
		filling += len(j.filling)
		open += len(j.open)
	}
	room := min(leaseAtOnce, d.o.MaxFilling-filling, d.o.MaxOpen-open)
	if room <= 0 {
		return nil, 0
	}
	for i := range d.ring {
		j := d.ring[(d.turn+i)%len(d.ring)]
		if j.wantsUnits() {
			j.leasing = true
			return j, min(room, j.unleased)
		}
	}
	return nil, 0
}

// leaseUnits leases up to n units of j and opens them.
func (d *Dispatcher) leaseUnits(ctx context.Context, j *job, n int) error {
	defer d.endLease(j)
	d.mu.Lock()
	models := j.hungry
	j.hungry = nil
	d.mu.Unlock()
	units, err := d.takeUnits(ctx, j, models, n)
	if err != nil {
		return err
	}
	failpoint.Hit(failpoint.UnitsLeased)
	d.mu.Lock()
	j.unleased -= len(units)
	if len(units) == 0 {
		j.noneLeft(models)
	}
	d.mu.Unlock()
	for _, u := range units {
		if err := d.open(ctx, j, u); err != nil {
			return err
		}
	}
	return nil
}

// takeUnits leases units of some models, or of any if models is empty.
func (d *Dispatcher) takeUnits(ctx context.Context, j *job, models []int, n int) ([]batch.Unit, error) {
	if len(models) > 0 {
		return d.o.Store.LeaseUnitsOf(ctx, j.batch.ID, d.o.Node, models, n)
	}
	return d.o.Store.LeaseUnits(ctx, j.batch.ID, d.o.Node, n)
}

func (d *Dispatcher) endLease(j *job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	j.leasing = false
}

// open opens a leased unit, trying again until it works: nobody else can take it.
func (d *Dispatcher) open(ctx context.Context, j *job, leased batch.Unit) error {
	for told := false; ; told = true {
		u, err := j.job.Open(ctx, leased)
		if err == nil {
			d.enter(j, u)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		if !told {
			d.o.Logger.Error("open unit; trying again every second", "unit", leased.String(), "error", err)
		}
		pause(ctx)
	}
}

// enter puts an opened unit into its job, or seals it at once if the batch was stopped meanwhile.
func (d *Dispatcher) enter(j *job, u Unit) {
	d.mu.Lock()
	if j.stop != batch.StopNone {
		entered := &unit{Unit: u, job: j}
		j.open[u.ID()] = entered
		d.sealLocked(entered)
		d.mu.Unlock()
		return
	}
	j.opened(u)
	d.mu.Unlock()
	wake(d.kick)
}
