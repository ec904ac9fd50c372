package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// outboxProperty drives random histories of webhooks and deliveries against the store and against a list in memory, and
// compares what is seen after each step.
var outboxProperty = property{"outbox agrees with a model", func(t *testing.T, open Opener) {
	rapid.Check(t, func(r *rapid.T) {
		m := &outboxModel{T: r, x: newFixture(t, open), leased: make(map[string]bool)}
		defer func() { m.must(m.x.store.Close()) }()
		m.x.addTenants()
		actions := []func(){m.add, m.remove, m.rotate, m.end, m.end, m.lease, m.lease, m.record, m.record, m.forget, m.x.reopen, m.enable, m.redeliver, m.reclaim}
		for range rapid.IntRange(5, modelSteps).Draw(r, "steps") {
			m.x.tick()
			rapid.SampledFrom(actions).Draw(r, "action")()
			m.compare()
		}
	})
}}

// outboxModel is what the outbox should hold, oldest first.
type outboxModel struct {
	*rapid.T
	x          *fixture
	webhooks   []store.Webhook
	deliveries []store.Delivery
	leased     map[string]bool
	added      int // how many webhooks were added; their ids are never used again
	ended      int // how many batches have failed
}

func (m *outboxModel) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatalf("unexpected error: %v", err)
	}
}

func (m *outboxModel) same(got, want any) {
	m.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		m.Fatalf("not as it should be (-want +got):\n%s", diff)
	}
}

// pick draws one of n, or reports that there is none.
func (m *outboxModel) pick(n int) (int, bool) {
	if n == 0 {
		return 0, false
	}
	return rapid.IntRange(0, n-1).Draw(m.T, "which"), true
}

// add adds a webhook that asks for all events, for those that batches end with here, or for others.
func (m *outboxModel) add() {
	events := rapid.SampledFrom([][]batch.Event{nil, {batch.EventFailed}, {batch.EventCompleted}}).Draw(m.T, "events")
	w := m.x.newWebhook(fmt.Sprintf("we_%d", m.added), events...)
	m.added++
	m.must(m.x.store.AddWebhook(m.x.ctx, w))
	m.webhooks = append(m.webhooks, w)
}

// remove takes a webhook's deliveries with it.
func (m *outboxModel) remove() {
	i, ok := m.pick(len(m.webhooks))
	if !ok {
		return
	}
	id := m.webhooks[i].ID
	m.must(m.x.store.RemoveWebhook(m.x.ctx, id))
	m.webhooks = slices.Delete(m.webhooks, i, i+1)
	m.deliveries = slices.DeleteFunc(m.deliveries, func(d store.Delivery) bool { return d.Webhook == id })
}

// rotate gives a webhook another secret. The last one still signs for some seconds, which pass in the course of a history.
func (m *outboxModel) rotate() {
	i, ok := m.pick(len(m.webhooks))
	if !ok {
		return
	}
	w := &m.webhooks[i]
	w.Secret, w.Previous = fmt.Sprintf("whsec_%d", m.x.now.Unix()), w.Secret
	w.PreviousUntil = m.x.now.Add(time.Duration(rapid.IntRange(0, 9).Draw(m.T, "overlap")) * time.Second)
	m.must(m.x.store.RotateWebhook(m.x.ctx, w.ID, w.Secret, w.PreviousUntil))
}

