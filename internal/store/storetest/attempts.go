package storetest

import (
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// attemptCases say what recording an attempt leaves of a delivery, and which deliveries lists show and maintenance forgets.
var attemptCases = []group{
	{"attempts", []test{
		{"an attempt that is to be repeated is counted and due again at its time", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			x.fail("b1")
			want := x.deliver("we_1", 1)[0]
			for n := range 3 {
				now := x.tick()
				a := store.Attempt{
					Delivery: want.ID, State: store.DeliveryPending, Status: 500 + n, Error: odd, NextAt: now.Add(time.Minute), Now: now,
				}
				x.ok(x.store.RecordAttempt(x.ctx, a))
				want.Attempts, want.NextAt, want.LastStatus, want.LastError, want.UpdatedAt = n+1, a.NextAt, a.Status, odd, now
				x.same(x.deliver("we_1", 1)[0], want)
				x.same(len(x.due(a.NextAt.Add(-1))), 0)
				x.same(len(x.due(a.NextAt)), 1)
			}
		}},
		// Two senders may have one delivery, the second after the first one's lease: what came first stands.
		{"a final attempt is the last, and counted unless it was skipped", func(x *fixture) {
			for state, counted := range map[store.DeliveryState]int{
				store.DeliveryDone: 1, store.DeliveryAbandoned: 1, store.DeliverySkipped: 0,
			} {
				x := x.fresh()
				x.addTenants()
				x.addWebhook("we_1")
				x.fail("b1")
				want := x.deliver("we_1", 1)[0]
				a := store.Attempt{Delivery: want.ID, State: state, Status: 204, Error: "e", NextAt: x.now, Now: x.tick()}
				x.ok(x.store.RecordAttempt(x.ctx, a))
				want.State, want.Attempts, want.NextAt, want.LastStatus = state, counted, time.Time{}, 204
				want.LastError, want.UpdatedAt = "e", x.now
				x.same(x.deliver("we_1", 1)[0], want)
				x.same(len(x.due(x.now.Add(window))), 0)
				for _, next := range []store.DeliveryState{store.DeliveryPending, store.DeliveryDone, store.DeliverySkipped} {
					a.State, a.NextAt = next, x.now
					x.fails(x.store.RecordAttempt(x.ctx, a), store.ErrNotFound)
				}
				x.same(x.deliver("we_1", 1)[0], want)
			}
		}},
		{"refuses an attempt at a delivery that is not there, of no known state, or due at no time", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			x.fail("b1")
			want := x.deliver("we_1", 1)[0]
			x.fails(x.store.RecordAttempt(x.ctx, store.Attempt{Delivery: "wh_0", State: store.DeliveryDone, Now: x.now}), store.ErrNotFound)
			for _, state := range []store.DeliveryState{"", "sent", store.DeliveryPending} {
				if err := x.store.RecordAttempt(x.ctx, store.Attempt{Delivery: want.ID, State: state, Now: x.now}); err == nil {
					x.Errorf("recorded an attempt in state %q without a next one", state)
				}
			}
			x.same(x.deliver("we_1", 1)[0], want)
		}},
		{"a delivery that is sent again, by retry or lease, keeps its ids", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			x.fail("b1")
			first := x.due(x.now)[0]
			x.ok(x.store.RotateWebhook(x.ctx, "we_1", "whsec_new", x.now))
			again := x.due(x.now)[0]
			x.same([]string{again.ID, again.EventID}, []string{first.ID, first.EventID})
		}},
	}},
	{"delivery lists", []test{
		{"lists the newest first, by tenant, webhook and batch, without secrets", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			x.addWebhook("we_2", batch.EventFailed)
			x.addForeignWebhook("we_3")
			x.fail("b1")
			b := x.newBatch("s1")
			b.Tenant = stranger
			_, err := x.store.CreateFailedBatch(x.ctx, b, nil)
			x.ok(err)
			x.fail("b2")
			list := func(q store.DeliveryQuery) []string {
				if q.Limit == 0 {
					q.Limit = 9
				}
				var got []string
				for _, d := range x.deliveries(q) {
					x.same(d.Secrets, []string(nil))
					got = append(got, d.Batch+" to "+d.Webhook)
				}
				return got
			}
			x.same(list(store.DeliveryQuery{}), []string{"b2 to we_2", "b2 to we_1", "s1 to we_3", "b1 to we_2", "b1 to we_1"})
			x.same(list(store.DeliveryQuery{Limit: 3}), []string{"b2 to we_2", "b2 to we_1", "s1 to we_3"})
			x.same(list(store.DeliveryQuery{Limit: -1}), []string(nil))
			x.same(list(store.DeliveryQuery{Tenant: stranger}), []string{"s1 to we_3"})
			x.same(list(store.DeliveryQuery{Tenant: tenant, Limit: 1}), []string{"b2 to we_2"})
			x.same(list(store.DeliveryQuery{Webhook: "we_1"}), []string{"b2 to we_1", "b1 to we_1"})
			x.same(list(store.DeliveryQuery{Batch: "b1"}), []string{"b1 to we_2", "b1 to we_1"})
			x.same(list(store.DeliveryQuery{Batch: "b1", Webhook: "we_1"}), []string{"b1 to we_1"})
			x.same(list(store.DeliveryQuery{Batch: "b1", Webhook: "we_1", Tenant: tenant}), []string{"b1 to we_1"})
			for _, q := range []store.DeliveryQuery{
				{Tenant: stranger, Batch: "b1"},
				{Tenant: stranger, Webhook: "we_1"},
				{Tenant: "nobody"},
				{Tenant: stranger, Batch: "b1", Webhook: "we_1"},
				{Batch: "b9"},
				{Webhook: "we_9"},
				{Batch: "s1", Webhook: "we_1"},
			} {
				x.same(list(q), []string(nil))
			}
		}},
		// What is pending is ended by the sender alone, when it gives up.
		{"forgets what is over, longest ago first and so many at a time, and never what is pending", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			for i, state := range []store.DeliveryState{
				store.DeliveryDone, store.DeliveryAbandoned, store.DeliverySkipped, store.DeliveryDone,
			} {
				x.fail("b" + string(rune('1'+i)))
				x.tick()
				x.record(x.deliver("we_1", i+1)[0], state)
			}
			x.fail("waiting")
			left := func(before time.Time, n, want int) int {
				got, err := x.store.ForgetDeliveries(x.ctx, before, n)
				x.ok(err)
				x.same(got, want)
				return len(x.deliveries(store.DeliveryQuery{Limit: 99}))
			}
			x.same(left(start.Add(time.Second), 9, 0), 5)
			x.same(left(x.now, 0, 0), 5)
			x.same(left(x.now, 1, 1), 4)
			x.same(len(x.deliveries(store.DeliveryQuery{Batch: "b1", Limit: 9})), 0)
			x.same(left(x.now, 9, 2), 2)
			x.same(left(x.now.Add(1), 9, 1), 1)
			x.same(left(x.now.Add(window), 9, 0), 1)
			x.same(len(x.due(x.now)), 1)
		}},
	}},
}
