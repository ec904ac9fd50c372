package webhook_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"batchd/internal/store"
)

// outbox is a store in memory.
type outbox struct {
	// mu guards following fields.
	mu         sync.Mutex
	deliveries map[string]*store.Delivery
	leased     map[string]bool
	attempts   []store.Attempt
	// broken makes every method fail.
	broken bool
}

var errBroken = errors.New("disk on fire")

func newOutbox() *outbox {
	return &outbox{deliveries: make(map[string]*store.Delivery), leased: make(map[string]bool)}
}

// put writes a delivery that is due at once.
func (o *outbox) put(d store.Delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	d.State, d.NextAt = store.DeliveryPending, d.CreatedAt
	o.deliveries[d.ID] = &d
}

func (o *outbox) LeaseDeliveries(_ context.Context, now, until time.Time, n int) ([]store.Delivery, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return nil, errBroken
	}
	var due []*store.Delivery
	for _, d := range o.deliveries {
		if d.State == store.DeliveryPending && !d.NextAt.After(now) {
			due = append(due, d)
		}
	}
	slices.SortFunc(due, func(a, b *store.Delivery) int {
		return cmp.Or(a.NextAt.Compare(b.NextAt), cmp.Compare(a.ID, b.ID))
	})
	var leased []store.Delivery
	for _, d := range due[:min(n, len(due))] {
		d.NextAt, o.leased[d.ID] = until, true
		leased = append(leased, *d)
	}
	return leased, nil
}

func (o *outbox) ReclaimDeliveries(_ context.Context, now time.Time) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return 0, errBroken
	}
	n := 0
	for _, d := range o.deliveries {
		if o.leased[d.ID] && d.State == store.DeliveryPending && d.NextAt.After(now) {
			d.NextAt = now
			n++
		}
	}
	clear(o.leased)
	return n, nil
}

func (o *outbox) AdvanceDeliveries(_ context.Context, now, latest time.Time) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return 0, errBroken
	}
	n := 0
	for _, d := range o.deliveries {
		if d.State == store.DeliveryPending && d.NextAt.After(latest) {
			d.NextAt = now
			n++
		}
	}
	return n, nil
}

func (o *outbox) RecordAttempt(_ context.Context, a store.Attempt) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := o.deliveries[a.Delivery]
	switch {
	case o.broken:
		return errBroken
	case d == nil || d.State != store.DeliveryPending:
		return store.ErrNotFound
	}
	if a.State != store.DeliverySkipped {
		d.Attempts++
	}
	d.State, d.NextAt, d.LastStatus, d.LastError = a.State, a.NextAt, a.Status, a.Error
	delete(o.leased, d.ID)
	for _, other := range o.deliveries {
		if a.Gone && d.Webhook != "" && other.Webhook == d.Webhook && other.State == store.DeliveryPending {
			other.State = store.DeliveryAbandoned
		}
	}
	o.attempts = append(o.attempts, a)
	return nil
}

// state returns a delivery as it now is.
func (o *outbox) state(id string) store.Delivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	return *o.deliveries[id]
}

// recorded returns all attempts so far.
func (o *outbox) recorded() []store.Attempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.attempts)
}

func (o *outbox) setBroken(broken bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = broken
}

func (o *outbox) remove(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.deliveries, id)
}

func TestTheOutboxOfTheTestsLeasesAsTheContractSays(t *testing.T) {
	t.Parallel()
	o, at := newOutbox(), time.Unix(1000, 0)
	o.put(store.Delivery{ID: "b", CreatedAt: at})
	o.put(store.Delivery{ID: "a", CreatedAt: at.Add(-time.Second)})
	first, _ := o.LeaseDeliveries(t.Context(), at, at.Add(time.Minute), 1)
	second, _ := o.LeaseDeliveries(t.Context(), at, at.Add(time.Minute), 5)
	third, _ := o.LeaseDeliveries(t.Context(), at, at.Add(time.Minute), 5)
	if len(first) != 1 || first[0].ID != "a" || len(second) != 1 || second[0].ID != "b" || len(third) != 0 {
		t.Errorf("got %v, %v, %v", first, second, third)
	}
}