// end lets a batch fail at once. The ids of its deliveries are the store's own affair.
func (m *outboxModel) end() {
	b := m.x.newBatch(fmt.Sprintf("b%d", m.ended))
	m.ended++
	b.CallbackURL = rapid.SampledFrom([]string{"", "https://example.com/callback"}).Draw(m.T, "callback")
	_, err := m.x.store.CreateFailedBatch(m.x.ctx, b, nil)
	m.must(err)
	delivery := store.Delivery{
		Tenant: tenant, Event: batch.EventFailed, Batch: b.ID, Dialect: b.Dialect, CreatedAt: m.x.now,
		State: store.DeliveryPending, NextAt: m.x.now,
	}
	begin := len(m.deliveries)
	for _, w := range m.webhooks {
		if w.Wants(batch.EventFailed) && w.DisabledAt.IsZero() {
			delivery.Webhook, delivery.Named, delivery.URL = w.ID, len(w.Events) > 0, w.URL
			m.deliveries = append(m.deliveries, delivery)
		}
	}
	if b.CallbackURL != "" {
		delivery.Webhook, delivery.Named, delivery.URL = "", false, b.CallbackURL
		m.deliveries = append(m.deliveries, delivery)
	}
	stored := m.x.deliveries(store.DeliveryQuery{Batch: b.ID, Limit: 99})
	if len(stored) != len(m.deliveries)-begin {
		m.Fatalf("%d deliveries are of %s, want %d", len(stored), b.ID, len(m.deliveries)-begin)
	}
	for i, d := range slices.Backward(stored) {
		mine := &m.deliveries[begin+len(stored)-1-i]
		mine.ID, mine.EventID = d.ID, d.EventID
	}
}

func (m *outboxModel) lease() {
	n := rapid.IntRange(0, 4).Draw(m.T, "at most")
	until := m.x.now.Add(time.Duration(rapid.IntRange(0, 9).Draw(m.T, "seconds")) * time.Second)
	var due []*store.Delivery
	for i := range m.deliveries {
		if d := &m.deliveries[i]; d.State == store.DeliveryPending && !d.NextAt.After(m.x.now) {
			due = append(due, d)
		}
	}
	slices.SortStableFunc(due, func(a, b *store.Delivery) int { return a.NextAt.Compare(b.NextAt) })
	got, err := m.x.store.LeaseDeliveries(m.x.ctx, m.x.now, until, n)
	m.must(err)
	if len(got) != min(n, len(due)) {
		m.Fatalf("leased %d deliveries, want %d of %d", len(got), n, len(due))
	}
	for i := range got {
		due[i].NextAt = until
		m.leased[due[i].ID] = true
		want := *due[i]
		want.Secrets = m.secrets(want)
		m.same(got[i], want)
	}
}

// secrets returns what signs a delivery now.
func (m *outboxModel) secrets(d store.Delivery) []string {
	for _, w := range m.webhooks {
		switch {
		case w.ID != d.Webhook:
		case m.x.now.Before(w.PreviousUntil):
			return []string{w.Secret, w.Previous}
		default:
			return []string{w.Secret}
		}
	}
	secret, _, err := m.x.store.CallbackSecret(m.x.ctx, tenant)
	m.must(err)
	return []string{secret}
}

func (m *outboxModel) record() {
	i, ok := m.pick(len(m.deliveries))
	if !ok {
		return
	}
	d := &m.deliveries[i]
	a := store.Attempt{
		Delivery: d.ID, Status: 500, Error: "refused", Now: m.x.now, NextAt: m.x.now.Add(3 * time.Second),
		State: rapid.SampledFrom([]store.DeliveryState{
			store.DeliveryPending, store.DeliveryDone, store.DeliveryAbandoned, store.DeliverySkipped,
		}).Draw(m.T, "state"),
	}
	a.Gone = a.State == store.DeliveryAbandoned && rapid.Bool().Draw(m.T, "gone")
	err := m.x.store.RecordAttempt(m.x.ctx, a)
	if d.State != store.DeliveryPending {
		if !errors.Is(err, store.ErrNotFound) {
			m.Fatalf("an attempt at a delivery that is %s: got error %v", d.State, err)
		}
		return
	}
	m.must(err)
	d.State, d.LastStatus, d.LastError, d.UpdatedAt = a.State, a.Status, a.Error, a.Now
	if d.NextAt = (time.Time{}); a.State == store.DeliveryPending {
		d.NextAt = a.NextAt
	}
	if a.State != store.DeliverySkipped {
		d.Attempts++
	}
	m.leased[d.ID] = false
	if a.Gone && d.Webhook != "" {
		m.disable(d.Webhook)
	}
}

