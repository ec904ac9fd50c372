// Package webhook delivers what the outbox holds: it sends events to receivers, signed as Standard Webhooks says, each
// at least once, and again until the receiver takes it or three days have passed. It promises that no receiver holds up
// another, let alone a batch, and that no call reaches a private address which the operator did not allow, whatever a
// name resolves to. Events are not made here: whoever changes a batch writes them, in the same transaction. Receivers
// must expect events twice and in any order.
package webhook

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	// pollEvery is how often the outbox is asked for retries that have become due, advanceEvery how often for those that are
	// due too late to be any.
	pollEvery    = time.Second
	advanceEvery = time.Minute
	// leaseBeyond is by how much longer than an attempt a delivery is ours. What has waited here so long that its lease might
	// end during an attempt is dropped: it comes back when the lease has ended.
	leaseBeyond = 45 * time.Second
	// storeMargin is what storing the result of an attempt may take before the lease's end.
	storeMargin = 5 * time.Second
	// leaseAtOnce is how many deliveries one transaction takes.
	leaseAtOnce = 200
	// defaultConcurrency is how many calls are in flight at once. Each holds one goroutine and one connection.
	defaultConcurrency = 128
	// recordTimeout bounds how long a stop waits for the outcome of a call to be stored.
	recordTimeout = 5 * time.Second
	// shortestPause keeps a lucky draw from becoming two attempts in the same moment.
	shortestPause = time.Second
	// maxReason is how much of an error is kept, in bytes.
	maxReason = 300
)

// Timers are the times by which deliveries are tried. DefaultTimers returns those of a server that is told nothing.
type Timers struct {
	// Timeout is how long one attempt may take, from the lookup of the name to the end of the answer. A receiver that takes a
	// third of it gets fewer calls, as if it had failed.
	Timeout time.Duration
	// FirstPause is the longest pause after the first attempt; it doubles with each further one up to LongestPause.
	FirstPause   time.Duration
	LongestPause time.Duration
	// RetryFor is how long after its event a delivery is still tried again.
	RetryFor time.Duration
}

// DefaultTimers returns 15 s for an attempt, pauses from 5 s to 6 h, and tries for 72 h, which outlast a receiver's weekend.
func DefaultTimers() Timers {
	return Timers{Timeout: callTimeout, FirstPause: 5 * time.Second, LongestPause: longestPause, RetryFor: 72 * time.Hour}
}

// lease is how long a delivery is ours, and margin how long before the end of that the last attempt at it may begin. The longer
// a lease, the later a delivery is sent where its process is lost for good.
func (t Timers) lease() time.Duration  { return t.Timeout + leaseBeyond }
func (t Timers) margin() time.Duration { return t.Timeout + storeMargin }

// slow is when an answer takes so long that its receiver gets fewer calls.
func (t Timers) slow() time.Duration { return t.Timeout / 3 }

// retried is what a delivery that stays pending is counted as; all others are counted as their state.
const retried = "retried"

// Store is the part of the metadata store that a sender needs.
type Store interface {
	LeaseDeliveries(ctx context.Context, now, until time.Time, n int) ([]store.Delivery, error)
	ReclaimDeliveries(ctx context.Context, now time.Time) (int, error)
	AdvanceDeliveries(ctx context.Context, now, latest time.Time) (int, error)
	RecordAttempt(ctx context.Context, a store.Attempt) error
}

