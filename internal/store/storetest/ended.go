package storetest

import (
	"errors"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// createExpiring stores a file that expires in a second.
func (x *fixture) createExpiring(id string) batch.File {
	x.Helper()
	f := x.newFile(id)
	f.ExpiresAt = x.now.Add(time.Second)
	x.ok(x.store.CreateFile(x.ctx, f))
	return f
}

// absent checks that a file is absent for a tenant, and whether it is known to have ended.
func (x *fixture) absent(owner, id string, ended bool) {
	x.Helper()
	_, err := x.store.File(x.ctx, owner, id, x.now)
	x.fails(err, store.ErrNotFound)
	x.same(errors.Is(err, store.ErrExpired), ended)
}

// endedCases say what is seen of a file that has expired, and what a batch's creator chooses beside its input.
var endedCases = []group{
	{"expired files", []test{
		{"are known as such until they are purged", func(x *fixture) {
			x.createExpiring("f1")
			x.tick()
			x.absent(tenant, "f1", true)
			_, err := x.store.DeleteExpiredFiles(x.ctx, x.now, 9)
			x.ok(err)
			x.absent(tenant, "f1", true)
			x.tick()
			x.absent(tenant, "f1", true)
			x.same(x.purge(), 1)
			x.absent(tenant, "f1", false)
		}},
		{"are just absent for other tenants", func(x *fixture) {
			x.createExpiring("f1")
			x.tick()
			x.absent(stranger, "f1", false)
			_, err := x.store.DeleteExpiredFiles(x.ctx, x.now, 9)
			x.ok(err)
			x.absent(stranger, "f1", false)
		}},
		{"were not deleted by their tenant, which is the end of a file for good", func(x *fixture) {
			x.createExpiring("f1")
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now.Add(time.Second-1)))
			x.absent(tenant, "f1", false)
			x.tick()
			x.absent(tenant, "f1", false)
			_, err := x.store.DeleteExpiredFiles(x.ctx, x.now, 9)
			x.ok(err)
			x.absent(tenant, "f1", false)
		}},
		{"that were noticed stay ended when the clock goes back", func(x *fixture) {
			x.createExpiring("f1")
			_, err := x.store.DeleteExpiredFiles(x.ctx, x.tick(), 9)
			x.ok(err)
			x.now = start
			x.absent(tenant, "f1", true)
		}},
	}},
	{"what a batch's creator chooses", []test{
		{"a new batch keeps its callback and what it continues", func(x *fixture) {
			x.createFiles("in-b1")
			b := x.newBatch("b1")
			b.CallbackURL, b.ContinuedFrom = "https://example.com/"+odd, odd
			x.ok(x.store.CreateBatch(x.ctx, b))
			got := x.read("b1")
			x.same([]string{got.CallbackURL, got.ContinuedFrom}, []string{b.CallbackURL, b.ContinuedFrom})
		}},
		{"so does one that is created under a key", func(x *fixture) {
			x.createFiles("in-b1")
			b := x.newBatch("b1")
			b.CallbackURL, b.ContinuedFrom = "https://example.com/", "b0"
			got, err := x.store.CreateBatchOnce(x.ctx, b, callOf("k", "call"))
			x.ok(err)
			x.same([]string{got.CallbackURL, got.ContinuedFrom}, []string{b.CallbackURL, b.ContinuedFrom})
		}},
	}},
}
