package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// remark is an edit of the remark.
func remark(text string) store.Edit { return store.Edit{Remark: &text} }

// editCases say what an edit changes, and what a batch is that failed on creation.
var editCases = []group{
	{"edits", []test{
		{"changes the remark in every situation, and nothing else but version and time", func(x *fixture) {
			for _, s := range situations() {
				x := x.fresh()
				s.build(x, "b1")
				want := x.read("b1")
				for _, text := range []string{odd, "", "a note"} {
					got, err := x.store.EditBatch(x.ctx, tenant, "b1", remark(text), x.tick())
					x.ok(err)
					want.Remark, want.UpdatedAt, want.Version = text, x.now, want.Version+1
					x.same(got, want)
					x.same(x.read("b1"), want)
				}
			}
		}},
		// A client that edits expects to see the version move.
		{"an edit to the same, or of nothing, is an edit", func(x *fixture) {
			x.create("b1")
			_, err := x.store.EditBatch(x.ctx, tenant, "b1", remark("a note"), x.now)
			x.ok(err)
			want := x.read("b1")
			for _, e := range []store.Edit{remark("a note"), {}} {
				got, err := x.store.EditBatch(x.ctx, tenant, "b1", e, x.tick())
				x.ok(err)
				want.UpdatedAt, want.Version = x.now, want.Version+1
				x.same(got, want)
			}
		}},
		{"answers for a foreign batch like for an absent one, and leaves it alone", func(x *fixture) {
			x.create("b1")
			want := x.read("b1")
			for owner, id := range map[string]string{stranger: "b1", tenant: "b2", "": "b1"} {
				b, err := x.store.EditBatch(x.ctx, owner, id, remark("a note"), x.tick())
				x.fails(err, store.ErrNotFound)
				x.same(b, batch.Batch{})
			}
			x.same(x.read("b1"), want)
		}},
		// An edit must not look like a lost lease to whoever works on the batch.
		{"does not disturb who holds the batch", func(x *fixture) {
			x.create("b1")
			lease := x.lease(store.StageValidate, "b1")
			_, err := x.store.EditBatch(x.ctx, tenant, "b1", remark("a note"), x.tick())
			x.ok(err)
			x.ok(x.store.StartBatch(x.ctx, x.newStart("b1", lease, 1)))
			b := x.read("b1")
			x.same([]any{b.Remark, b.Version, b.Status}, []any{"a note", int64(2), batch.InProgress})
		}},
		{"edits at the same time each count once", func(x *fixture) {
			x.create("b1")
			var mu sync.Mutex
			seen := make(map[int64]string)
			var wg sync.WaitGroup
			for i := range 12 {
				wg.Go(func() {
					text := fmt.Sprint(i)
					b, err := x.store.EditBatch(x.ctx, tenant, "b1", remark(text), x.now)
					if err != nil || b.Remark != text {
						x.Errorf("edit to %q returned %q, error %v", text, b.Remark, err)
					}
					mu.Lock()
					defer mu.Unlock()
					seen[b.Version] = text
				})
			}
			wg.Wait()
			b := x.read("b1")
			x.same([]any{len(seen), b.Version, b.Remark}, []any{12, int64(12), seen[12]})
		}},
	}},
	{"batches that failed at once", []test{
		{"is failed from the beginning, with its errors, over a file that need not exist", func(x *fixture) {
			b := x.newBatch("b1")
			b.Metadata, b.Remark, b.OutputTTL, b.Window = []byte(`{"k": 1.0}`), odd, 36*time.Hour, "7d"
			b.CallbackURL, b.ContinuedFrom = "https://example.com/"+odd, "b0"
			got, err := x.store.CreateFailedBatch(x.ctx, b, lineErrors)
			x.ok(err)
			want := b
			want.Seq, want.Status, want.Stop, want.Version = got.Seq, batch.Failed, batch.StopNone, 1
			want.UpdatedAt, want.FailedAt = b.CreatedAt, b.CreatedAt
			want.Errors, want.ErrorsTotal = lineErrors, 2
			x.same(got, want)
			x.same(x.read("b1"), want)
			x.reopen()
			x.same(x.read("b1"), want)
		}},
		{"takes nothing but what a creator chooses", func(x *fixture) {
			b := x.newBatch("b1")
			b.Status, b.Stop, b.Version, b.Ready, b.Units = batch.Completed, batch.StopExpire, 7, true, 3
			b.Counts, b.CompletedAt, b.OutputFileID = batch.Counts{Total: 5, Completed: 5}, x.now, "in-b1"
			b.UpdatedAt, b.FailedAt, b.Errors, b.ErrorsTotal = x.now.Add(1), x.now.Add(1), lineErrors, 9
			got, err := x.store.CreateFailedBatch(x.ctx, b, nil)
			x.ok(err)
			want := x.newBatch("b1")
			want.Seq, want.Status, want.Stop, want.Version = got.Seq, batch.Failed, batch.StopNone, 1
			want.UpdatedAt, want.FailedAt = x.now, x.now
			x.same(got, want)
		}},
		{"is in the lists, in its place", func(x *fixture) {
			x.create("b1")
			x.fail("b2")
			x.create("b3")
			x.same(x.batchIDs(tenant, "", 9), []string{"b3", "b2", "b1"})
			x.same(x.batchIDs(stranger, "", 9), []string(nil))
			_, err := x.store.Batch(x.ctx, stranger, "b2")
			x.fails(err, store.ErrNotFound)
		}},
		{"has nothing more to come, and holds nothing", func(x *fixture) {
			x.createFiles("in-b1")
			want := x.fail("b1")
			for _, stage := range []store.Stage{store.StageValidate, store.StageFinalize} {
				_, err := x.store.LeaseBatch(x.ctx, stage, store.Holder{Node: node, Lease: batch.NewLeaseID()})
				x.fails(err, store.ErrNoWork)
			}
			x.same(x.expire(), []string(nil))
			b, err := x.store.CancelBatch(x.ctx, tenant, "b1", x.now)
			x.fails(err, store.ErrConflict)
			x.same(b, want)
			x.ok(x.store.DeleteFile(x.ctx, tenant, "in-b1", x.now))
			x.same(x.purge(), 1)
		}},
		{"refuses an id that is taken, and changes nothing", func(x *fixture) {
			x.create("b1")
			want := x.read("b1")
			b, err := x.store.CreateFailedBatch(x.ctx, x.newBatch("b1"), lineErrors)
			x.fails(err, store.ErrConflict)
			x.same(b, batch.Batch{})
			x.same(x.read("b1"), want)
		}},
		{"counts against batches per hour only", func(x *fixture) {
			limits := store.Limits{BatchesPerHour: 2, OpenBatches: 1, EnqueuedLines: 1, EnqueuedTokens: 1}
			x.ok(x.store.CreateTenant(x.ctx, store.Tenant{ID: tenant, Name: "tenant", CreatedAt: x.now, Weight: 1, Limits: limits}))
			x.fail("b1")
			x.fail("b2")
			_, err := x.store.CreateFailedBatch(x.ctx, x.newBatch("b3"), lineErrors)
			var quota *store.QuotaError
			if !errors.As(err, &quota) {
				x.Fatalf("got error %v, want a quota", err)
			}
			x.same(*quota, store.QuotaError{Quota: store.QuotaBatchesPerHour, Limit: 2, Used: 2, RetryAfter: time.Hour})
			_, err = x.store.BatchByID(x.ctx, "b3")
			x.fails(err, store.ErrNotFound)
			x.now = x.now.Add(time.Hour)
			x.fail("b3")
			usage, err := x.store.Usage(x.ctx, tenant, x.now)
			x.ok(err)
			x.same(usage, store.Usage{BatchesLastHour: 1})
		}},
	}},
}

// lineErrors are what is wrong with the batches that fail on creation.
var lineErrors = []batch.LineError{
	{Code: "file_not_found", Message: "no such file: " + odd, Param: "input_file_id"},
	{Code: "invalid_json_line", Message: "no JSON", Line: 3},
}
