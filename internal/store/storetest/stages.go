package storetest

import (
	"errors"
	"sync"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// stageCases say who gets a batch for validation or finalization, and what starting it stores.
var stageCases = []group{
	{"stages", []test{
		{"nothing is due in an empty store", func(x *fixture) {
			for _, stage := range []store.Stage{store.StageValidate, store.StageFinalize} {
				_, err := x.store.LeaseBatch(x.ctx, stage, store.Holder{Node: node, Lease: batch.NewLeaseID()})
				x.fails(err, store.ErrNoWork)
			}
			running, err := x.store.RunningBatches(x.ctx)
			x.ok(err)
			x.same(running, []batch.Batch{})
		}},
		{"a node gets each batch once, oldest first", func(x *fixture) {
			for _, id := range []string{"b2", "b1", "b3"} {
				x.create(id)
			}
			for _, want := range []string{"b2", "b1", "b3"} {
				b, err := x.store.LeaseBatch(x.ctx, store.StageValidate, store.Holder{Node: node, Lease: batch.NewLeaseID()})
				x.ok(err)
				x.same(b, x.read(want))
			}
			_, err := x.store.LeaseBatch(x.ctx, store.StageValidate, store.Holder{Node: node, Lease: batch.NewLeaseID()})
			x.fails(err, store.ErrNoWork)
		}},
		{"many callers of one node get each batch once", func(x *fixture) {
			ids := []string{"b1", "b2", "b3", "b4", "b5", "b6"}
			for _, id := range ids {
				x.create(id)
			}
			var mu sync.Mutex
			got := make(map[string]int)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for {
						b, err := x.store.LeaseBatch(x.ctx, store.StageValidate, store.Holder{Node: node, Lease: batch.NewLeaseID()})
						if err != nil {
							if !errors.Is(err, store.ErrNoWork) {
								x.Errorf("lease: %v", err)
							}
							return
						}
						mu.Lock()
						got[b.ID]++
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			for _, id := range ids {
				x.same(got[id], 1)
			}
		}},
		// A stage that gave up may still have a write on its way.
		{"a batch given back can be leased again, and its old lease is void", func(x *fixture) {
			x.create("b1")
			old := x.lease(store.StageValidate, "b1")
			x.ok(x.store.ReleaseBatch(x.ctx, "b1", old))
			x.fails(x.store.ReleaseBatch(x.ctx, "b1", old), store.ErrLeaseLost)
			x.fails(x.store.StartBatch(x.ctx, x.newStart("b1", old, 1)), store.ErrLeaseLost)
			fresh := x.lease(store.StageValidate, "b1")
			x.fails(x.store.ReleaseBatch(x.ctx, "b1", old), store.ErrLeaseLost)
			x.ok(x.store.StartBatch(x.ctx, x.newStart("b1", fresh, 1)))
			x.fails(x.store.ReleaseBatch(x.ctx, "b1", fresh), store.ErrLeaseLost)
			x.fails(x.store.ReleaseBatch(x.ctx, "none", fresh), store.ErrLeaseLost)
		}},
		// The lock on the data directory proves the other node dead. A write of it can only be one that was delayed.
		{"the batch of a dead node is free, and what that node still writes is refused", func(x *fixture) {
			x.create("b1")
			x.create("b2")
			old := x.lease(store.StageValidate, "b1")
			h := store.Holder{Node: "node-2", Lease: batch.NewLeaseID()}
			b, err := x.store.LeaseBatch(x.ctx, store.StageValidate, h)
			x.ok(err)
			x.same(b.ID, "b1")
			x.fails(x.store.StartBatch(x.ctx, x.newStart("b1", old, 1)), store.ErrLeaseLost)
			x.fails(x.store.FailBatch(x.ctx, x.failure("b1", old)), store.ErrLeaseLost)
			_, err = x.store.CloseBatch(x.ctx, store.Close{Batch: "b1", Lease: old, Now: x.now})
			x.fails(err, store.ErrLeaseLost)
			x.same(x.read("b1").Status, batch.Validating)
			x.ok(x.store.StartBatch(x.ctx, x.newStart("b1", h.Lease, 1)))
		}},
	}},
	{"starts", []test{
		{"a start stores what validation found", func(x *fixture) {
			x.create("b1")
			want := x.read("b1")
			lease := x.lease(store.StageValidate, "b1")
			st := x.newStart("b1", lease, 3)
			st.Now = x.tick()
			st.Models = []string{odd, "m1"}
			x.ok(x.store.StartBatch(x.ctx, st))
			want.Status, want.InProgressAt, want.UpdatedAt, want.Version = batch.InProgress, st.Now, st.Now, 1
			want.Counts.Total, want.Plan, want.Models, want.Units, want.InLineOrder = st.Total, st.Plan, st.Models, 3, true
			x.same(x.read("b1"), want)
			running, err := x.store.RunningBatches(x.ctx)
			x.ok(err)
			x.same(running, []batch.Batch{want})
			x.fails(x.store.StartBatch(x.ctx, st), store.ErrLeaseLost)
		}},
		{"names the model when there is only one", func(x *fixture) {
			x.create("b1")
			st := x.newStart("b1", x.lease(store.StageValidate, "b1"), 1)
			st.Models, st.InLineOrder = []string{"only"}, false
			x.ok(x.store.StartBatch(x.ctx, st))
			x.same([]any{x.read("b1").Model, x.read("b1").InLineOrder}, []any{"only", false})
		}},
		{"refuses a start without units and changes nothing", func(x *fixture) {
			x.create("b1")
			want := x.read("b1")
			if err := x.store.StartBatch(x.ctx, x.newStart("b1", x.lease(store.StageValidate, "b1"), 0)); err == nil {
				x.Fatal("started a batch with nothing to run")
			}
			x.same(x.read("b1"), want)
		}},
		{"a failure stores the errors as they are", func(x *fixture) {
			x.create("b1")
			want := x.read("b1")
			f := x.failure("b1", x.lease(store.StageValidate, "b1"))
			f.Now = x.tick()
			x.ok(x.store.FailBatch(x.ctx, f))
			want.Status, want.FailedAt, want.UpdatedAt, want.Version = batch.Failed, f.Now, f.Now, 1
			want.Errors, want.ErrorsTotal = f.Errors, f.Total
			x.same(x.read("b1"), want)
		}},
		// A batch that was accepted runs to its end on what it was given.
		{"reads the input file also when it was deleted or has expired", func(x *fixture) {
			f := x.newFile("in-b1")
			f.ExpiresAt = x.now.Add(1)
			x.ok(x.store.CreateFile(x.ctx, f))
			x.ok(x.store.CreateBatch(x.ctx, x.newBatch("b1")))
			x.ok(x.store.DeleteFile(x.ctx, tenant, "in-b1", x.now))
			got, err := x.store.InputFile(x.ctx, "b1")
			x.ok(err)
			f.Seq = got.Seq
			x.same(got, f)
			_, err = x.store.InputFile(x.ctx, "b2")
			x.fails(err, store.ErrNotFound)
		}},
		{"running batches are those with units to seal, oldest first", func(x *fixture) {
			for _, id := range []string{"b3", "b1", "b2", "done"} {
				x.start(id, 1)
			}
			x.create("new")
			x.seal(x.take("done", 1))
			x.cancel("b1")
			running, err := x.store.RunningBatches(x.ctx)
			x.ok(err)
			x.same(running, []batch.Batch{x.read("b3"), x.read("b1"), x.read("b2")})
		}},
	}},
}
