// Package webhook delivers what the outbox holds: it tells receivers of events, signed as Standard Webhooks says, each
// at least once, and again until one takes it or three days have passed. It promises that no receiver holds up
// another, let alone a batch, and that no call reaches a private address which the operator did not allow, whatever a
// name resolves to. Events are not made here: whoever changes a batch writes them, in the same transaction. Receivers
// must expect events twice and in any order.
package webhook

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// pollEvery is how often the outbox is asked for retries that have become due.
	pollEvery = time.Second
	// leaseFor is how long a delivery is ours; what waits here for longer than allows a whole attempt is dropped, and
	// comes back.
	leaseFor = time.Minute
	// leaseMargin is how long before its lease's end the last attempt at a delivery may begin: the time of a call and
	// some more for storing what it came to.
	leaseMargin = callTimeout + 5*time.Second
	// leaseAtOnce is how many deliveries one transaction takes.
	leaseAtOnce = 200
	// defaultSeats is how many calls are under way at once.
	defaultSeats = 128
	// slow is when an answer takes so long that its receiver gets fewer calls, as if it had failed.
	slow = 5 * time.Second
	// recordTimeout bounds how long a stop waits for the outcome of a call to be stored.
	recordTimeout = 5 * time.Second
)

// Store is the part of the metadata store that a sender needs.
type Store interface {
	LeaseDeliveries(ctx context.Context, now, until time.Time, n int) ([]store.Delivery, error)
	RecordAttempt(ctx context.Context, a store.Attempt) error
}

// Options are what a Sender works with; all fields but Seats are required.
type Options struct {
	Store Store
	// Call makes one attempt at a delivery, usually that of a Caller. It must return soon after ctx ends, and within a
	// Caller's usual timeout.
	Call func(ctx context.Context, d store.Delivery) Answer
	// Announces reports whether a dialect tells of an event to receivers that did not ask for it by name.
	Announces func(dialect string, e batch.Event) bool
	// Seats is how many calls may be under way at once; 0 stands for 128.
	Seats      int
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Sender empties the outbox. Make it with New and let it work with Run.
type Sender struct {
	o       Options
	metrics metrics
	kick    chan struct{}
}

// New returns a sender that does nothing until Run.
func New(o Options) *Sender {
	if o.Seats == 0 {
		o.Seats = defaultSeats
	}
	return &Sender{o: o, metrics: newMetrics(o.Registerer), kick: make(chan struct{}, 1)}
}

// Wake says that an event was written. It never blocks, and may be called at any time.
func (s *Sender) Wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends. Calls that are under way then are cut off; their deliveries come back by a new lease.
// It returns when the last of them has. Only one Run may be under way.
func (s *Sender) Run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	over := make(chan end, s.o.Seats) // sent by each call once, so that none waits for a Run that is over
	always := make(chan struct{})
	close(always)
	q := newQueue(s.o.Seats)
	for more := true; ; {
		var again <-chan struct{}
		if more && q.room() >= leaseAtOnce {
			again = always
		}
		select {
		case <-ctx.Done():
			return
		case e := <-over:
			q.leave(e.to, e.health)
		case <-again:
			more = s.lease(ctx, q)
		case <-s.kick:
			more = true
		case <-tick.C:
			q.drop(s.o.Now().Add(leaseMargin))
			more = true
		}
		s.start(ctx, q, &calls, over)
	}
}

// end is the end of a call.
type end struct {
	to     receiver
	health health
}

// start begins calls while there are seats and somebody to call.
func (s *Sender) start(ctx context.Context, q *queue, calls *sync.WaitGroup, over chan<- end) {
	for ctx.Err() == nil {
		d, ok := q.next()
		if !ok {
			return
		}
		calls.Go(func() { over <- end{d.to, s.deliver(ctx, d.Delivery)} })
	}
}

// lease takes some deliveries that are due, and reports whether there may be more. Those of a receiver for whom many
// wait already are left to come back after their lease, so that whoever is behind them is reached.
func (s *Sender) lease(ctx context.Context, q *queue) (more bool) {
	defer func() { q.drop(s.o.Now().Add(leaseMargin)) }() // the store may have been slow
	now := s.o.Now()
	until := now.Add(leaseFor)
	due, err := s.o.Store.LeaseDeliveries(ctx, now, until, leaseAtOnce)
	if err != nil {
		if ctx.Err() == nil {
			s.o.Logger.Error("lease deliveries of webhooks; trying again", "error", err)
		}
		return false
	}
	for _, d := range due {
		q.add(leased{Delivery: d, to: receiverOf(d), until: until})
	}
	return len(due) == leaseAtOnce
}

// deliver makes one attempt, stores what it came to, and returns how the receiver did. An event that nobody wants ends
// without a call.
func (s *Sender) deliver(ctx context.Context, d store.Delivery) health {
	if d.Webhook != "" && !d.Named && !s.o.Announces(d.Dialect, d.Event) {
		s.record(ctx, d, store.Attempt{Delivery: d.ID, State: store.DeliverySkipped, Now: s.o.Now()})
		return unknown
	}
	answer := s.o.Call(ctx, d)
	if answer.Err != nil && ctx.Err() != nil {
		return unknown // we hung up: that says nothing about the receiver
	}
	s.record(ctx, d, judge(d, answer, s.o.Now()))
	if answer.OK() && answer.Took < slow {
		return well
	}
	return unwell
}

// record stores an attempt, also while the process stops: what is forgotten is sent twice.
func (s *Sender) record(ctx context.Context, d store.Delivery, a store.Attempt) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	s.metrics.count(a)
	log := s.o.Logger.With("delivery", a.Delivery, "webhook", d.Webhook, "batch", d.Batch, "attempt", d.Attempts+1)
	switch err := s.o.Store.RecordAttempt(ctx, a); {
	case errors.Is(err, store.ErrNotFound):
		log.Debug("webhook was removed while it was called")
	case err != nil:
		log.Error("store a webhook's delivery; it will be sent again", "state", string(a.State), "error", err)
	case a.State == store.DeliveryAbandoned:
		log.Warn("webhook gave up", "status", a.Status, "reason", a.Error)
	default:
		log.Debug("webhook attempt", "state", string(a.State), "status", a.Status, "reason", a.Error)
	}
}
