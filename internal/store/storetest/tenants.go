package storetest

import (
	"math"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// newTenant returns a tenant with a weight and a different number for each limit.
func (x *fixture) newTenant(id, name string) store.Tenant {
	return store.Tenant{ID: id, Name: name, CreatedAt: x.now, Weight: 3, Limits: store.Limits{
		StoredBytes: 1 << 40, Files: 1001, OpenBatches: 1002, EnqueuedLines: 1003, EnqueuedTokens: 1004,
		BatchesPerHour: 1005, RequestsPerMinute: 1006,
	}}
}

// limit gives a tenant these limits, making it first where there is none.
func (x *fixture) limit(id string, limits store.Limits) {
	x.Helper()
	t := store.Tenant{ID: id, Name: "of " + id, CreatedAt: x.now, Weight: 1, Limits: limits}
	if _, err := x.store.Tenant(x.ctx, id); err == nil {
		x.ok(x.store.SetTenant(x.ctx, t))
		return
	}
	x.ok(x.store.CreateTenant(x.ctx, t))
}

// tenantCases say what tenants are, and what is counted as their usage.
var tenantCases = []group{
	{"tenants", []test{
		{"reads back every field, by id and by name", func(x *fixture) {
			want := x.newTenant(tenant, odd)
			x.ok(x.store.CreateTenant(x.ctx, want))
			got, err := x.store.Tenant(x.ctx, tenant)
			x.ok(err)
			x.same(got, want)
			got, err = x.store.TenantNamed(x.ctx, odd)
			x.ok(err)
			x.same(got, want)
		}},
		{"a new tenant has no limits unless given, and a weight of one at least", func(x *fixture) {
			x.ok(x.store.CreateTenant(x.ctx, store.Tenant{ID: tenant, Name: "n", CreatedAt: x.now}))
			got, err := x.store.Tenant(x.ctx, tenant)
			x.ok(err)
			x.same(got, store.Tenant{ID: tenant, Name: "n", CreatedAt: x.now, Weight: 1})
		}},
		{"the tenant minted with the store has a row, a name and no limits", func(x *fixture) {
			id, err := x.store.DefaultTenant(x.ctx)
			x.ok(err)
			got, err := x.store.TenantNamed(x.ctx, store.DefaultTenantName)
			x.ok(err)
			x.same(got, store.Tenant{ID: id, Name: store.DefaultTenantName, CreatedAt: got.CreatedAt, Weight: 1})
			x.same(got.CreatedAt.IsZero(), false)
		}},
		{"refuses an id or a name that is taken, and keeps what was there", func(x *fixture) {
			want := x.newTenant(tenant, "n")
			x.ok(x.store.CreateTenant(x.ctx, want))
			x.fails(x.store.CreateTenant(x.ctx, store.Tenant{ID: tenant, Name: "other"}), store.ErrConflict)
			x.fails(x.store.CreateTenant(x.ctx, store.Tenant{ID: stranger, Name: "n"}), store.ErrConflict)
			x.fails(x.store.CreateTenant(x.ctx, store.Tenant{ID: stranger, Name: store.DefaultTenantName}), store.ErrConflict)
			got, err := x.store.Tenant(x.ctx, tenant)
			x.ok(err)
			x.same(got, want)
			_, err = x.store.Tenant(x.ctx, stranger)
			x.fails(err, store.ErrNotFound)
		}},
		// A store that folds case would let one tenant stand for another.
		{"names differ by every letter", func(x *fixture) {
			x.ok(x.store.CreateTenant(x.ctx, x.newTenant(tenant, "Acme")))
			x.ok(x.store.CreateTenant(x.ctx, x.newTenant(stranger, "acme")))
			_, err := x.store.TenantNamed(x.ctx, "ACME")
			x.fails(err, store.ErrNotFound)
		}},
		{"lists all in order of their names", func(x *fixture) {
			x.ok(x.store.CreateTenant(x.ctx, x.newTenant(tenant, "zoo")))
			x.ok(x.store.CreateTenant(x.ctx, x.newTenant(stranger, "acme")))
			tenants, err := x.store.ListTenants(x.ctx)
			x.ok(err)
			var names []string
			for _, t := range tenants {
				names = append(names, t.Name)
			}
			x.same(names, []string{"acme", store.DefaultTenantName, "zoo"})
			x.same(tenants[2], x.newTenant(tenant, "zoo"))
		}},
		{"a change replaces weight and limits, and nothing else", func(x *fixture) {
			want := x.newTenant(tenant, "n")
			x.ok(x.store.CreateTenant(x.ctx, want))
			x.limit(stranger, store.Limits{Files: 7})
			want.Weight, want.Limits = 9, store.Limits{Files: 5}
			x.ok(x.store.SetTenant(x.ctx, store.Tenant{
				ID: tenant, Name: "other", CreatedAt: x.tick(), Weight: want.Weight, Limits: want.Limits,
			}))
			got, err := x.store.Tenant(x.ctx, tenant)
			x.ok(err)
			x.same(got, want)
			other, err := x.store.Tenant(x.ctx, stranger)
			x.ok(err)
			x.same(other.Limits, store.Limits{Files: 7})
		}},
		{"knows when there is no such tenant", func(x *fixture) {
			_, err := x.store.Tenant(x.ctx, tenant)
			x.fails(err, store.ErrNotFound)
			_, err = x.store.TenantNamed(x.ctx, "none")
			x.fails(err, store.ErrNotFound)
			x.fails(x.store.SetTenant(x.ctx, store.Tenant{ID: tenant}), store.ErrNotFound)
			_, err = x.store.Usage(x.ctx, tenant, x.now)
			x.fails(err, store.ErrNotFound)
		}},
		// Only tests have such tenants, and need not make a row for each.
		{"a tenant without a row works, and has no limits", func(x *fixture) {
			x.start("b1", 2)
			left, err := x.store.StorageLeft(x.ctx, tenant)
			x.ok(err)
			x.same(left, int64(math.MaxInt64))
		}},
		{"is kept when the store is opened again", func(x *fixture) {
			want := x.newTenant(tenant, "n")
			x.ok(x.store.CreateTenant(x.ctx, want))
			k := x.newKey("key_1")
			x.ok(x.store.CreateKey(x.ctx, k))
			x.start("b1", 2)
			usage := x.usage(tenant)
			x.reopen()
			gotKey, got, err := x.store.Key(x.ctx, "key_1")
			x.ok(err)
			x.same(got, want)
			x.same(gotKey, k)
			x.same(x.usage(tenant), usage)
		}},
	}},
	{"usage", []test{
		{"counts files until they are deleted, and their bytes until they are gone", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.limit(stranger, store.Limits{})
			x.same(x.usage(tenant), store.Usage{})
			x.createFiles("f1", "f2")
			x.same(x.usage(tenant), store.Usage{StoredBytes: 2000, Files: 2})
			x.fails(x.store.CreateFile(x.ctx, x.newFile("f1")), store.ErrConflict)
			x.fails(x.store.DeleteFile(x.ctx, stranger, "f1", x.now), store.ErrNotFound)
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now))
			x.fails(x.store.DeleteFile(x.ctx, tenant, "f1", x.now), store.ErrNotFound)
			x.same(x.usage(tenant), store.Usage{StoredBytes: 2000, DeletedBytes: 1000, Files: 1})
			x.purge()
			x.same(x.usage(tenant), store.Usage{StoredBytes: 1000, Files: 1})
			x.same(x.usage(stranger), store.Usage{})
		}},
		// Usage is what quotas go by, so both must say the same at every moment.
		{"counts a file until it expires, whether or not that was noticed, and its bytes until they are gone", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			f := x.newFile("f1")
			f.ExpiresAt = x.now.Add(time.Second)
			x.ok(x.store.CreateFile(x.ctx, f))
			x.createFiles("f2")
			x.same(x.usage(tenant), store.Usage{StoredBytes: 2000, Files: 2})
			x.tick()
			for range 3 {
				x.same(x.usage(tenant), store.Usage{StoredBytes: 2000, DeletedBytes: 1000, Files: 1})
				_, err := x.store.DeleteExpiredFiles(x.ctx, x.now, 9)
				x.ok(err)
			}
			x.purge()
			x.same(x.usage(tenant), store.Usage{StoredBytes: 1000, Files: 1})
		}},
		{"counts batches until they are over, and result files", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.create("b1")
			want := store.Usage{StoredBytes: 1000, Files: 1, OpenBatches: 1, EnqueuedLines: 10, BatchesLastHour: 1}
			x.same(x.usage(tenant), want)
			st := x.newStart("b1", x.lease(store.StageValidate, "b1"), 3)
			st.Tokens = 12_345
			x.ok(x.store.StartBatch(x.ctx, st))
			want.EnqueuedLines, want.EnqueuedTokens = 30, 12_345
			x.same(x.usage(tenant), want)
			x.seal(x.take("b1", 3))
			x.same(x.usage(tenant), want)
			x.close("b1")
			x.same(x.usage(tenant), store.Usage{StoredBytes: 1000 + 2*110, Files: 3, BatchesLastHour: 1})
		}},
		{"a batch that fails or is cancelled counts no longer", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.create("b1")
			x.create("b2")
			x.ok(x.store.FailBatch(x.ctx, x.failure("b1", x.lease(store.StageValidate, "b1"))))
			x.cancel("b2")
			want := store.Usage{StoredBytes: 2000, Files: 2, OpenBatches: 1, EnqueuedLines: 10, BatchesLastHour: 2}
			x.same(x.usage(tenant), want)
			x.same(x.close("b2").Status, batch.Cancelled)
			want.OpenBatches, want.EnqueuedLines = 0, 0
			x.same(x.usage(tenant), want)
		}},
		{"a batch leaves the last hour when it is an hour old", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.create("b1")
			x.now = start.Add(time.Hour - 1)
			x.same(x.usage(tenant).BatchesLastHour, int64(1))
			x.now = start.Add(time.Hour)
			x.same(x.usage(tenant).BatchesLastHour, int64(0))
		}},
	}},
}

