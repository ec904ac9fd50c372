package dispatch

import (
	"context"
	"math/rand/v2"
	"time"

	"batchd/internal/limit"
)

const (
	// loadEvery is how often the metrics of an engine are read that has work: three readings are expected in the time for
	// which a gate goes by one. loadNever is how long one is left alone whose metrics could not be read loadTries times in a
	// row.
	loadEvery = 2 * time.Second
	loadNever = 10 * time.Minute
	loadTries = 3
)

// watchLoad reads the metrics of the engine behind t while there is work for it, and lets its gates go by them.
func (d *Dispatcher) watchLoad(ctx context.Context, t *target) {
	failed := 0
	pause := loadEvery
	for sleep(ctx, pause-pause/10+rand.N(pause/5)) { // more or less a tenth, so that several nodes do not ask together
		pause = loadEvery
		d.mu.Lock()
		working := t.address.InFlight() > 0
		d.mu.Unlock()
		if !working {
			continue
		}
		loads, err := t.load(ctx)
		if err != nil {
			if failed++; failed >= loadTries {
				failed, pause = 0, loadNever
			}
			continue
		}
		failed = 0
		d.takeLoad(t, &loads)
	}
}

// sleep waits; false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// takeLoad hands a reading to the upstream's gates, each that of its model where the engine tells them apart.
func (d *Dispatcher) takeLoad(t *target, loads *limit.EngineLoads) {
	d.mu.Lock()
	defer d.unlock()
	now := d.o.Now()
	for _, q := range d.schedule.queues {
		for _, g := range q.gates {
			if g.target != t {
				continue
			}
			load, ok := loads.ByModel[q.model]
			if !ok {
				load = loads.Total
			}
			g.Load(now, load, 1)
		}
	}
	wake(d.pumpWakeUp) // there may be more to have in flight
}
