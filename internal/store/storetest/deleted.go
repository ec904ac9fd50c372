package storetest

import (
	"fmt"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// hidden returns the ids of a page of hidden files.
func (x *fixture) hidden(q store.HiddenQuery) []string {
	x.Helper()
	files, err := x.store.HiddenFiles(x.ctx, q)
	x.ok(err)
	return hiddenIDs(files)
}

// lastReferences returns the keys that nothing but these files refers to, in order.
func (x *fixture) lastReferences(ids ...string) []string {
	x.Helper()
	keys, err := x.store.LastReferences(x.ctx, ids)
	x.ok(err)
	slices.Sort(keys)
	return keys
}

// freeing returns what is deleted and still counts against a tenant, or all with "".
func (x *fixture) freeing(owner string) store.Freeing {
	x.Helper()
	f, err := x.store.Freeing(x.ctx, owner, x.now)
	x.ok(err)
	return f
}

// deletedCases say how what was deleted goes: which files and blobs, in which order, and what counts until then.
var deletedCases = []group{
	{"hidden files", []test{
		{"come longest hidden first, page by page, of any tenant", func(x *fixture) {
			x.same(x.hidden(store.HiddenQuery{Limit: 9}), []string(nil))
			x.createFiles("f1", "f2", "f3", "shown")
			f := x.newFile("s1")
			f.Tenant = stranger
			x.ok(x.store.CreateFile(x.ctx, f))
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f2", x.now))
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now))
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f3", x.now.Add(-time.Second)))
			last := x.tick()
			x.ok(x.store.DeleteFile(x.ctx, stranger, "s1", last))
			var got []string
			q := store.HiddenQuery{Limit: 2}
			for {
				page, err := x.store.HiddenFiles(x.ctx, q)
				x.ok(err)
				if len(page) == 0 {
					break
				}
				got = append(got, hiddenIDs(page)...)
				q.After = page[len(page)-1]
			}
			x.same(got, []string{"f3", "f1", "f2", "s1"})
			x.same(x.hidden(store.HiddenQuery{Limit: 9, Before: last}), []string{"f3", "f1", "f2"})
			x.same(x.hidden(store.HiddenQuery{Limit: 9, After: store.HiddenFile{HiddenAt: start}}), []string{"f1", "f2", "s1"})
			x.same(x.hidden(store.HiddenQuery{}), []string(nil))
		}},
		{"say when they were hidden and how many blobs they have", func(x *fixture) {
			f := x.newFile("f1")
			f.Content = f.Content.Append(blob("second", 10), 0, 10)
			f.ContentBlob = blob("manifest", 10)
			x.ok(x.store.CreateFile(x.ctx, f))
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now))
			got, err := x.store.HiddenFiles(x.ctx, store.HiddenQuery{Limit: 1})
			x.ok(err)
			x.same(got[0].Seq > 0, true)
			got[0].Seq = 0
			x.same(got, []store.HiddenFile{{ID: "f1", HiddenAt: x.now, Blobs: 3}})
		}},
		// What is purged is lost: only what is hidden goes, whatever is asked for.
		{"alone are purged", func(x *fixture) {
			x.createFiles("f1", "f2")
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now))
			n, err := x.store.PurgeFiles(x.ctx, []string{"f2", "f1", "none"})
			x.ok(err)
			x.same(n, 1)
			x.same(x.fileIDs(store.FileQuery{Limit: 9}), []string{"f2"})
		}},
		// A crash after the blobs are deleted and before the file is purged leaves the file to the next turn.
		{"are found again until they are purged, after a restart too", func(x *fixture) {
			x.createFiles("f1")
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now))
			for range 2 {
				x.same(x.hidden(store.HiddenQuery{Limit: 9}), []string{"f1"})
				x.same(x.lastReferences("f1"), []string{"uploads/f1"})
				x.reopen()
			}
		}},
	}},
	{"last references", []test{
		{"are what no other file has", func(x *fixture) {
			x.createFiles("f1", "f2")
			shared := x.newFile("f3")
			shared.Content = batch.Manifest{}.Append(blob("uploads/f1", 1000), 0, 10).Append(blob("own", 10), 0, 10)
			x.ok(x.store.CreateFile(x.ctx, shared))
			for _, id := range []string{"f1", "f3"} {
				x.ok(x.store.DeleteFile(x.ctx, tenant, id, x.now))
			}
			x.same(x.lastReferences("f1"), []string(nil))
			x.same(x.lastReferences("f3"), []string{"own"})
			x.same(x.lastReferences("f1", "f3"), []string{"own", "uploads/f1"})
			x.same(x.lastReferences("f2", "none"), []string(nil))
			x.same(x.lastReferences(), []string(nil))
			_, err := x.store.PurgeFiles(x.ctx, []string{"f1"})
			x.ok(err)
			x.same(x.lastReferences("f3"), []string{"own", "uploads/f1"})
		}},
		{"of a file that is shown are none, also beside a hidden one that shares them", func(x *fixture) {
			x.createFiles("f1")
			shared := x.newFile("f2")
			shared.Content = batch.Manifest{}.Append(blob("uploads/f1", 1000), 0, 10)
			x.ok(x.store.CreateFile(x.ctx, shared))
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f2", x.now))
			x.same(x.lastReferences("f1", "f2"), []string(nil))
		}},
		{"of an input file are none while a batch may read it", func(x *fixture) {
			x.create("b1")
			x.ok(x.store.DeleteFile(x.ctx, tenant, "in-b1", x.now))
			x.same(x.lastReferences("in-b1"), []string(nil))
			x.cancel("b1")
			x.close("b1")
			x.same(x.lastReferences("in-b1"), []string{"uploads/in-b1"})
		}},
		// The segments that the units of an ended batch name are its result files' alone.
		{"of result files are their segments", func(x *fixture) {
			x.start("b1", 1)
			units := x.take("b1", 1)
			x.seal(units)
			out, failed := x.newResult("b1", "out"), x.newResult("b1", "err")
			out.Blobs = append(out.Blobs, segmentKey(units[0]))
			_, err := x.store.CloseBatch(x.ctx, store.Close{
				Batch: "b1", Lease: x.lease(store.StageFinalize, "b1"), Now: x.now, Output: out, Error: failed,
			})
			x.ok(err)
			for _, id := range []string{"out", "err"} {
				x.ok(x.store.DeleteFile(x.ctx, tenant, id, x.now))
			}
			x.same(x.lastReferences("out"), []string{segmentKey(units[0])})
			x.same(x.lastReferences("out", "err"), []string{segmentKey(units[0]), "segments/b1/a", "segments/b1/b"})
		}},
	}},
	{"dropped blobs", []test{
		{"are the plan of a batch that has ended, and segments that no result file is made of", func(x *fixture) {
			x.start("b1", 2)
			units := x.take("b1", 2)
			x.seal(units)
			x.same(x.dropped(), []string(nil))
			out := x.newResult("b1", "out")
			out.Blobs = append(out.Blobs, segmentKey(units[1]))
			_, err := x.store.CloseBatch(x.ctx, store.Close{Batch: "b1", Lease: x.lease(store.StageFinalize, "b1"), Now: x.now, Output: out})
			x.ok(err)
			want := []string{"plans/b1", segmentKey(units[0])}
			x.same(x.dropped(), want)
			x.same(x.free(append(want, segmentKey(units[1]))...), want)
			x.same(x.freeing(""), store.Freeing{})
			x.reopen()
			x.same(x.forgetDropped(), want)
			x.same(x.dropped(), []string(nil))
		}},
		{"are parts that an upload's file is not made of", func(x *fixture) {
			x.begin("u1", "p1", "p2", "p3")
			x.complete("u1", "p2")
			x.same(x.dropped(), []string{"parts/p1", "parts/p3"})
		}},
		{"are found once their time has come, so many at a time", func(x *fixture) {
			for i := range 3 {
				x.begin(fmt.Sprintf("u%d", i), fmt.Sprintf("p%d", i))
				_, err := x.store.CancelUpload(x.ctx, tenant, fmt.Sprintf("u%d", i), x.tick())
				x.ok(err)
			}
			found := func(before, beyond time.Time, n int) int {
				x.Helper()
				keys, err := x.store.DroppedBlobs(x.ctx, before, beyond, n)
				x.ok(err)
				return len(keys)
			}
			first, last := start.Add(time.Second), x.now
			x.same(found(first, last, 9), 0)
			x.same(found(first.Add(1), last, 9), 1)
			x.same([]int{found(last.Add(1), last, 9), found(last.Add(1), last, 2), found(last, last, 0)}, []int{3, 2, 0})
			// A time that was never: the clock has gone back since.
			x.same(found(first, last.Add(-1), 9), 1)
		}},
	}},
	{"freeing", []test{
		{"is what is deleted, expired or over, and when it is gone", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.limit(stranger, store.Limits{})
			x.same(x.freeing(tenant), store.Freeing{})
			x.createFiles("f1", "f2")
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now))
			x.same(x.freeing(tenant), store.Freeing{Bytes: 1000, By: x.now.Add(store.DeletedGone)})
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f2", x.tick()))
			x.same(x.freeing(tenant), store.Freeing{Bytes: 2000, By: x.now.Add(store.DeletedGone)})
			x.begin("u1", "p1")
			_, err := x.store.CancelUpload(x.ctx, tenant, "u1", x.tick())
			x.ok(err)
			x.same(x.freeing(tenant), store.Freeing{Bytes: 2100, By: x.now.Add(store.DeletedGone)})
			x.createExpiring("f3")
			x.tick()
			for range 2 {
				x.same(x.freeing(tenant), store.Freeing{Bytes: 3100, By: x.now.Add(store.DeletedGone)})
				_, err := x.store.DeleteExpiredFiles(x.ctx, x.now, 9)
				x.ok(err)
			}
			x.same(x.freeing(stranger), store.Freeing{})
			f := x.newFile("s1")
			f.Tenant = stranger
			x.ok(x.store.CreateFile(x.ctx, f))
			x.ok(x.store.DeleteFile(x.ctx, stranger, "s1", x.tick()))
			x.same(x.freeing("").Bytes, int64(4100))
		}},
		{"what a batch reads goes when that has ended", func(x *fixture) {
			x.create("b1")
			x.ok(x.store.DeleteFile(x.ctx, tenant, "in-b1", x.now))
			x.same(x.freeing(tenant), store.Freeing{Held: 1000})
			x.cancel("b1")
			x.close("b1")
			x.same(x.freeing(tenant), store.Freeing{Bytes: 1000, By: x.now.Add(store.DeletedGone)})
		}},
	}},
}
