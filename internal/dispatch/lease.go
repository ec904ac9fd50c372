package dispatch

import (
	"context"
	"log/slog"
	"time"

	"batchd/internal/batch"
	"batchd/internal/failpoint"
	"batchd/internal/limit"
)

// leaseRetry is the pause after a lease or a seal that failed, and between two looks at a disk that is nearly full.
const leaseRetry = time.Second

// leaseLoop keeps units ready ahead of need. What fails for one batch holds up no other: units are opened beside it.
func (d *Dispatcher) leaseLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.leaseWakeUp:
		}
		for j, n := d.needy(); j != nil && ctx.Err() == nil; j, n = d.needy() {
			if err := d.leaseUnits(ctx, j, n); err != nil && ctx.Err() == nil {
				d.o.Logger.Error("lease units; trying again", "batch", j.batch.ID, "error", err)
				d.later(d.leaseWakeUp)
				break
			}
		}
	}
}

// later wakes a loop after leaseRetry. The timer may fire after Run has ended: it then wakes nobody.
func (d *Dispatcher) later(ch chan struct{}) { time.AfterFunc(leaseRetry, func() { wake(ch) }) }

// pause waits until the next try or until ctx ends.
func pause(ctx context.Context) { sleep(ctx, leaseRetry) }

// needy returns a job that wants units, and how many it may have; nil when there is none, or when the disk is nearly
// full, which is looked at again after a second: nobody says when it has room. It tells when that begins and ends.
func (d *Dispatcher) needy() (*job, int) {
	full := d.o.MayLease != nil && !d.o.MayLease()
	d.mu.Lock()
	defer d.unlock()
	switch {
	case full && d.full.IsZero():
		d.full = d.o.Now()
		d.tell(slog.LevelWarn, "no new work is started", "reason", limit.ReasonDisk)
	case !full && !d.full.IsZero():
		d.tell(slog.LevelInfo, "new work is started again", "reason", limit.ReasonDisk, "after", d.o.Now().Sub(d.full).Round(time.Second))
		d.full = time.Time{}
	}
	if full {
		if len(d.schedule.ring) > 0 {
			d.later(d.leaseWakeUp)
		}
		return nil, 0
	}
	return d.schedule.needs(d.o.MaxFilling, d.o.MaxOpen)
}

// needs returns a job that wants units leased, and how many it may have; nil when there is none. A job with nothing to
// take may have a unit however many others hold, so that no batch keeps another from its turn.
func (s *schedule) needs(maxFilling, maxOpen int) (*job, int) {
	filling, open := 0, 0
	for _, j := range s.ring {
		filling += j.filling
		open += len(j.open)
	}
	room := min(leaseAtOnce, maxFilling-filling, maxOpen-open)
	for i := range s.ring {
		j := s.ring[(s.leaseTurn+i)%len(s.ring)]
		n := room
		if j.filling == 0 {
			n = max(1, n)
		}
		if n > 0 && j.wantsUnits() {
			s.leaseTurn = (s.leaseTurn + i + 1) % len(s.ring)
			j.leasing = true
			return j, min(n, j.unleased)
		}
	}
	return nil, 0
}

// leaseUnits leases up to n units of j and opens them in the background.
func (d *Dispatcher) leaseUnits(ctx context.Context, j *job, n int) error {
	d.mu.Lock()
	models := j.wantModels
	j.wantModels = nil
	d.mu.Unlock()
	var units []batch.Unit
	var err error
	if len(models) > 0 {
		units, err = d.o.Store.LeaseUnitsOf(ctx, j.batch.ID, d.o.Node, models, n)
	} else {
		units, err = d.o.Store.LeaseUnits(ctx, j.batch.ID, d.o.Node, n)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	j.leasing = false
	if err != nil {
		return err
	}
	failpoint.Hit(failpoint.UnitsLeased)
	j.unleased -= len(units)
	j.opening += len(units)
	if len(units) == 0 {
		j.noneLeft(models)
		wake(d.pumpWakeUp) // controls may have waited for what does not come
	}
	d.work.Go(func() {
		// In the plan's order, but one that cannot be opened keeps the next ones from nothing.
		for _, leased := range units {
			if pause := d.tryOpen(ctx, j, leased); pause > 0 {
				d.work.Go(func() { d.open(ctx, j, leased, pause) })
			}
		}
	})
	return nil
}

// noneLeft notes that a lease of the given models, or of any, found nothing.
func (j *job) noneLeft(models []int) {
	if len(models) == 0 {
		j.unleased = 0 // another node has the rest
		return
	}
	if j.exhaustedModels == nil {
		j.exhaustedModels = make(map[int]bool)
	}
	for _, i := range models {
		j.exhaustedModels[i] = true
	}
}

// open opens a leased unit that could not be opened, trying again until it works: nobody else can take it. A job that is
// stopped is tried at once.
func (d *Dispatcher) open(ctx context.Context, j *job, leased batch.Unit, pause time.Duration) {
	d.mu.Lock()
	j.unopened++
	d.mu.Unlock()
	stopping := j.stopping
	for pause > 0 {
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-stopping:
			stopping = nil
		case <-t.C:
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
		pause = d.tryOpen(ctx, j, leased)
	}
	d.mu.Lock()
	j.unopened--
	d.mu.Unlock()
}

// tryOpen opens a leased unit and returns 0, or the pause before the next try if it did not work.
func (d *Dispatcher) tryOpen(ctx context.Context, j *job, leased batch.Unit) time.Duration {
	u, err := j.job.Open(ctx, leased)
	if err != nil && ctx.Err() == nil {
		return d.o.Unread.Failed(j.batch.ID, "open "+leased.String(), err)
	}
	if err != nil {
		return leaseRetry // open sees the end of ctx
	}
	d.o.Unread.Done(j.batch.ID, "open "+leased.String())
	d.enter(j, u)
	return 0
}

// enter puts an opened unit into its job, or seals it at once if the batch was stopped meanwhile.
func (d *Dispatcher) enter(j *job, opened Unit) {
	d.mu.Lock()
	j.opening--
	u := d.schedule.enter(j, opened, d.o.Now())
	if j.stop != batch.StopNone {
		d.drop(u)
		d.sealLocked(u)
	}
	d.mu.Unlock()
	d.wakeAll()
}
