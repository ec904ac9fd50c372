package clock

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	// readEvery is how often the wall clock is looked at.
	readEvery = 250 * time.Millisecond
	// saveEvery is how often the time is stored, so that a clock that is set while the process is down is noticed too.
	saveEvery = time.Minute
	// saveTimeout bounds how long a stop waits for the time to be stored.
	saveTimeout = 5 * time.Second
)

// Store keeps the time across restarts.
type Store interface {
	// LastTime returns the time that was saved last, zero if none was, with the sum of the steps that had been taken.
	LastTime(ctx context.Context) (t time.Time, shift time.Duration, err error)
	// SaveTime stores both.
	SaveTime(ctx context.Context, t time.Time, shift time.Duration) error
}

// Options configures a Clock. Store and Logger are required.
type Options struct {
	Store  Store
	Logger *slog.Logger
	// Registerer gets the metric; nil makes none.
	Registerer prometheus.Registerer
	// Wall is the wall clock; nil stands for time.Now. Mono is the monotonic one; nil stands for that of package time.
	Wall func() time.Time
	Mono func() time.Duration
}

// Clock is a Steady one that reads the machine's clocks by itself while Run runs. Its methods may be called concurrently;
// before Run it goes by the monotonic clock.
type Clock struct {
	o Options
	// fresh is set if no time had been stored.
	fresh bool

	// mu guards steady. It is held for a few instructions.
	mu     sync.Mutex
	steady *Steady
}

// Open returns a clock that goes on where the one before it stopped, by what is stored.
func Open(ctx context.Context, o Options) (*Clock, error) {
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.Mono == nil {
		begin := time.Now()
		o.Mono = func() time.Duration { return time.Since(begin) }
	}
	last, shift, err := o.Store.LastTime(ctx)
	if err != nil {
		return nil, err
	}
	c := &Clock{o: o, fresh: last.IsZero(), steady: NewSteady(last, shift, Reading{Wall: o.Wall(), Mono: o.Mono()})}
	c.observe(ctx, true)
	if o.Registerer != nil {
		promauto.With(o.Registerer).NewGaugeFunc(prometheus.GaugeOpts{
			Name: "batchd_clock_offset_seconds",
			Help: "By how much the wall clock is ahead of the clock that windows and expiry go by.",
		}, func() float64 { return o.Wall().Round(0).Sub(c.Now()).Seconds() })
	}
	return c, nil
}

// Read returns what both clocks show now.
func (c *Clock) Read() Time {
	wall := c.o.Wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	return Time{Wall: wall, Steady: c.steady.At(c.o.Mono()), Shift: c.steady.Shift()}
}

// Now returns the time that decides what has ended. It has no monotonic reading.
func (c *Clock) Now() time.Time { return c.Read().Steady }

// Wall returns the wall clock's time, which is shown and stored.
func (c *Clock) Wall() time.Time { return c.o.Wall() }

// Later returns the time from which a TTL is counted: the wall clock's, unless that is behind by a step that is not taken.
func (c *Clock) Later() time.Time { return c.Read().Later() }

// Agreed reports whether both clocks agree, but for what is adjusted gently, and the sum of the steps that were taken until
// then. A step that was not seen yet counts as a difference too.
func (c *Clock) Agreed() (shift time.Duration, agreed bool) {
	t := c.Read()
	c.mu.Lock()
	defer c.mu.Unlock()
	return t.Shift, !c.steady.Pending() && t.Ahead() == 0
}

// Run follows the wall clock and stores the time until ctx ends. Only one Run may be running.
func (c *Clock) Run(ctx context.Context) {
	read, save := time.NewTicker(readEvery), time.NewTicker(saveEvery)
	defer read.Stop()
	defer save.Stop()
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
		defer cancel()
		c.save(stopping)
	}()
	if c.fresh {
		c.save(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-read.C:
			c.observe(ctx, false)
		case <-save.C:
			c.save(ctx)
		}
	}
}

// save stores the steady time and not the wall clock's, which may be a wrong one that is about to be undone.
func (c *Clock) save(ctx context.Context) {
	t := c.Read()
	if err := c.o.Store.SaveTime(ctx, t.Steady, t.Shift); err != nil && ctx.Err() == nil {
		c.o.Logger.Error("store the time; trying again in a minute", "error", err)
	}
}

// observe reads the machine's clocks and tells what that has changed. At a start a difference is what usually is, since the
// process was down, unless the wall clock went back.
func (c *Clock) observe(ctx context.Context, starting bool) {
	wall := c.o.Wall().Round(0)
	c.mu.Lock()
	mono := c.o.Mono()
	before := c.steady.At(mono)
	change := c.steady.Observe(Reading{Wall: wall, Mono: mono})
	c.mu.Unlock()
	log := c.o.Logger.With("from", before, "to", wall, "by", wall.Sub(before).Round(time.Millisecond))
	switch {
	case change == Seen && starting && wall.After(before):
		log.InfoContext(ctx, "windows and expiry go on from the last time seen, and by the wall clock once that has held for a minute")
	case change == Seen:
		log.WarnContext(ctx, "the wall clock was set; windows and expiry go by its new time once that has held for a minute")
	case change == Taken:
		log.WarnContext(ctx, "windows and expiry go by the wall clock's new time from now on")
	case change == Undone:
		log.WarnContext(ctx, "the wall clock was set back before its new time counted")
	}
}
