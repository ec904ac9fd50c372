package storetest

import (
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// addTenants gives the tenants of the tests rows of their own, which owners of webhooks need.
func (x *fixture) addTenants() {
	x.Helper()
	for id, name := range map[string]string{tenant: "tenant", stranger: "stranger"} {
		x.ok(x.store.CreateTenant(x.ctx, store.Tenant{ID: id, Name: name, CreatedAt: x.now, Weight: 1}))
	}
}

// newWebhook returns a webhook of the tenant that wants these events, or all.
func (x *fixture) newWebhook(id string, events ...batch.Event) store.Webhook {
	return store.Webhook{
		ID: id, Tenant: tenant, URL: "https://example.com/" + id, Events: events, Secret: "whsec_" + id, CreatedAt: x.now,
	}
}

// addWebhook stores a webhook of the tenant.
func (x *fixture) addWebhook(id string, events ...batch.Event) store.Webhook {
	x.Helper()
	w := x.newWebhook(id, events...)
	x.ok(x.store.AddWebhook(x.ctx, w))
	return w
}

// addForeignWebhook stores a webhook of the stranger.
func (x *fixture) addForeignWebhook(id string) store.Webhook {
	x.Helper()
	w := x.newWebhook(id)
	w.Tenant = stranger
	x.ok(x.store.AddWebhook(x.ctx, w))
	return w
}

// webhooks lists the webhooks of a tenant, or all.
func (x *fixture) webhooks(owner string) []store.Webhook {
	x.Helper()
	webhooks, err := x.store.ListWebhooks(x.ctx, owner)
	x.ok(err)
	return webhooks
}

// webhookCases say what webhooks are, and which secrets sign their events.
var webhookCases = []group{
	{"webhooks", []test{
		{"a webhook is as it was added, also when the store is opened again", func(x *fixture) {
			x.addTenants()
			w := store.Webhook{
				ID: "we_1", Tenant: tenant, URL: "https://example.com/?q=" + odd, Secret: "whsec_" + odd, Previous: "whsec_old",
				PreviousUntil: x.now.Add(time.Hour), CreatedAt: x.now,
				Events: []batch.Event{batch.EventFailed, batch.EventCompleted},
			}
			x.ok(x.store.AddWebhook(x.ctx, w))
			every := x.addWebhook("we_2")
			for range 2 {
				x.same(x.webhooks(tenant), []store.Webhook{w, every})
				for _, want := range []store.Webhook{w, every} {
					got, err := x.store.Webhook(x.ctx, want.ID)
					x.ok(err)
					x.same(got, want)
				}
				x.reopen()
			}
		}},
		{"refuses an id that is taken, by whomever", func(x *fixture) {
			x.addTenants()
			want := x.addWebhook("we_1")
			for _, owner := range []string{tenant, stranger} {
				w := x.newWebhook("we_1", batch.EventFailed)
				w.Tenant = owner
				x.fails(x.store.AddWebhook(x.ctx, w), store.ErrConflict)
			}
			x.same(x.webhooks(""), []store.Webhook{want})
		}},
		{"refuses a webhook of a tenant that is not there", func(x *fixture) {
			x.fails(x.store.AddWebhook(x.ctx, x.newWebhook("we_1")), store.ErrNotFound)
			x.same(x.webhooks(""), []store.Webhook(nil))
		}},
		{"lists those of a tenant, or all, oldest first", func(x *fixture) {
			x.addTenants()
			second, foreign, first := x.addWebhook("we_2"), x.addForeignWebhook("we_3"), x.addWebhook("we_1")
			x.same(x.webhooks(tenant), []store.Webhook{second, first})
			x.same(x.webhooks(stranger), []store.Webhook{foreign})
			x.same(x.webhooks(""), []store.Webhook{second, foreign, first})
			x.same(x.webhooks("nobody"), []store.Webhook(nil))
		}},
		{"a removed webhook is gone with its deliveries, done or not, and nothing else is", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			kept := x.addWebhook("we_2")
			x.fail("b1")
			x.record(x.deliver("we_1", 1)[0], store.DeliveryDone)
			x.fail("b2")
			x.ok(x.store.RemoveWebhook(x.ctx, "we_1"))
			x.same(x.webhooks(tenant), []store.Webhook{kept})
			_, err := x.store.Webhook(x.ctx, "we_1")
			x.fails(err, store.ErrNotFound)
			x.same(x.deliver("we_1", 0), []store.Delivery(nil))
			x.same(addressesOf(x.deliver("", 2)), []string{"we_2", "we_2"})
			x.same(addressesOf(x.due(x.now.Add(window))), []string{"we_2", "we_2"})
			x.fails(x.store.RemoveWebhook(x.ctx, "we_1"), store.ErrNotFound)
		}},
		{"gets nothing that ended before it was added or after it was removed", func(x *fixture) {
			x.addTenants()
			x.fail("b1")
			x.addWebhook("we_1")
			x.fail("b2")
			x.ok(x.store.RemoveWebhook(x.ctx, "we_1"))
			x.fail("b3")
			x.addWebhook("we_1")
			x.same(x.deliver("", 0), []store.Delivery(nil))
		}},
	}},
	{"secrets", []test{
		{"rotation puts a new secret in place and keeps the last one for a while", func(x *fixture) {
			x.addTenants()
			want, other := x.addWebhook("we_1", batch.EventFailed), x.addWebhook("we_2")
			for _, secret := range []string{"whsec_new", "whsec_newer"} {
				want.Secret, want.Previous, want.PreviousUntil = secret, want.Secret, x.tick().Add(time.Hour)
				x.ok(x.store.RotateWebhook(x.ctx, "we_1", secret, want.PreviousUntil))
				x.same(x.webhooks(tenant), []store.Webhook{want, other})
			}
			x.fails(x.store.RotateWebhook(x.ctx, "we_3", "whsec_new", x.now), store.ErrNotFound)
		}},
		{"both secrets sign until the last one's end, the current one first", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			x.fail("b1")
			end := x.now.Add(time.Minute)
			x.ok(x.store.RotateWebhook(x.ctx, "we_1", "whsec_new", end))
			secrets := func(now time.Time) []string {
				due := x.due(now)
				x.same(len(due), 1)
				return due[0].Secrets
			}
			x.same(secrets(end.Add(-1)), []string{"whsec_new", "whsec_we_1"})
			x.same(secrets(end), []string{"whsec_new"})
		}},
		{"a rotation that ends at no time ends at once", func(x *fixture) {
			x.addTenants()
			x.addWebhook("we_1")
			x.fail("b1")
			x.ok(x.store.RotateWebhook(x.ctx, "we_1", "whsec_new", time.Time{}))
			x.same(x.due(x.now)[0].Secrets, []string{"whsec_new"})
		}},
		{"each tenant has a callback secret of its own, from its beginning", func(x *fixture) {
			x.addTenants()
			minted, err := x.store.DefaultTenant(x.ctx)
			x.ok(err)
			seen := make(map[string]string)
			for range 2 {
				for _, id := range []string{minted, tenant, stranger} {
					secret, until, err := x.store.CallbackSecret(x.ctx, id)
					x.ok(err)
					x.same(until, time.Time{})
					if owner, known := seen[secret]; known && owner != id || !strings.HasPrefix(secret, "whsec_") {
						x.Fatalf("the callback secret of %s is %q, which %q has too", id, secret, owner)
					}
					seen[secret] = id
				}
				x.reopen()
			}
			x.same(len(seen), 3)
			_, _, err = x.store.CallbackSecret(x.ctx, "nobody")
			x.fails(err, store.ErrNotFound)
		}},
	}},
}