// Options configures a Sender; all fields but Timers, Concurrency and Steady are required.
type Options struct {
	Store Store
	// Call makes one attempt at a delivery, usually that of a Caller. It must return soon after ctx ends, and within a
	// timeout of Timers.
	Call func(ctx context.Context, d store.Delivery) Answer
	// Announces reports whether a dialect sends an event to receivers that did not ask for it by name.
	Announces func(dialect string, e batch.Event) bool
	// Timers are DefaultTimers if they are left at zero.
	Timers Timers
	// Concurrency is how many calls may be in flight at once; 0 stands for 128.
	Concurrency int
	// Now is the clock that attempts are scheduled by: that of those who write to the outbox. Steady is the one by which an
	// event grows too old, as package clock says; nil stands for Now.
	Now        func() time.Time
	Steady     func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Sender empties the outbox. Make it with New and let it work with Run.
type Sender struct {
	o Options
	// deliveries counts attempts by what they came to.
	deliveries *prometheus.CounterVec
	// wakeup holds at most one signal: Wake sends without waiting, Run receives, nobody closes it. One is enough, since
	// Run then leases until nothing more is due.
	wakeup chan struct{}
}

// New returns a sender that does nothing until Run.
func New(o Options) *Sender {
	if o.Concurrency == 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.Timers == (Timers{}) {
		o.Timers = DefaultTimers()
	}
	if o.Steady == nil {
		o.Steady = o.Now
	}
	deliveries := promauto.With(o.Registerer).NewCounterVec(prometheus.CounterOpts{
		Name: "batchd_webhook_deliveries_total",
		Help: "Attempts to deliver an event to a webhook by what they came to, and events skipped without one.",
	}, []string{"result"})
	for _, result := range []string{
		string(store.DeliveryDone), string(store.DeliveryAbandoned), string(store.DeliverySkipped), retried,
	} {
		deliveries.WithLabelValues(result) // shown as 0 from the beginning, so that a rate can be taken
	}
	return &Sender{o: o, deliveries: deliveries, wakeup: make(chan struct{}, 1)}
}

// Wake says that an event was written. It never blocks, and may be called at any time.
func (s *Sender) Wake() {
	select {
	case s.wakeup <- struct{}{}:
	default:
	}
}

// Run takes up what an earlier process had leased, and delivers until ctx ends. Calls in flight then are cut off; their deliveries come back by a new lease. It returns
// when the last of them has. Only one Run may be running.
//
// The queue belongs to this goroutine alone, which is why it needs no lock: calls report their end over a channel.
func (s *Sender) Run(ctx context.Context) {
	s.reclaim(ctx)
	tick, advance := time.NewTicker(pollEvery), time.NewTicker(advanceEvery)
	defer tick.Stop()
	defer advance.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	ended := make(chan end, s.o.Concurrency) // room for every call in flight, so that none waits for a Run that has returned
	always := make(chan struct{})
	close(always)
	q := newQueue(s.o.Concurrency)
	for more := true; ; {
		var leaseMore <-chan struct{} // nil, which never receives, while there is nothing to lease or no room
		if more && q.held+leaseAtOnce <= maxHeld {
			leaseMore = always
		}
		select {
		case <-ctx.Done():
			return
		case e := <-ended:
			q.release(e.to, e.health)
			if e.gone != "" {
				q.forget(e.gone)
			}
		case <-leaseMore:
			more = s.lease(ctx, q)
		case <-s.wakeup:
			more = true
		case <-tick.C:
			q.drop(s.o.Now().Add(s.o.Timers.margin()))
			more = true
		case <-advance.C:
			s.advance(ctx)
			more = true
		}
		for ctx.Err() == nil {
			d, ok := q.next()
			if !ok {
				break // no slot is free, or no receiver may be called
			}
			calls.Go(func() {
				e := s.deliver(ctx, d.Delivery)
				e.to = d.to
				ended <- e
			})
		}
	}
}

// end is the end of a call. gone is the webhook that it has disabled, "" for none.
type end struct {
	to     receiver
	health health
	gone   string
}

// reclaim makes due what an earlier process had leased. Where that fails, it is due when the leases end.
func (s *Sender) reclaim(ctx context.Context) {
	switch n, err := s.o.Store.ReclaimDeliveries(ctx, s.o.Now()); {
	case err != nil && ctx.Err() == nil:
		s.o.Logger.Error("take up what an earlier process was delivering; waiting for its leases to end", "error", err)
	case n > 0:
		s.o.Logger.Info("took up what an earlier process was delivering to webhooks", "deliveries", n)
	}
}

// advance makes due what no pause can have put off so far: it was written while the clock was wrong.
func (s *Sender) advance(ctx context.Context) {
	now := s.o.Now()
	switch n, err := s.o.Store.AdvanceDeliveries(ctx, now, now.Add(s.o.Timers.LongestPause+s.o.Timers.lease())); {
	case err != nil && ctx.Err() == nil:
		s.o.Logger.Error("look for deliveries of webhooks that a wrong clock has put off; trying again", "error", err)
	case n > 0:
		s.o.Logger.Info("deliveries of webhooks that a wrong clock had put off are due", "deliveries", n)
	}
}

// lease takes some deliveries that are due, and reports whether there may be more. The queue does not take those of a
// receiver for whom many wait already; they come back when their lease has ended. So one receiver with a long backlog
// does not keep those of others from being leased.
func (s *Sender) lease(ctx context.Context, q *queue) (more bool) {
	defer func() { q.drop(s.o.Now().Add(s.o.Timers.margin())) }() // the store may have been slow
	now := s.o.Now()
	until := now.Add(s.o.Timers.lease())
	due, err := s.o.Store.LeaseDeliveries(ctx, now, until, leaseAtOnce)
	if err != nil {
		if ctx.Err() == nil {
			s.o.Logger.Error("lease deliveries of webhooks; trying again", "error", err)
		}
		return false
	}
	for _, d := range due {
		q.add(d, until)
	}
	return len(due) == leaseAtOnce
}

// deliver makes one attempt, stores its result, and returns how the receiver did. An event that the receiver did not
// ask for and the dialect does not announce ends without a call.
func (s *Sender) deliver(ctx context.Context, d store.Delivery) end {
	if d.Webhook != "" && !d.Named && !s.o.Announces(d.Dialect, d.Event) {
		s.record(ctx, d, store.Attempt{Delivery: d.ID, State: store.DeliverySkipped, Now: s.o.Now()})
		return end{}
	}
	answer := s.o.Call(ctx, d)
	if answer.Err != nil && ctx.Err() != nil {
		return end{} // the call was cut off by our stop, which says nothing about the receiver
	}
	a := s.judge(d, answer)
	s.record(ctx, d, a)
	if answer.OK() && answer.Took < s.o.Timers.slow() {
		return end{health: healthy}
	}
	e := end{health: unhealthy}
	if a.Gone {
		e.gone = d.Webhook
	}
	return e
}

// judge decides what an attempt means for its delivery. A success ends it, and so does 410, by which a receiver says
// that it wants no more events at all; after anything else it is tried again until it is too old by the steady clock.
func (s *Sender) judge(d store.Delivery, a Answer) store.Attempt {
	now, timers := s.o.Now(), s.o.Timers
	t := store.Attempt{Delivery: d.ID, State: store.DeliveryPending, Status: a.Status, Now: now}
	if a.Err != nil { // else the status says why
		if t.Error = a.Err.Error(); len(t.Error) > maxReason {
			t.Error = strings.ToValidUTF8(t.Error[:maxReason], "") + "…"
		}
	}
	switch {
	case a.OK():
		t.State = store.DeliveryDone
	case a.Status == http.StatusGone:
		t.State, t.Gone = store.DeliveryAbandoned, true
	default:
		wait := max(timers.pause(d.Attempts, rand.Float64()), min(a.RetryAfter, timers.LongestPause))
		t.NextAt = now.Add(wait)
		if s.o.Steady().Add(wait).After(d.CreatedAt.Add(timers.RetryFor)) {
			t.State, t.NextAt = store.DeliveryAbandoned, time.Time{}
		}
	}
	return t
}

// pause draws how long to wait after one more attempt than there were, between nearly nothing and a bound that
// doubles: receivers that failed together are not called together again. draw is from 0 to 1.
func (t Timers) pause(attempts int, draw float64) time.Duration {
	bound := t.LongestPause
	if attempts < 62 && t.FirstPause < bound>>attempts { // doubled so often, it is still below
		bound = t.FirstPause << attempts
	}
	return max(time.Duration(draw*float64(bound)), shortestPause)
}

// record stores an attempt, also while the process stops: an event whose delivery was not stored is sent twice.
func (s *Sender) record(ctx context.Context, d store.Delivery, a store.Attempt) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	result := string(a.State)
	if a.State == store.DeliveryPending {
		result = retried
	}
	s.deliveries.WithLabelValues(result).Inc()
	log := s.o.Logger.With("delivery", a.Delivery, "webhook", d.Webhook, "batch", d.Batch, "attempt", d.Attempts+1)
	switch err := s.o.Store.RecordAttempt(ctx, a); {
	case errors.Is(err, store.ErrNotFound):
		log.Debug("webhook was removed or disabled while it was called")
	case err != nil:
		log.Error("store a webhook's delivery; it will be sent again", "state", string(a.State), "error", err)
	case a.Gone && d.Webhook != "":
		log.Warn("webhook disabled: its endpoint answered 410; batchd webhooks enable takes it up again", "status", a.Status)
	case a.State == store.DeliveryAbandoned:
		log.Warn("webhook gave up", "status", a.Status, "reason", a.Error)
	default:
		log.Debug("webhook attempt", "state", string(a.State), "status", a.Status, "reason", a.Error)
	}
}
