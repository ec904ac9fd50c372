package webhook

import (
	"net/url"
	"slices"
	"time"

	"batchd/internal/store"
)

const (
	// maxHeld bounds the leased deliveries in memory: some 500 bytes each.
	maxHeld = 16_384
	// callsHealthy is how many calls a receiver that answers well gets at once. Any other gets one: a receiver that
	// does not answer, or that was not called yet, holds one slot.
	callsHealthy = 4
	callsOther   = 1
	// waitingEach is how many deliveries wait here for one receiver; for one that fails it is less, because few of them
	// would be sent before their leases end.
	waitingEach      = 1024
	waitingUnhealthy = 4
)

// receiver is what calls are counted by. Two tenants that name the same host are two receivers: one must not wait for
// what the other does.
type receiver struct{ tenant, host string }

// leased is a delivery that is ours until a time; after that somebody else may send it.
type leased struct {
	store.Delivery
	to    receiver
	until time.Time
}

// lane is what waits and runs for one receiver. It is forgotten when it is empty.
type lane struct {
	to      receiver
	waiting []leased
	running int
	health  health
}

// health is how a receiver did in its last call.
type health int

const (
	unknown health = iota
	healthy
	// unhealthy is a receiver that failed or was slow.
	unhealthy
)

// empty reports whether nothing waits and nothing runs. How the receiver did is forgotten with the lane.
func (l *lane) empty() bool { return l.running == 0 && len(l.waiting) == 0 }

// queue decides which delivery is sent next: receivers take turns, none has more calls in flight than it may, and no
// tenant more than half of all slots. What it does not hold, or holds no more, comes back by a later lease. One
// goroutine owns it.
type queue struct {
	// slots is how many calls may be in flight, running how many are; held counts the deliveries that wait or run.
	slots   int
	held    int
	running int
	lanes   map[receiver]*lane
	// turns are the lanes; the first that may call is next and goes to the end.
	turns []*lane
	// calls counts the calls in flight of each tenant.
	calls map[string]int
}

// newQueue returns an empty queue of so many slots.
func newQueue(slots int) *queue {
	return &queue{slots: slots, lanes: make(map[receiver]*lane), calls: make(map[string]int)}
}

// add holds a delivery that is ours until the given time, unless too many wait for its receiver already.
func (q *queue) add(d store.Delivery, until time.Time) {
	to := receiver{d.Tenant, d.URL}
	if u, err := url.Parse(d.URL); err == nil {
		to.host = u.Host // path and query do not count: they are the same machine
	}
	l := q.lanes[to]
	if l == nil {
		l = &lane{to: to}
		q.lanes[to] = l
		q.turns = append(q.turns, l)
	}
	full := len(l.waiting) >= waitingEach || l.health == unhealthy && len(l.waiting) >= waitingUnhealthy
	if !full {
		l.waiting = append(l.waiting, leased{Delivery: d, to: to, until: until})
		q.held++
	}
}

// next takes the delivery that is to be sent now and gives it a slot, which release gives back.
func (q *queue) next() (leased, bool) {
	if q.running == q.slots {
		return leased{}, false
	}
	i := slices.IndexFunc(q.turns, func(l *lane) bool {
		most := callsOther
		if l.health == healthy {
			most = callsHealthy
		}
		return len(l.waiting) > 0 && l.running < most && q.calls[l.to.tenant] < max(1, q.slots/2)
	})
	if i < 0 {
		return leased{}, false
	}
	l := q.turns[i]
	q.turns = append(slices.Delete(q.turns, i, i+1), l)
	d := l.waiting[0]
	l.waiting = l.waiting[1:]
	l.running++
	q.running++
	q.calls[l.to.tenant]++
	return d, true
}

// release gives a slot back, and notes how the receiver did.
func (q *queue) release(r receiver, h health) {
	l := q.lanes[r]
	l.health = h
	l.running--
	q.running--
	q.held--
	if q.calls[r.tenant]--; q.calls[r.tenant] == 0 {
		delete(q.calls, r.tenant)
	}
	if l.health == unhealthy && len(l.waiting) > waitingUnhealthy {
		q.keep(l, l.waiting[:waitingUnhealthy])
	}
	if l.empty() {
		q.forgetEmpty()
	}
}

// drop forgets what waits and whose lease ends before the given time: it would be sent while somebody else may send
// it too.
func (q *queue) drop(before time.Time) {
	for _, l := range q.turns {
		q.keep(l, slices.DeleteFunc(l.waiting, func(d leased) bool { return d.until.Before(before) }))
	}
	q.forgetEmpty()
}

// forget drops what waits for a webhook that is disabled.
func (q *queue) forget(webhook string) {
	for _, l := range q.turns {
		q.keep(l, slices.DeleteFunc(l.waiting, func(d leased) bool { return d.Webhook == webhook }))
	}
	q.forgetEmpty()
}

// keep makes these the only ones that wait in a lane.
func (q *queue) keep(l *lane, waiting []leased) {
	q.held -= len(l.waiting) - len(waiting)
	l.waiting = waiting
}

// forgetEmpty drops the lanes that are empty, so that memory follows from what is held and not from who was ever called.
func (q *queue) forgetEmpty() {
	q.turns = slices.DeleteFunc(q.turns, func(l *lane) bool {
		if l.empty() {
			delete(q.lanes, l.to)
		}
		return l.empty()
	})
}
