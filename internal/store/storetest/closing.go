package storetest

import (
	"errors"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// closingCases say what closing a batch stores and when it is refused, what maintenance ends and purges, and which blobs are
// referenced at each moment.
var closingCases = []group{
	{"closing", []test{
		{"creates the files and ends the batch in one step", func(x *fixture) {
			x.start("b1", 1)
			x.seal(x.take("b1", 1))
			want := x.read("b1")
			now := x.tick()
			output, failed := x.newResult("b1", "out"), x.newResult("b1", "err")
			got, err := x.store.CloseBatch(x.ctx, store.Close{
				Batch: "b1", Lease: x.lease(store.StageFinalize, "b1"), Now: now, Output: output, Error: failed,
			})
			x.ok(err)
			want.Status, want.CompletedAt, want.UpdatedAt, want.Version = batch.Completed, now, now, want.Version+1
			want.OutputFileID, want.ErrorFileID = "out", "err"
			x.same(got, want)
			x.same(x.read("b1"), want)
			for _, r := range []*store.ResultFile{output, failed} {
				f, err := x.store.File(x.ctx, tenant, r.File.ID, now)
				x.ok(err)
				r.File.Seq = f.Seq
				x.same(f, r.File)
			}
			x.same(x.fileIDs(store.FileQuery{Limit: 9, Purpose: batch.PurposeBatchOutput}), []string{"err", "out"})
		}},
		// A file of no bytes would be shown to users, and fetched, for nothing.
		{"leaves out a file that no line went to", func(x *fixture) {
			for _, which := range []string{"output", "error", "neither"} {
				x := x.fresh()
				x.start("b1", 1)
				x.seal(x.take("b1", 1))
				c := store.Close{Batch: "b1", Lease: x.lease(store.StageFinalize, "b1"), Now: x.now}
				switch which {
				case "output":
					c.Output = x.newResult("b1", "out")
				case "error":
					c.Error = x.newResult("b1", "err")
				}
				b, err := x.store.CloseBatch(x.ctx, c)
				x.ok(err)
				x.same([]bool{b.OutputFileID == "out", b.ErrorFileID == "err"}, []bool{which == "output", which == "error"})
			}
		}},
		// The one that comes second finds the lease gone, and its files must be gone too.
		{"happens once, also when two try at once", func(x *fixture) {
			x.start("b1", 1)
			x.seal(x.take("b1", 1))
			lease := x.lease(store.StageFinalize, "b1")
			c := store.Close{Batch: "b1", Lease: lease, Now: x.now, Output: x.newResult("b1", "out")}
			var mu sync.Mutex
			closed, lost := 0, 0
			var wg sync.WaitGroup
			for range 6 {
				wg.Go(func() {
					_, err := x.store.CloseBatch(x.ctx, c)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						closed++
					case errors.Is(err, store.ErrLeaseLost):
						lost++
					}
				})
			}
			wg.Wait()
			x.same([]int{closed, lost}, []int{1, 5})
			x.same(x.fileIDs(store.FileQuery{Limit: 9, Purpose: batch.PurposeBatchOutput}), []string{"out"})
		}},
		// The first file was stored before the second was refused. If it stayed, the next try would be refused as well.
		{"a result file whose id is taken undoes all of it", func(x *fixture) {
			x.start("b1", 1)
			x.createFiles("err")
			x.seal(x.take("b1", 1))
			want := x.read("b1")
			_, err := x.store.CloseBatch(x.ctx, store.Close{
				Batch: "b1", Lease: x.lease(store.StageFinalize, "b1"), Now: x.now,
				Output: x.newResult("b1", "out"), Error: x.newResult("b1", "err"),
			})
			x.fails(err, store.ErrConflict)
			x.same(x.read("b1"), want)
			_, err = x.store.File(x.ctx, tenant, "out", x.now)
			x.fails(err, store.ErrNotFound)
		}},
	}},
	{"closing refused", []test{
		// What was stopped while it was validated has no results, and so no file that could be empty.
		{"gives no files to a batch that never started", func(x *fixture) {
			x.create("b1")
			x.cancel("b1")
			lease := x.lease(store.StageValidate, "b1")
			_, err := x.store.CloseBatch(x.ctx, store.Close{
				Batch: "b1", Lease: lease, Now: x.now, Output: x.newResult("b1", "out"),
			})
			x.fails(err, store.ErrConflict)
			b, err := x.store.CloseBatch(x.ctx, store.Close{Batch: "b1", Lease: lease, Now: x.now})
			x.ok(err)
			x.same([]any{b.Status, b.Counts, b.OutputFileID, b.ErrorFileID}, []any{batch.Cancelled, batch.Counts{}, "", ""})
		}},
		// The store is the last to see whose results these are.
		{"refuses a result file of another tenant", func(x *fixture) {
			x.start("b1", 1)
			x.seal(x.take("b1", 1))
			r := x.newResult("b1", "out")
			r.File.Tenant = stranger
			_, err := x.store.CloseBatch(x.ctx, store.Close{
				Batch: "b1", Lease: x.lease(store.StageFinalize, "b1"), Now: x.now, Output: r,
			})
			if err == nil {
				x.Fatal("gave a tenant's results to another")
			}
			x.same(x.read("b1").Status, batch.Finalizing)
		}},
		// A finalizer that only seemed dead must not close the batch as well.
		{"a batch whose finalizer died is closed by another node", func(x *fixture) {
			x.start("b1", 1)
			x.seal(x.take("b1", 1))
			dead := x.lease(store.StageFinalize, "b1")
			h := store.Holder{Node: "node-2", Lease: batch.NewLeaseID()}
			_, err := x.store.LeaseBatch(x.ctx, store.StageFinalize, h)
			x.ok(err)
			_, err = x.store.CloseBatch(x.ctx, store.Close{Batch: "b1", Lease: dead, Now: x.now})
			x.fails(err, store.ErrLeaseLost)
			_, err = x.store.CloseBatch(x.ctx, store.Close{Batch: "b1", Lease: h.Lease, Now: x.now})
			x.ok(err)
		}},
	}},
	{"maintenance", []test{
		{"expiry takes each batch once, from the moment its window has passed", func(x *fixture) {
			x.create("b1")
			x.start("b2", 1)
			b := x.newBatch("b3")
			x.createFiles("in-b3")
			b.ExpiresAt = b.ExpiresAt.Add(-time.Hour)
			x.ok(x.store.CreateBatch(x.ctx, b))
			expire := func(at time.Time) []string {
				ids, err := x.store.ExpireBatches(x.ctx, at)
				x.ok(err)
				return ids
			}
			x.same(expire(b.ExpiresAt.Add(-1)), []string(nil))
			x.same(expire(b.ExpiresAt), []string{"b3"})
			x.same(len(expire(b.ExpiresAt.Add(time.Hour))), 2)
			x.same(expire(b.ExpiresAt.Add(time.Hour)), []string(nil))
			x.same([]any{x.read("b2").Status, x.read("b2").Stop}, []any{batch.InProgress, batch.StopExpire})
		}},
		{"expired files are hidden, oldest first and so many at a time", func(x *fixture) {
			for i, id := range []string{"f1", "f2", "f3", "f4"} {
				f := x.newFile(id)
				f.ExpiresAt = x.now.Add(time.Duration(i+1) * time.Hour)
				x.ok(x.store.CreateFile(x.ctx, f))
			}
			x.createFiles("ever")
			now := x.now.Add(3 * time.Hour)
			for _, want := range []int{2, 1, 0} {
				n, err := x.store.DeleteExpiredFiles(x.ctx, now, 2)
				x.ok(err)
				x.same(n, want)
			}
			_, err := x.store.File(x.ctx, tenant, "f3", x.now)
			x.fails(err, store.ErrNotFound)
			x.same(x.fileIDs(store.FileQuery{Limit: 9, Now: now}), []string{"ever", "f4"})
		}},
		// Until it is purged a list may page on from a file, and a download may still read it.
		{"a hidden file is purged later, and its blobs are free then", func(x *fixture) {
			x.createFiles("f1", "f2", "kept")
			x.same(x.free("uploads/f1", "nowhere"), []string{"nowhere"})
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now))
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f2", x.tick()))
			x.same(x.free("uploads/f1"), []string(nil))
			for _, c := range []struct {
				before time.Time
				n      int
				want   int
			}{{start, 9, 0}, {start.Add(1), 0, 0}, {start.Add(1), 9, 1}, {x.now.Add(time.Hour), 9, 1}, {x.now.Add(time.Hour), 9, 0}} {
				x.same(x.purgeBefore(c.before, c.n), c.want)
			}
			x.same(x.free("uploads/kept", "uploads/f2", "uploads/f1"), []string{"uploads/f2", "uploads/f1"})
			_, err := x.store.ListFiles(x.ctx, tenant, store.FileQuery{After: "f1", Limit: 1, Now: x.now})
			x.fails(err, store.ErrBadCursor)
		}},
	}},
	{"references", []test{
		// A batch reads its input again whenever a unit of it is opened, to its very end.
		{"an input file is held until every batch over it is terminal", func(x *fixture) {
			x.createFiles("in-b1")
			b := x.newBatch("b1")
			x.ok(x.store.CreateBatch(x.ctx, b))
			b.ID = "b2"
			x.ok(x.store.CreateBatch(x.ctx, b))
			x.ok(x.store.DeleteFile(x.ctx, tenant, "in-b1", x.now))
			// It is held also against whoever asks for it by its id.
			purge := func() int {
				x.Helper()
				files, err := x.store.HiddenFiles(x.ctx, store.HiddenQuery{Limit: 9})
				x.ok(err)
				n, err := x.store.PurgeFiles(x.ctx, []string{"in-b1"})
				x.ok(err)
				x.same(n, len(files))
				return n
			}
			x.same(purge(), 0)
			x.ok(x.store.FailBatch(x.ctx, x.failure("b1", x.lease(store.StageValidate, "b1"))))
			x.same(purge(), 0)
			x.same(x.free("uploads/in-b1"), []string(nil))
			x.ok(x.store.StartBatch(x.ctx, x.newStart("b2", x.lease(store.StageValidate, "b2"), 1)))
			x.same(purge(), 0)
			x.cancel("b2")
			x.seal(x.take("b2", 1))
			x.same(purge(), 0)
			x.close("b2")
			x.same(purge(), 1)
			x.same(x.free("uploads/in-b1"), []string{"uploads/in-b1"})
			_, err := x.store.InputFile(x.ctx, "b2")
			x.fails(err, store.ErrNotFound)
			x.same(x.read("b2").InputFileID, "in-b1")
		}},
		// Between the closing of the batch and the storing of its files there is no moment: both are one transaction,
		// so no look at references finds a segment free that a result file is made of.
		{"plans and segments are referenced while the batch is not terminal, results while their file is there", func(x *fixture) {
			x.start("b1", 1)
			u := x.take("b1", 1)
			segment := segmentKey(u[0])
			x.same(x.free("plans/b1", segment), []string{segment})
			x.seal(u)
			x.same(x.free("plans/b1", segment), []string(nil))
			out := x.newResult("b1", "out")
			out.File.Content, out.File.ContentBlob = nil, blob("manifests/out", 100)
			out.Blobs = []string{segment, segment, "manifests/out"}
			_, err := x.store.CloseBatch(x.ctx, store.Close{
				Batch: "b1", Lease: x.lease(store.StageFinalize, "b1"), Now: x.now, Output: out, Error: x.newResult("b1", "err"),
			})
			x.ok(err)
			keys := []string{"plans/b1", segment, "manifests/out", "segments/b1/a", "segments/b1/b"}
			x.same(x.free(keys...), []string{"plans/b1"})
			x.ok(x.store.DeleteFile(x.ctx, tenant, "out", x.now))
			x.ok(x.store.DeleteFile(x.ctx, tenant, "err", x.now))
			x.same(x.free(keys...), []string{"plans/b1"})
			x.same([]int{x.purgeBefore(x.now.Add(1), 1), x.purgeBefore(x.now.Add(1), 1)}, []int{1, 1})
			x.same(x.free(keys...), keys)
		}},
		// The two result files of a batch are made of the same segments.
		{"a blob that two files share is free when both are gone", func(x *fixture) {
			x.createFiles("f1")
			f := x.newFile("f2")
			f.Content = batch.Manifest{}.Append(blob("uploads/f1", 1000), 0, 10).Append(blob("uploads/f1", 1000), 20, 10)
			x.ok(x.store.CreateFile(x.ctx, f))
			for _, c := range []struct {
				id   string
				free []string
			}{{"f1", nil}, {"f2", []string{"uploads/f1"}}} {
				x.ok(x.store.DeleteFile(x.ctx, tenant, c.id, x.now))
				x.purge()
				x.same(x.free("uploads/f1"), c.free)
			}
		}},
		{"no keys are no question", func(x *fixture) { x.same(x.free(), []string(nil)) }},
	}},
}
