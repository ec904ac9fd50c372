package storetest

import (
	"crypto/sha256"
	"time"

	"batchd/internal/store"
)

// newKey returns a key of the tenant.
func (x *fixture) newKey(id string) store.Key {
	return store.Key{ID: id, Tenant: tenant, Hash: sha256.Sum256([]byte(id)), Role: store.RoleTenant, CreatedAt: x.now}
}

// key returns a key as it is.
func (x *fixture) key(id string) store.Key {
	x.Helper()
	k, _, err := x.store.Key(x.ctx, id)
	x.ok(err)
	return k
}

// keyCases say what API keys are, and when they end.
var keyCases = []group{
	{"keys", []test{
		{"reads back every field, with its tenant", func(x *fixture) {
			owner := x.newTenant(tenant, "n")
			x.ok(x.store.CreateTenant(x.ctx, owner))
			k := x.newKey("key_" + odd)
			k.Dialect, k.ExpiresAt, k.RevokedAt = odd, x.now.Add(time.Hour), x.now.Add(time.Minute)
			k.Role, k.OpensContent = store.RoleAdmin, true
			x.ok(x.store.CreateKey(x.ctx, k))
			got, of, err := x.store.Key(x.ctx, k.ID)
			x.ok(err)
			x.same(got, k)
			x.same(of, owner)
		}},
		{"is for its tenant alone unless it was made for an admin, with or without content", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			plain, admin := x.newKey("key_1"), x.newKey("key_2")
			plain.Role, admin.Role = "", store.RoleAdmin
			x.ok(x.store.CreateKey(x.ctx, plain))
			x.ok(x.store.CreateKey(x.ctx, admin))
			plain.Role = store.RoleTenant
			x.same(x.key("key_1"), plain)
			x.same(x.key("key_2"), admin)
			x.ok(x.store.EndKey(x.ctx, "key_2", x.now))
			admin.RevokedAt = x.now
			x.same(x.key("key_2"), admin)
		}},
		{"shows what was changed of its tenant at once", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.ok(x.store.CreateKey(x.ctx, x.newKey("key_1")))
			x.limit(tenant, store.Limits{RequestsPerMinute: 60})
			_, of, err := x.store.Key(x.ctx, "key_1")
			x.ok(err)
			x.same(of.Limits, store.Limits{RequestsPerMinute: 60})
		}},
		{"refuses an id that is taken, by any tenant, and keeps what was there", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.limit(stranger, store.Limits{})
			want := x.newKey("key_1")
			x.ok(x.store.CreateKey(x.ctx, want))
			other := x.newKey("key_1")
			other.Tenant, other.Hash = stranger, sha256.Sum256([]byte("other"))
			x.fails(x.store.CreateKey(x.ctx, other), store.ErrConflict)
			x.same(x.key("key_1"), want)
		}},
		{"refuses a tenant that is not there", func(x *fixture) {
			x.fails(x.store.CreateKey(x.ctx, x.newKey("key_1")), store.ErrNotFound)
			_, _, err := x.store.Key(x.ctx, "key_1")
			x.fails(err, store.ErrNotFound)
		}},
		{"finds none but by its whole id", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.ok(x.store.CreateKey(x.ctx, x.newKey("key_1")))
			for _, id := range []string{"", "key_", "key_11", "KEY_1", "key_1 ", "key_%"} {
				_, _, err := x.store.Key(x.ctx, id)
				x.fails(err, store.ErrNotFound)
			}
		}},
		{"lists a tenant's keys, or all, oldest first and ended ones too", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.limit(stranger, store.Limits{})
			for _, id := range []string{"key_3", "key_1", "key_2"} {
				k := x.newKey(id)
				if id == "key_1" {
					k.Tenant = stranger
				}
				x.ok(x.store.CreateKey(x.ctx, k))
				x.now = x.now.Add(-time.Second)
			}
			x.ok(x.store.EndKey(x.ctx, "key_3", x.now))
			for of, want := range map[string][]string{
				"": {"key_3", "key_1", "key_2"}, tenant: {"key_3", "key_2"}, stranger: {"key_1"}, "none": nil,
			} {
				keys, err := x.store.ListKeys(x.ctx, of)
				x.ok(err)
				var ids []string
				for _, k := range keys {
					ids = append(ids, k.ID)
					x.same(k, x.key(k.ID))
				}
				x.same(ids, want)
			}
		}},
		{"ends at a given time, also one that lies ahead", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.ok(x.store.CreateKey(x.ctx, x.newKey("key_1")))
			x.ok(x.store.CreateKey(x.ctx, x.newKey("key_2")))
			end := x.now.Add(time.Hour)
			x.ok(x.store.EndKey(x.ctx, "key_1", end))
			k := x.key("key_1")
			x.same(k.RevokedAt, end)
			x.same([]bool{k.Usable(end.Add(-1)), k.Usable(end)}, []bool{true, false})
			x.same(x.key("key_2"), x.newKey("key_2"))
		}},
		{"an end comes earlier, never later", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.ok(x.store.CreateKey(x.ctx, x.newKey("key_1")))
			for _, c := range []struct{ at, want time.Duration }{{60, 60}, {90, 60}, {60, 60}, {30, 30}, {31, 30}} {
				x.ok(x.store.EndKey(x.ctx, "key_1", start.Add(c.at)))
				x.same(x.key("key_1").RevokedAt, start.Add(c.want))
			}
		}},
		{"cannot end a key that is not there", func(x *fixture) {
			x.fails(x.store.EndKey(x.ctx, "key_1", x.now), store.ErrNotFound)
		}},
		{"knows whether there ever was a key", func(x *fixture) {
			has := func() bool {
				x.Helper()
				found, err := x.store.HasKeys(x.ctx)
				x.ok(err)
				return found
			}
			x.limit(tenant, store.Limits{})
			x.same(has(), false)
			x.ok(x.store.CreateKey(x.ctx, x.newKey("key_1")))
			x.same(has(), true)
			x.ok(x.store.EndKey(x.ctx, "key_1", x.now))
			x.same(has(), true)
		}},
	}},
}