// disable ends what is pending to a webhook whose endpoint is gone.
func (m *outboxModel) disable(id string) {
	for i := range m.webhooks {
		if w := &m.webhooks[i]; w.ID == id && w.DisabledAt.IsZero() {
			w.DisabledAt = m.x.now
		}
	}
	for i := range m.deliveries {
		if d := &m.deliveries[i]; d.Webhook == id && d.State == store.DeliveryPending {
			d.State, d.NextAt, d.UpdatedAt = store.DeliveryAbandoned, time.Time{}, m.x.now
			m.leased[d.ID] = false
			stored := m.x.deliveries(store.DeliveryQuery{Webhook: id, Limit: 999})
			d.LastError = stored[slices.IndexFunc(stored, func(s store.Delivery) bool { return s.ID == d.ID })].LastError
		}
	}
}

func (m *outboxModel) enable() {
	i, ok := m.pick(len(m.webhooks))
	if !ok {
		return
	}
	m.must(m.x.store.EnableWebhook(m.x.ctx, m.webhooks[i].ID))
	m.webhooks[i].DisabledAt = time.Time{}
}

func (m *outboxModel) redeliver() {
	i, ok := m.pick(len(m.deliveries))
	if !ok {
		return
	}
	d := &m.deliveries[i]
	disabled := slices.ContainsFunc(m.webhooks, func(w store.Webhook) bool { return w.ID == d.Webhook && !w.DisabledAt.IsZero() })
	got, err := m.x.store.Redeliver(m.x.ctx, d.ID, m.x.now)
	if d.State == store.DeliveryPending || disabled {
		if !errors.Is(err, store.ErrConflict) {
			m.Fatalf("a delivery that is %s was redelivered, disabled %v: got error %v", d.State, disabled, err)
		}
	} else {
		m.must(err)
		d.State, d.NextAt, d.UpdatedAt, d.Named = store.DeliveryPending, m.x.now, m.x.now, true
	}
	m.same(got, *d)
}

// reclaim makes due at once what is leased, or due in more than five seconds.
func (m *outboxModel) reclaim() {
	latest := m.x.now.Add(5 * time.Second)
	var reclaimed, advanced int
	for i := range m.deliveries {
		d := &m.deliveries[i]
		late, leased := d.NextAt.After(latest), m.leased[d.ID] && d.NextAt.After(m.x.now)
		switch {
		case d.State != store.DeliveryPending || !late && !leased:
			continue
		case leased:
			reclaimed++
		default:
			advanced++
		}
		d.NextAt, m.leased[d.ID] = m.x.now, false
	}
	n, err := m.x.store.ReclaimDeliveries(m.x.ctx, m.x.now)
	m.must(err)
	m.same(n, reclaimed)
	n, err = m.x.store.AdvanceDeliveries(m.x.ctx, m.x.now, latest)
	m.must(err)
	m.same(n, advanced)
}

// forget drops deliveries that have been over for five seconds.
func (m *outboxModel) forget() {
	before := m.x.now.Add(-5 * time.Second)
	over := func(d store.Delivery) bool { return d.State != store.DeliveryPending && d.UpdatedAt.Before(before) }
	kept := slices.DeleteFunc(slices.Clone(m.deliveries), over)
	n, err := m.x.store.ForgetDeliveries(m.x.ctx, before, 99)
	m.must(err)
	m.same(n, len(m.deliveries)-len(kept))
	m.deliveries = kept
}

// compare checks that the store shows what the model holds.
func (m *outboxModel) compare() {
	m.same(m.x.webhooks(tenant), m.webhooks)
	want := slices.Clone(m.deliveries)
	slices.Reverse(want)
	m.same(m.x.deliveries(store.DeliveryQuery{Tenant: tenant, Limit: 999}), want)
}
