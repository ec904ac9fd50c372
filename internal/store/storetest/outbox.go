package storetest

import (
	"regexp"
	"slices"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// fail stores a failed batch of the tenant, the cheapest end of a batch that makes an event.
func (x *fixture) fail(id string) batch.Batch {
	x.Helper()
	b, err := x.store.CreateFailedBatch(x.ctx, x.newBatch(id), nil)
	x.ok(err)
	return b
}

// deliver lists the deliveries to a webhook, or all with "", which must be n.
func (x *fixture) deliver(webhook string, n int) []store.Delivery {
	x.Helper()
	deliveries := x.deliveries(store.DeliveryQuery{Webhook: webhook, Limit: 99})
	if len(deliveries) != n {
		x.Fatalf("%d deliveries, want %d: %+v", len(deliveries), n, deliveries)
	}
	return deliveries
}

func (x *fixture) deliveries(q store.DeliveryQuery) []store.Delivery {
	x.Helper()
	deliveries, err := x.store.ListDeliveries(x.ctx, q)
	x.ok(err)
	return deliveries
}

// due leases all that is due at now without putting it off.
func (x *fixture) due(now time.Time) []store.Delivery {
	x.Helper()
	due, err := x.store.LeaseDeliveries(x.ctx, now, now, 99)
	x.ok(err)
	return due
}

// record stores an attempt that came to a final state.
func (x *fixture) record(d store.Delivery, state store.DeliveryState) {
	x.Helper()
	x.ok(x.store.RecordAttempt(x.ctx, store.Attempt{Delivery: d.ID, State: state, Status: 200, Now: x.now}))
}

// addressesOf returns whom deliveries go to: the webhooks' ids, or "callback".
func addressesOf(deliveries []store.Delivery) []string {
	var addresses []string
	for _, d := range deliveries {
		if d.Webhook == "" {
			d.Webhook = "callback"
		}
		addresses = append(addresses, d.Webhook)
	}
	slices.Sort(addresses)
	return addresses
}

// outboxCases say which deliveries the end of a batch writes, and who gets to send them.
var outboxCases = []group{
	{"outbox", []test{
		{"every end makes one event, and nothing else does, in every situation", func(x *fixture) {
			for _, s := range situations() {
				x := x.fresh()
				x.addTenants()
				x.addWebhook("we_1")
				s.build(x, "b1")
				if !s.status.Terminal() {
					x.deliver("", 0)
					continue
				}
				d := x.deliver("", 1)[0]
				x.same([]any{d.Event, d.Batch, d.Tenant}, []any{batch.Event("batch." + string(s.status)), "b1", tenant})
				x.same([]time.Time{d.CreatedAt, d.NextAt}, []time.Time{x.now, x.now})
			}
		}},
		{"goes to each webhook of the tenant that wants it, and to the batch's own callback", func(x *fixture) {
			x.addTenants()
			every, named := x.addWebhook("we_1"), x.addWebhook("we_2", batch.EventCompleted, batch.EventFailed)
			x.addWebhook("we_3", batch.EventCompleted)
			x.addForeignWebhook("we_4")
			b := x.newBatch("b1")
			b.CallbackURL = "https://example.com/callback"
			x.tick()
			b.CreatedAt = x.now
			_, err := x.store.CreateFailedBatch(x.ctx, b, nil)
			x.ok(err)
			got := x.deliver("", 3)
			want := store.Delivery{
				Tenant: tenant, EventID: got[0].EventID, Event: batch.EventFailed, Batch: "b1", Dialect: "openai",
				CreatedAt: x.now, State: store.DeliveryPending, NextAt: x.now,
			}
			callback, toNamed, toEvery := want, want, want
			callback.ID, callback.URL = got[0].ID, b.CallbackURL
			toNamed.ID, toNamed.Webhook, toNamed.Named, toNamed.URL = got[1].ID, named.ID, true, named.URL
			toEvery.ID, toEvery.Webhook, toEvery.URL = got[2].ID, every.ID, every.URL
			x.same(got, []store.Delivery{callback, toNamed, toEvery})
		}},
		{"a batch keeps its callback until it ends", func(x *fixture) {
			x.createFiles("in-b1")
			b := x.newBatch("b1")
			b.CallbackURL = "https://example.com/?" + odd
			x.ok(x.store.CreateBatch(x.ctx, b))
			x.same(x.read("b1").CallbackURL, b.CallbackURL)
			x.cancel("b1")
			x.close("b1")
			d := x.deliver("", 1)[0]
			x.same([]any{d.URL, d.Event, d.Webhook, d.Named}, []any{b.CallbackURL, batch.EventCancelled, "", false})
		}},
		// An event says that something happened; receivers act on it.
		{"an end that is refused or undone makes no event", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			x.start("b1", 1)
			x.seal(x.take("b1", 1))
			x.createFiles("err")
			lease := x.lease(store.StageFinalize, "b1")
			c := store.Close{Batch: "b1", Lease: lease, Now: x.now, Output: x.newResult("b1", "out"), Error: x.newResult("b1", "err")}
			_, err := x.store.CloseBatch(x.ctx, c)
			x.fails(err, store.ErrConflict)
			c.Lease = batch.NewLeaseID()
			_, err = x.store.CloseBatch(x.ctx, c)
			x.fails(err, store.ErrLeaseLost)
			x.fails(x.store.FailBatch(x.ctx, x.failure("b1", lease)), store.ErrConflict)
			_, err = x.store.CreateFailedBatch(x.ctx, x.newBatch("b1"), nil)
			x.fails(err, store.ErrConflict)
			x.deliver("", 0)
			c.Lease, c.Error = lease, nil
			_, err = x.store.CloseBatch(x.ctx, c)
			x.ok(err)
			_, err = x.store.CloseBatch(x.ctx, c)
			x.fails(err, store.ErrLeaseLost)
			x.deliver("we_1", 1)
		}},
		// An event that is written twice is then one that receivers can tell is the same.
		{"ids follow from the batch, the event and the address", func(x *fixture) {
			var first []store.Delivery
			seen := make(map[string]bool)
			for range 2 {
				x := x.fresh()
				x.addTenants()
				x.addWebhook("we_1")
				x.addWebhook("we_2")
				b := x.newBatch("b1")
				b.CallbackURL = "https://example.com/"
				_, err := x.store.CreateFailedBatch(x.ctx, b, nil)
				x.ok(err)
				x.fail("b2")
				got := x.deliver("", 5)
				if first == nil {
					first = got
				}
				x.same(got, first)
			}
			for _, d := range first {
				if !regexp.MustCompile(`^wh_[0-9a-f]{32}$`).MatchString(d.ID) || seen[d.ID] {
					x.Errorf("delivery id %q, seen %v", d.ID, seen[d.ID])
				}
				if !regexp.MustCompile(`^evt_[0-9a-f]{32}$`).MatchString(d.EventID) {
					x.Errorf("event id %q", d.EventID)
				}
				seen[d.ID] = true
				x.same(d.EventID == first[0].EventID, d.Batch == first[0].Batch)
			}
		}},
		{"what is in the outbox outlives the process", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			x.fail("b1")
			want := x.deliver("we_1", 1)
			x.reopen()
			x.same(x.deliver("we_1", 1), want)
			x.same(addressesOf(x.due(x.now)), []string{"we_1"})
		}},
	}},
	{"leased deliveries", []test{
		{"what is due comes longest due first, so many at a time, and is put off", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			first := x.now
			for _, id := range []string{"b1", "b2", "b3"} {
				x.fail(id)
				x.tick()
			}
			lease := func(now, until time.Time, n int) []string {
				due, err := x.store.LeaseDeliveries(x.ctx, now, until, n)
				x.ok(err)
				var ids []string
				for _, d := range due {
					x.same(d.NextAt, until)
					ids = append(ids, d.Batch)
				}
				return ids
			}
			x.same(lease(first.Add(-1), x.now, 9), []string(nil))
			x.same(lease(x.now, x.now, 0), []string(nil))
			until := x.now.Add(time.Minute)
			x.same(lease(first, until.Add(1), 9), []string{"b1"})
			x.same(lease(x.now, until, 1), []string{"b2"})
			x.same(lease(x.now, until.Add(2), 9), []string{"b3"})
			x.same(lease(until.Add(-1), until, 9), []string(nil))
			x.same(lease(until.Add(1), until.Add(window), 9), []string{"b2", "b1"})
			x.same(lease(until.Add(2), until.Add(window), 9), []string{"b3"})
			for _, d := range x.deliver("we_1", 3) {
				x.same([]any{d.Attempts, d.UpdatedAt.IsZero(), d.State}, []any{0, true, store.DeliveryPending})
			}
		}},
		{"a leased one is whole, with where it goes and what signs", func(x *fixture) {
			x.addTenants()
			w := x.addWebhook("we_1", batch.EventFailed)
			b := x.newBatch("b1")
			b.CallbackURL = "https://example.com/callback"
			_, err := x.store.CreateFailedBatch(x.ctx, b, nil)
			x.ok(err)
			secret, _, err := x.store.CallbackSecret(x.ctx, tenant)
			x.ok(err)
			want := x.deliver("", 2)
			slices.Reverse(want)
			want[0].Secrets, want[1].Secrets = []string{w.Secret}, []string{secret}
			x.same(x.due(x.now), want)
		}},
		// The sender cannot sign it. The batch must not fail for that.
		{"a callback of a tenant that is not there has nothing to sign with", func(x *fixture) {
			b := x.newBatch("b1")
			b.CallbackURL = "https://example.com/callback"
			_, err := x.store.CreateFailedBatch(x.ctx, b, nil)
			x.ok(err)
			due := x.due(x.now)
			x.same(addressesOf(due), []string{"callback"})
			x.same(due[0].Secrets, []string(nil))
		}},
		{"of many senders one gets each delivery", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			for i := range 12 {
				x.fail(string(rune('a' + i)))
			}
			var mu sync.Mutex
			got := make(map[string]int)
			var wg sync.WaitGroup
			for range 6 {
				wg.Go(func() {
					for {
						due, err := x.store.LeaseDeliveries(x.ctx, x.now, x.now.Add(time.Minute), 2)
						if err != nil || len(due) == 0 {
							if err != nil {
								x.Errorf("lease: %v", err)
							}
							return
						}
						mu.Lock()
						for _, d := range due {
							got[d.Batch]++
						}
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			x.same(len(got), 12)
			for id, n := range got {
				x.same([]any{id, n}, []any{id, 1})
			}
		}},
	}},
}
