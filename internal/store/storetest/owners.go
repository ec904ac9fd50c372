package storetest

import (
	"batchd/internal/batch"
	"batchd/internal/store"
)

// owners returns what each of the keys is kept for.
func (x *fixture) owners(keys ...string) []store.BlobOwner {
	x.Helper()
	got, err := x.store.BlobOwners(x.ctx, keys)
	x.ok(err)
	return got
}

// ownersOf returns owners that are all our tenant's.
func ownersOf(uses ...store.BlobUse) []store.BlobOwner {
	var all []store.BlobOwner
	for _, u := range uses {
		o := store.BlobOwner{Use: u}
		if u != store.BlobUnreferenced {
			o.Tenant = tenant
		}
		all = append(all, o)
	}
	return all
}

// ownerCases say what blobs are kept for.
var ownerCases = []group{
	{"owners of blobs", []test{
		{"are told for each key in its order", func(x *fixture) {
			x.createFiles("f1", "f2")
			f := x.newFile("f3")
			f.Tenant = stranger
			x.ok(x.store.CreateFile(x.ctx, f))
			x.begin("u1", "p1")
			want := ownersOf(store.BlobUnreferenced, store.BlobInput, store.BlobInput, store.BlobInput, store.BlobInput)
			want[1].Tenant = stranger
			x.same(x.owners("nowhere", "uploads/f3", "uploads/f1", "parts/p1", "uploads/f1"), want)
			x.same(x.owners(), []store.BlobOwner(nil))
		}},
		{"change as a batch goes on", func(x *fixture) {
			x.start("b1", 1)
			units := x.take("b1", 1)
			keys := []string{"uploads/in-b1", "plans/b1", segmentKey(units[0]), "segments/b1/a"}
			x.same(x.owners(keys...), ownersOf(store.BlobInput, store.BlobPlan, store.BlobUnreferenced, store.BlobUnreferenced))
			x.seal(units)
			x.same(x.owners(keys...), ownersOf(store.BlobInput, store.BlobPlan, store.BlobResult, store.BlobUnreferenced))
			x.close("b1")
			x.same(x.owners(keys...), ownersOf(store.BlobInput, store.BlobDeleted, store.BlobDeleted, store.BlobResult))
			x.forgetDropped()
			x.same(x.owners(keys...), ownersOf(store.BlobInput, store.BlobUnreferenced, store.BlobUnreferenced, store.BlobResult))
		}},
		{"of a deleted file have it until it is purged", func(x *fixture) {
			x.start("b1", 1)
			x.ok(x.store.DeleteFile(x.ctx, tenant, "in-b1", x.now))
			x.same(x.owners("uploads/in-b1"), ownersOf(store.BlobDeleted))
			x.seal(x.take("b1", 1))
			x.close("b1")
			x.tick()
			x.same(x.purge(), 1)
			x.same(x.owners("uploads/in-b1"), ownersOf(store.BlobUnreferenced))
		}},
		{"of what two files share are those of the one that stays", func(x *fixture) {
			x.start("b1", 1)
			x.seal(x.take("b1", 1))
			x.close("b1")
			x.ok(x.store.DeleteFile(x.ctx, tenant, "out-b1", x.now))
			x.same(x.owners("segments/b1/a"), ownersOf(store.BlobResult))
			x.ok(x.store.DeleteFile(x.ctx, tenant, "err-b1", x.now))
			x.same(x.owners("segments/b1/a"), ownersOf(store.BlobDeleted))
			f := x.newFile("again")
			f.Content = batch.Manifest{}.Append(blob("segments/b1/a", 100), 0, 100)
			x.ok(x.store.CreateFile(x.ctx, f))
			x.same(x.owners("segments/b1/a"), ownersOf(store.BlobInput))
		}},
	}},
}
