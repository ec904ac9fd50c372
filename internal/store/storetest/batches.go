package storetest

import (
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// batchCases say what creating, reading, listing and cancelling batches does.
var batchCases = []group{
	{"batches", []test{
		{"a new batch is as its creator asked, and validating", func(x *fixture) {
			x.createFiles("in-b1")
			b := x.newBatch("b1")
			b.Metadata, b.Remark = []byte(`{"k\u0000":"`+odd[4:8]+`", "n": 1.0}`), odd
			b.OutputTTL, b.Window = 36*time.Hour, "7d"
			x.ok(x.store.CreateBatch(x.ctx, b))
			got, err := x.store.Batch(x.ctx, tenant, "b1")
			x.ok(err)
			if got.Seq == 0 {
				x.Error("no sequence number was assigned")
			}
			b.Seq, b.Status, b.Stop = got.Seq, batch.Validating, batch.StopNone
			x.same(got, b)
			x.same(x.read("b1"), b)
		}},
		{"takes nothing but what a creator chooses", func(x *fixture) {
			x.createFiles("in-b1")
			b := x.newBatch("b1")
			b.Status, b.Stop, b.Version, b.Ready, b.Units = batch.Completed, batch.StopExpire, 7, true, 3
			b.Counts, b.CompletedAt, b.OutputFileID = batch.Counts{Total: 5, Completed: 5}, x.now, "in-b1"
			b.UpdatedAt = x.now
			x.ok(x.store.CreateBatch(x.ctx, b))
			want := x.newBatch("b1")
			want.Seq, want.Status, want.Stop = x.read("b1").Seq, batch.Validating, batch.StopNone
			x.same(x.read("b1"), want)
		}},
		{"is not updated before its first change", func(x *fixture) {
			x.create("b1")
			lease := x.lease(store.StageValidate, "b1")
			x.same(x.read("b1").UpdatedAt.IsZero(), true)
			x.ok(x.store.ReleaseBatch(x.ctx, "b1", lease))
			x.expire()
			x.same(x.read("b1").UpdatedAt.IsZero(), true)
			x.tick()
			x.same(x.close("b1").UpdatedAt, x.now)
		}},
		{"refuses an id that is taken", func(x *fixture) {
			x.create("b1")
			x.fails(x.store.CreateBatch(x.ctx, x.newBatch("b1")), store.ErrConflict)
		}},
		{"refuses an input file that is absent, foreign, deleted or expired", func(x *fixture) {
			b := x.newBatch("b1")
			x.fails(x.store.CreateBatch(x.ctx, b), store.ErrNotFound)

			f := x.newFile("in-b1")
			f.Tenant = stranger
			x.ok(x.store.CreateFile(x.ctx, f))
			x.fails(x.store.CreateBatch(x.ctx, b), store.ErrNotFound)

			x.createFiles("deleted")
			x.ok(x.store.DeleteFile(x.ctx, tenant, "deleted", x.now))
			b.InputFileID = "deleted"
			x.fails(x.store.CreateBatch(x.ctx, b), store.ErrNotFound)

			f = x.newFile("short")
			f.ExpiresAt = x.now
			x.ok(x.store.CreateFile(x.ctx, f))
			b.InputFileID = "short"
			x.fails(x.store.CreateBatch(x.ctx, b), store.ErrNotFound)
			_, err := x.store.BatchByID(x.ctx, "b1")
			x.fails(err, store.ErrNotFound)
		}},
		{"hides a foreign batch like an absent one", func(x *fixture) {
			x.create("b1")
			_, err := x.store.Batch(x.ctx, stranger, "b1")
			x.fails(err, store.ErrNotFound)
			_, err = x.store.Batch(x.ctx, tenant, "b2")
			x.fails(err, store.ErrNotFound)
			_, err = x.store.BatchByID(x.ctx, "b2")
			x.fails(err, store.ErrNotFound)
			b, err := x.store.CancelBatch(x.ctx, stranger, "b1", x.now)
			x.fails(err, store.ErrNotFound)
			x.same(b, batch.Batch{})
			x.same(x.read("b1").Status, batch.Validating)
		}},
		{"lists newest first, in pages that join up under inserts", func(x *fixture) {
			for i := range 5 {
				x.create(fmt.Sprintf("b%d", i))
			}
			x.same(x.batchIDs(tenant, "", 2), []string{"b4", "b3", "more"})
			x.create("b5")
			x.same(x.batchIDs(tenant, "b3", 2), []string{"b2", "b1", "more"})
			x.same(x.batchIDs(tenant, "b1", 2), []string{"b0"})
			x.same(x.batchIDs(tenant, "b0", 2), []string(nil))
			x.same(x.batchIDs(tenant, "", 6), []string{"b5", "b4", "b3", "b2", "b1", "b0"})
			x.same(x.batchIDs(stranger, "", 6), []string(nil))
		}},
		{"lists those of all tenants newest first", func(x *fixture) {
			x.create("b0")
			f, b := x.newFile("in-c0"), x.newBatch("c0")
			f.Tenant, b.Tenant = stranger, stranger
			x.ok(x.store.CreateFile(x.ctx, f))
			x.ok(x.store.CreateBatch(x.ctx, b))
			x.create("b1")
			ids := func(after string, limit int) []string {
				p, err := x.store.ListAllBatches(x.ctx, after, limit)
				x.ok(err)
				return idsOf(p)
			}
			x.same(ids("", 2), []string{"b1", "c0", "more"})
			x.same(ids("c0", 2), []string{"b0"})
			x.same(ids("b0", 2), []string(nil))
			p, err := x.store.ListAllBatches(x.ctx, "c0", 1)
			x.ok(err)
			x.same(p.Items[0], x.read("b0"))
			_, err = x.store.ListAllBatches(x.ctx, "b7", 1)
			x.fails(err, store.ErrBadCursor)
		}},
		{"refuses an unknown or foreign cursor", func(x *fixture) {
			x.create("b1")
			_, err := x.store.ListBatches(x.ctx, tenant, store.BatchQuery{After: "b0", Limit: 1})
			x.fails(err, store.ErrBadCursor)
			_, err = x.store.ListBatches(x.ctx, stranger, store.BatchQuery{After: "b1", Limit: 1})
			x.fails(err, store.ErrBadCursor)
		}},
	}},
	{"cancel", []test{
		{"stops a batch and says so", func(x *fixture) {
			x.start("b1", 2)
			want := x.read("b1")
			now := x.tick()
			got, err := x.store.CancelBatch(x.ctx, tenant, "b1", now)
			x.ok(err)
			want.Status, want.Stop, want.CancellingAt, want.UpdatedAt = batch.Cancelling, batch.StopCancel, now, now
			want.Version++
			x.same(got, want)
			x.same(x.read("b1"), want)
		}},
		{"changes nothing the second time, nor when it is over", func(x *fixture) {
			x.create("b1")
			x.cancel("b1")
			want := x.read("b1")
			x.tick()
			got, err := x.store.CancelBatch(x.ctx, tenant, "b1", x.now)
			x.ok(err)
			x.same(got, want)
			want = x.close("b1")
			got, err = x.store.CancelBatch(x.ctx, tenant, "b1", x.tick())
			x.ok(err)
			x.same(got, want)
		}},
		{"replaces no stop while finalizing, and the batch stays ready", func(x *fixture) {
			x.start("b1", 1)
			x.seal(x.take("b1", 1))
			x.cancel("b1")
			b := x.read("b1")
			x.same([]any{b.Status, b.Stop, b.Ready}, []any{batch.Cancelling, batch.StopCancel, true})
			x.same(x.close("b1").Status, batch.Cancelled)
		}},
		// The finalizer has read the batch by then. If its word counted, a cancel that was answered would be lost.
		{"is taken by the closing transaction, also when it comes after the lease", func(x *fixture) {
			x.start("b1", 1)
			x.seal(x.take("b1", 1))
			lease := x.lease(store.StageFinalize, "b1")
			x.cancel("b1")
			b, err := x.store.CloseBatch(x.ctx, store.Close{Batch: "b1", Lease: lease, Now: x.now})
			x.ok(err)
			x.same(b.Status, batch.Cancelled)
		}},
		// The API shows clients the state that was in the way.
		{"comes too late for another end, and shows the batch", func(x *fixture) {
			for _, s := range situations() {
				if s.stop == batch.StopExpire || s.status.Terminal() && s.status != batch.Cancelled {
					x := x.fresh()
					s.build(x, "b1")
					want := x.read("b1")
					got, err := x.store.CancelBatch(x.ctx, tenant, "b1", x.tick())
					x.fails(err, store.ErrConflict)
					x.same(got, want)
					x.same(x.read("b1"), want)
				}
			}
		}},
	}},
}

// batchIDs lists a page and returns the ids on it, and "more" at the end if there is more.
func (x *fixture) batchIDs(tenant, after string, limit int) []string {
	x.Helper()
	p, err := x.store.ListBatches(x.ctx, tenant, store.BatchQuery{After: after, Limit: limit})
	x.ok(err)
	return idsOf(p)
}

// idsOf returns the ids on a page, and "more" at the end if there is more.
func idsOf(p store.Page[batch.Batch]) []string {
	var ids []string
	for _, b := range p.Items {
		ids = append(ids, b.ID)
	}
	if p.HasMore {
		ids = append(ids, "more")
	}
	return ids
}