// usage returns what counts against a tenant's limits now.
func (x *fixture) usage(id string) store.Usage {
	x.Helper()
	u, err := x.store.Usage(x.ctx, id, x.now)
	x.ok(err)
	return u
}

// purge forgets every hidden file that it may.
func (x *fixture) purge() int {
	x.Helper()
	return x.purgeBefore(x.now.Add(1), 99)
}

// purgeBefore forgets at most n files that were hidden before the given time.
func (x *fixture) purgeBefore(before time.Time, n int) int {
	x.Helper()
	files, err := x.store.HiddenFiles(x.ctx, store.HiddenQuery{Before: before, Limit: n})
	x.ok(err)
	done, err := x.store.PurgeFiles(x.ctx, hiddenIDs(files))
	x.ok(err)
	return done
}

func hiddenIDs(files []store.HiddenFile) []string {
	var ids []string
	for _, f := range files {
		ids = append(ids, f.ID)
	}
	return ids
}

// forgetDropped forgets every dropped blob, and returns their keys in order.
func (x *fixture) forgetDropped() []string {
	x.Helper()
	keys := x.dropped()
	x.ok(x.store.ForgetDroppedBlobs(x.ctx, keys))
	return keys
}

// dropped returns the keys of all dropped blobs in order.
func (x *fixture) dropped() []string {
	x.Helper()
	keys, err := x.store.DroppedBlobs(x.ctx, x.now.Add(1), x.now.Add(1), 99)
	x.ok(err)
	slices.Sort(keys)
	return keys
}
