package storetest

import (
	"sync"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// sealCases say what sealing units adds to their batch, and what is read back of the seals.
var sealCases = []group{
	{"seals", []test{
		{"add up in the batch, and leave its version alone", func(x *fixture) {
			x.start("b1", 3)
			want := x.read("b1")
			x.tick()
			units := x.take("b1", 2)
			x.same(x.seal(units), store.SealResult{Stop: batch.StopNone})
			want.SealedUnits = 2
			want.Counts.Completed, want.Counts.Failed = 14, 4
			want.Usage = batch.Usage{Input: 200, Cached: 40, Output: 60, Reasoning: 8, Total: 261}
			x.same(x.read("b1"), want)
		}},
		{"the last one moves a running batch to finalizing", func(x *fixture) {
			x.start("b1", 2)
			x.same(x.seal(x.take("b1", 1)), store.SealResult{Stop: batch.StopNone})
			before := x.read("b1")
			now := x.tick()
			x.same(x.seal(x.take("b1", 1)), store.SealResult{Ready: true, Stop: batch.StopNone})
			b := x.read("b1")
			x.same([]any{b.Status, b.Ready, b.FinalizingAt, b.UpdatedAt, b.Version},
				[]any{batch.Finalizing, true, now, now, before.Version + 1})
		}},
		{"the last one only marks a stopped batch ready", func(x *fixture) {
			for _, stop := range []batch.Stop{batch.StopCancel, batch.StopExpire} {
				x := x.fresh()
				x.start("b1", 2)
				if stop == batch.StopCancel {
					x.cancel("b1")
				} else {
					x.expire()
				}
				want := x.read("b1")
				x.tick()
				x.same(x.seal(x.take("b1", 2)), store.SealResult{Ready: true, Stop: stop})
				b := x.read("b1")
				x.same([]any{b.Status, b.Version, b.UpdatedAt, b.Ready}, []any{want.Status, want.Version, want.UpdatedAt, true})
			}
		}},
		{"a unit is sealed once", func(x *fixture) {
			x.start("b1", 2)
			u := x.take("b1", 1)
			x.seal(u)
			want := x.read("b1")
			_, err := x.store.SealUnits(x.ctx, newSeals(u), x.now)
			x.fails(err, store.ErrLeaseLost)
			x.same(x.read("b1"), want)
		}},
		{"one stale lease among many undoes them all", func(x *fixture) {
			x.start("b1", 4)
			u := x.take("b1", 3)
			want := x.read("b1")
			for name, spoil := range map[string]func([]batch.Seal){
				"unknown lease": func(s []batch.Seal) { s[2].Lease = batch.NewLeaseID() },
				"no lease":      func(s []batch.Seal) { s[1].Lease = batch.LeaseID{} },
				"pending unit":  func(s []batch.Seal) { s[2].Ordinal, s[2].Lease = 3, batch.LeaseID{} },
				"absent unit":   func(s []batch.Seal) { s[2].Ordinal = 4 },
				"twice":         func(s []batch.Seal) { s[2] = s[0] },
			} {
				seals := newSeals(u)
				spoil(seals)
				if _, err := x.store.SealUnits(x.ctx, seals, x.now); err == nil {
					x.Errorf("%s: sealed", name)
				} else {
					x.fails(err, store.ErrLeaseLost)
				}
			}
			x.same(x.read("b1"), want)
			seals, err := x.store.SealedUnits(x.ctx, "b1", 0, 9)
			x.ok(err)
			x.same(seals, []batch.Seal{})
			x.seal(u)
		}},
	}},
	{"sealed units", []test{
		{"of an absent batch are under no lease", func(x *fixture) {
			u := batch.Unit{UnitID: batch.UnitID{Batch: "b1"}, Lease: batch.NewLeaseID()}
			_, err := x.store.SealUnits(x.ctx, newSeals([]batch.Unit{u}), x.now)
			x.fails(err, store.ErrLeaseLost)
		}},
		{"of no batch or of two batches at once are refused", func(x *fixture) {
			x.start("b1", 2)
			x.start("b2", 2)
			if _, err := x.store.SealUnits(x.ctx, nil, x.now); err == nil {
				x.Error("sealed nothing")
			}
			mixed := newSeals(append(x.take("b1", 1), x.take("b2", 1)...))
			if _, err := x.store.SealUnits(x.ctx, mixed, x.now); err == nil {
				x.Error("sealed units of two batches")
			}
			x.same([]int{x.read("b1").SealedUnits, x.read("b2").SealedUnits}, []int{0, 0})
		}},
		{"are read back in order, in pages", func(x *fixture) {
			x.start("b1", 6)
			units := x.take("b1", 6)
			want := newSeals(units)
			want[4].Segment = batch.Blob{}
			for _, i := range []int{5, 0, 4, 2} {
				_, err := x.store.SealUnits(x.ctx, want[i:i+1], x.now)
				x.ok(err)
			}
			for _, c := range []struct {
				first, n int
				want     []batch.Seal
			}{
				{0, 9, []batch.Seal{want[0], want[2], want[4], want[5]}},
				{0, 2, []batch.Seal{want[0], want[2]}},
				{3, 1, []batch.Seal{want[4]}},
				{6, 1, nil},
				{0, 0, nil},
			} {
				got, err := x.store.SealedUnits(x.ctx, "b1", c.first, c.n)
				x.ok(err)
				x.same(got, c.want)
			}
			_, err := x.store.SealedUnits(x.ctx, "b2", 0, 9)
			x.fails(err, store.ErrNotFound)
		}},
		// Exactly one of them must hear that the batch is ready.
		{"at the same time from many callers all count, and one of them is the last", func(x *fixture) {
			const units = 60
			x.start("b1", units)
			leased := x.take("b1", units)
			var mu sync.Mutex
			ready := 0
			var wg sync.WaitGroup
			for _, u := range leased {
				wg.Go(func() {
					result, err := x.store.SealUnits(x.ctx, newSeals([]batch.Unit{u}), x.now)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						x.Errorf("seal: %v", err)
					}
					if result.Ready {
						ready++
					}
				})
			}
			wg.Wait()
			b := x.read("b1")
			x.same([]any{ready, b.SealedUnits, b.Status}, []any{1, units, batch.Finalizing})
			x.same(b.Counts, batch.Counts{Total: 10 * units, Completed: 7 * units, Failed: 2 * units})
		}},
		// Users divide one by the other.
		{"counts may not pass the total", func(x *fixture) {
			x.start("b1", 1)
			seals := newSeals(x.take("b1", 1))
			seals[0].OutputLines = 9
			if _, err := x.store.SealUnits(x.ctx, seals, x.now); err == nil {
				x.Error("counted 9 + 2 of 10 lines")
			}
			x.same(x.read("b1").SealedUnits, 0)
		}},
	}},
}
