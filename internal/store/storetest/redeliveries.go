package storetest

import (
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// gone records that a delivery's endpoint answered 410.
func (x *fixture) gone(d store.Delivery) {
	x.Helper()
	x.ok(x.store.RecordAttempt(x.ctx, store.Attempt{
		Delivery: d.ID, State: store.DeliveryAbandoned, Status: 410, Now: x.now, Gone: true,
	}))
}

// redeliveryCases say what becomes of deliveries whose sender, clock or endpoint is gone, and what brings them back.
var redeliveryCases = []group{
	{"deliveries of the dead", []test{
		{"what a dead process had leased is due at once, and what waits to be repeated is not", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			for _, id := range []string{"b1", "b2", "b3"} {
				x.fail(id)
			}
			until := x.now.Add(time.Minute)
			leased, err := x.store.LeaseDeliveries(x.ctx, x.now, until, 2)
			x.ok(err)
			x.same(len(leased), 2)
			x.ok(x.store.RecordAttempt(x.ctx, store.Attempt{
				Delivery: leased[0].ID, State: store.DeliveryPending, Status: 500, NextAt: until, Now: x.now,
			}))
			x.reopen()
			x.same(batchesOf(x.due(x.tick())), []string{"b3"})
			n, err := x.store.ReclaimDeliveries(x.ctx, x.now)
			x.ok(err)
			x.same(n, 1) // b3 is due already
			x.same(batchesOf(x.due(x.now)), []string{"b2", "b3"})
			x.same(batchesOf(x.due(until)), []string{"b1", "b2", "b3"})
		}},
		{"what is due too late to be a pause is due at once", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			x.fail("b1")
			b := x.newBatch("b2")
			b.CreatedAt = x.now.Add(3650 * window)
			_, err := x.store.CreateFailedBatch(x.ctx, b, nil)
			x.ok(err)
			x.same(batchesOf(x.due(x.now)), []string{"b1"})
			for _, want := range []int{1, 0} {
				n, err := x.store.AdvanceDeliveries(x.ctx, x.now, x.now.Add(time.Hour))
				x.ok(err)
				x.same(n, want)
			}
			x.same(batchesOf(x.due(x.now)), []string{"b1", "b2"})
		}},
	}},
	{"endpoints that are gone", []test{
		{"a webhook is disabled with all that is pending to it, and gets nothing until it is enabled", func(x *fixture) {
			x.addTenants()
			w, other := x.addWebhook("we_1"), x.addWebhook("we_2")
			x.fail("b1")
			x.record(x.deliver("we_1", 1)[0], store.DeliveryDone)
			x.fail("b2")
			x.fail("b3")
			x.tick()
			x.gone(x.deliver("we_1", 3)[0])
			w.DisabledAt = x.now
			for range 2 {
				x.same(x.webhooks(tenant), []store.Webhook{w, other})
				x.reopen()
			}
			states := func() (states []store.DeliveryState) {
				for _, d := range x.deliveries(store.DeliveryQuery{Webhook: "we_1", Limit: 9}) {
					states = append(states, d.State)
				}
				return states
			}
			x.same(states(), []store.DeliveryState{store.DeliveryAbandoned, store.DeliveryAbandoned, store.DeliveryDone})
			ended := x.deliver("we_1", 3)[1]
			x.same([]any{ended.Attempts, ended.LastStatus, ended.LastError != "", ended.UpdatedAt}, []any{0, 0, true, x.now})
			x.same(addressesOf(x.due(x.now.Add(window))), []string{"we_2", "we_2", "we_2"})
			x.fail("b4")
			x.deliver("we_1", 3)
			x.ok(x.store.EnableWebhook(x.ctx, "we_1"))
			x.ok(x.store.EnableWebhook(x.ctx, "we_1"))
			w.DisabledAt = time.Time{}
			x.same(x.webhooks(tenant), []store.Webhook{w, other})
			x.fail("b5")
			x.deliver("we_1", 4)
			x.fails(x.store.EnableWebhook(x.ctx, "we_3"), store.ErrNotFound)
		}},
		{"an attempt that is not recorded disables nothing", func(x *fixture) {
			x.addTenants()
			want := x.addWebhook("we_1")
			x.fail("b1")
			d := x.deliver("we_1", 1)[0]
			x.record(d, store.DeliveryDone)
			x.fails(x.store.RecordAttempt(x.ctx, store.Attempt{
				Delivery: d.ID, State: store.DeliveryAbandoned, Status: 410, Now: x.now, Gone: true,
			}), store.ErrNotFound)
			x.same(x.webhooks(tenant), []store.Webhook{want})
		}},
		{"a callback that is gone ends its own delivery and no other", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			for _, id := range []string{"b1", "b2"} {
				b := x.newBatch(id)
				b.CallbackURL = "https://example.com/callback"
				_, err := x.store.CreateFailedBatch(x.ctx, b, nil)
				x.ok(err)
			}
			all := x.deliver("", 4)
			i := slices.IndexFunc(all, func(d store.Delivery) bool { return d.Webhook == "" })
			x.gone(all[i])
			x.same(addressesOf(x.due(x.now)), []string{"callback", "we_1", "we_1"})
		}},
	}},
	{"deliveries again", []test{
		{"one that is over is due at once with its ids, and attempts go on", func(x *fixture) {
			for _, state := range []store.DeliveryState{store.DeliveryDone, store.DeliveryAbandoned, store.DeliverySkipped} {
				x := x.fresh()
				x.addTenants()
				x.addWebhook("we_1")
				x.fail("b1")
				x.record(x.deliver("we_1", 1)[0], state)
				want := x.deliver("we_1", 1)[0]
				now := x.tick()
				got, err := x.store.Redeliver(x.ctx, want.ID, now)
				x.ok(err)
				want.State, want.NextAt, want.UpdatedAt, want.Named = store.DeliveryPending, now, now, true
				x.same(got, want)
				x.reopen()
				x.same(x.deliver("we_1", 1)[0], want)
				x.same(x.due(now)[0].Secrets, []string{"whsec_we_1"})
				x.record(want, store.DeliveryDone)
				x.same(x.deliver("we_1", 1)[0].Attempts, want.Attempts+1)
			}
		}},
		{"refuses one that is not there, is pending, or goes to a disabled webhook", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			_, err := x.store.Redeliver(x.ctx, "wh_0", x.now)
			x.fails(err, store.ErrNotFound)
			x.fail("b1")
			want := x.deliver("we_1", 1)[0]
			got, err := x.store.Redeliver(x.ctx, want.ID, x.tick())
			x.fails(err, store.ErrConflict)
			x.same(got, want)
			x.gone(want)
			want = x.deliver("we_1", 1)[0]
			got, err = x.store.Redeliver(x.ctx, want.ID, x.tick())
			x.fails(err, store.ErrConflict)
			x.same(got, want)
			x.same(x.deliver("we_1", 1)[0], want)
		}},
	}},
	{"callback secrets", []test{
		{"rotation puts a new secret in place, and both sign until the last one's end", func(x *fixture) {
			x.addTenants()
			first, _, err := x.store.CallbackSecret(x.ctx, tenant)
			x.ok(err)
			foreign, _, err := x.store.CallbackSecret(x.ctx, stranger)
			x.ok(err)
			b := x.newBatch("b1")
			b.CallbackURL = "https://example.com/callback"
			_, err = x.store.CreateFailedBatch(x.ctx, b, []batch.LineError(nil))
			x.ok(err)
			end := x.now.Add(time.Hour)
			secrets := func(now time.Time) []string {
				due, err := x.store.LeaseDeliveries(x.ctx, now, x.now, 9) // and leave it due
				x.ok(err)
				x.same(len(due), 1)
				return due[0].Secrets
			}
			x.ok(x.store.RotateCallbackSecret(x.ctx, tenant, "whsec_new", end))
			for range 2 {
				secret, until, err := x.store.CallbackSecret(x.ctx, tenant)
				x.ok(err)
				x.same(secret, "whsec_new")
				x.same(until, end)
				x.same(secrets(end.Add(-1)), []string{"whsec_new", first})
				x.same(secrets(end), []string{"whsec_new"})
				x.reopen()
			}
			x.ok(x.store.RotateCallbackSecret(x.ctx, tenant, "whsec_newer", time.Time{}))
			x.same(secrets(x.now.Add(window)), []string{"whsec_newer"})
			secret, until, err := x.store.CallbackSecret(x.ctx, tenant)
			x.ok(err)
			x.same(secret, "whsec_newer")
			x.same(until, time.Time{})
			secret, until, err = x.store.CallbackSecret(x.ctx, stranger)
			x.ok(err)
			x.same(secret, foreign)
			x.same(until, time.Time{})
			x.fails(x.store.RotateCallbackSecret(x.ctx, "nobody", "whsec_new", end), store.ErrNotFound)
		}},
	}},
}

// batchesOf returns the batches that deliveries tell of, in order of their ids.
func batchesOf(deliveries []store.Delivery) []string {
	var ids []string
	for _, d := range deliveries {
		ids = append(ids, d.Batch)
	}
	slices.Sort(ids)
	return ids
}
