package storetest

import (
	"errors"
	"sync"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// unitCases say who gets which units, and who may take over those of a node that died.
var unitCases = []group{
	{"units", []test{
		{"are leased in order, each under a new id, until none is left", func(x *fixture) {
			x.start("b1", 5)
			got := append(x.take("b1", 2), x.take("b1", 3)...)
			seen := make(map[batch.LeaseID]bool)
			for i, u := range got {
				x.same(u.UnitID, batch.UnitID{Batch: "b1", Ordinal: i})
				x.same(u.UnitSpan, spans(5)[i])
				seen[u.Lease] = true
			}
			x.same([]any{len(seen), seen[batch.LeaseID{}]}, []any{5, false})
			rest, err := x.store.LeaseUnits(x.ctx, "b1", node, 3)
			x.ok(err)
			x.same(rest, []batch.Unit{})
		}},
		{"fewer than asked for are no error", func(x *fixture) {
			x.start("b1", 2)
			for _, c := range []struct{ ask, want int }{{0, 0}, {9, 2}, {9, 0}} {
				units, err := x.store.LeaseUnits(x.ctx, "b1", node, c.ask)
				x.ok(err)
				x.same(len(units), c.want)
			}
		}},
		{"of some models are leased in order and leave the others alone", func(x *fixture) {
			x.start("b1", 6) // models 0 and 1 in turn
			for _, c := range []struct {
				models []int
				ask    int
				want   []int
			}{
				{[]int{1}, 2, []int{1, 3}}, {[]int{7}, 9, nil}, {nil, 9, nil}, {[]int{0, 1}, 2, []int{0, 2}}, {[]int{1}, 9, []int{5}}, {[]int{1}, 9, nil},
			} {
				units, err := x.store.LeaseUnitsOf(x.ctx, "b1", node, c.models, c.ask)
				x.ok(err)
				var got []int
				for _, u := range units {
					got = append(got, u.Ordinal)
				}
				x.same(got, c.want)
			}
			x.take("b1", 1)
		}},
		{"of a batch that has none, or is none", func(x *fixture) {
			x.create("b1")
			units, err := x.store.LeaseUnits(x.ctx, "b1", node, 3)
			x.ok(err)
			x.same(units, []batch.Unit{})
			_, err = x.store.LeaseUnits(x.ctx, "b2", node, 3)
			x.fails(err, store.ErrNotFound)
		}},
		// Lines that never ran are recorded in units as any other result, so a stopped batch has to run through.
		{"of a stopped batch are leased too, so that they can be sealed", func(x *fixture) {
			x.start("b1", 2)
			x.cancel("b1")
			x.take("b1", 2)
		}},
		// A unit that two callers ran would be paid for twice.
		{"many callers get each unit once", func(x *fixture) {
			const units, callers = 200, 8
			x.start("b1", units)
			var mu sync.Mutex
			got := make(map[int]int)
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for {
						part, err := x.store.LeaseUnits(x.ctx, "b1", node, 3)
						if err != nil {
							x.Errorf("lease units: %v", err)
						}
						if len(part) == 0 {
							return
						}
						mu.Lock()
						for _, u := range part {
							got[u.Ordinal]++
						}
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			x.same(len(got), units)
			for ordinal, n := range got {
				if n != 1 {
					x.Errorf("unit %d was leased %d times", ordinal, n)
				}
			}
		}},
	}},
	{"adoption", []test{
		// A journal names every lease that it was ever under; whichever of them the row has, the journal is the unit's.
		{"are adopted by any lease id that the row may carry", func(x *fixture) {
			x.start("b1", 2)
			u := x.take("b1", 1)[0]
			chain := []batch.LeaseID{batch.NewLeaseID(), u.Lease}
			for range 3 {
				h := store.Holder{Node: "node-2", Lease: batch.NewLeaseID()}
				got, err := x.store.AdoptUnit(x.ctx, u.UnitID, chain, h)
				x.ok(err)
				want := u
				want.Lease = h.Lease
				x.same(got, want)
				chain = append(chain, h.Lease)
			}
			_, err := x.store.SealUnits(x.ctx, newSeals([]batch.Unit{u}), x.now)
			x.fails(err, store.ErrLeaseLost)
			u.Lease = chain[len(chain)-1]
			x.seal([]batch.Unit{u})
		}},
		{"cannot be adopted by an unknown id, when sealed, or when there is no such unit", func(x *fixture) {
			x.start("b1", 2)
			u := x.take("b1", 1)[0]
			h := store.Holder{Node: node, Lease: batch.NewLeaseID()}
			adopt := func(id batch.UnitID, from ...batch.LeaseID) error {
				_, err := x.store.AdoptUnit(x.ctx, id, from, h)
				return err
			}
			lost := func(err error) {
				x.fails(err, store.ErrLeaseLost)
				if errors.Is(err, store.ErrSealed) {
					x.Errorf("%v of a unit that is not sealed", err)
				}
			}
			lost(adopt(u.UnitID))
			lost(adopt(u.UnitID, batch.NewLeaseID(), batch.LeaseID{}))
			lost(adopt(batch.UnitID{Batch: "b1", Ordinal: 1}, u.Lease, batch.LeaseID{}))
			lost(adopt(batch.UnitID{Batch: "b1", Ordinal: 2}, u.Lease))
			lost(adopt(batch.UnitID{Batch: "b2", Ordinal: 0}, u.Lease))
			x.seal([]batch.Unit{u})
			x.fails(adopt(u.UnitID, u.Lease), store.ErrSealed)
			x.fails(adopt(u.UnitID, u.Lease), store.ErrLeaseLost)
			x.fails(adopt(u.UnitID, batch.NewLeaseID()), store.ErrSealed)
			lost(adopt(batch.UnitID{Batch: "b1", Ordinal: 1}, u.Lease))
		}},
		// A start reclaims units before it has read all journals, and those journals hold results that are paid for.
		{"of dead nodes become pending, but keep their lease id for adoption", func(x *fixture) {
			x.start("b1", 3)
			u := x.take("b1", 2)
			n, err := x.store.ReclaimUnits(x.ctx, node)
			x.ok(err)
			x.same(n, 0)
			n, err = x.store.ReclaimUnits(x.ctx, "node-2")
			x.ok(err)
			x.same(n, 2)
			_, err = x.store.SealUnits(x.ctx, newSeals(u[:1]), x.now)
			x.fails(err, store.ErrLeaseLost)

			h := store.Holder{Node: "node-2", Lease: batch.NewLeaseID()}
			adopted, err := x.store.AdoptUnit(x.ctx, u[1].UnitID, []batch.LeaseID{u[1].Lease}, h)
			x.ok(err)
			again, err := x.store.LeaseUnits(x.ctx, "b1", "node-2", 9)
			x.ok(err)
			x.same([]int{len(again), again[0].Ordinal, again[1].Ordinal}, []int{2, 0, 2})
			_, err = x.store.AdoptUnit(x.ctx, u[0].UnitID, []batch.LeaseID{u[0].Lease}, h)
			x.fails(err, store.ErrLeaseLost)
			x.seal(append(again, adopted))
			x.same(x.read("b1").Ready, true)
		}},
		{"sealed ones are never reclaimed", func(x *fixture) {
			x.start("b1", 1)
			x.seal(x.take("b1", 1))
			n, err := x.store.ReclaimUnits(x.ctx, "node-2")
			x.ok(err)
			x.same(n, 0)
		}},
		{"live leases are those held now", func(x *fixture) {
			x.start("b1", 3)
			u := x.take("b1", 2)
			x.create("b2")
			validating := x.lease(store.StageValidate, "b2")
			x.same(x.live(), map[batch.LeaseID]bool{u[0].Lease: true, u[1].Lease: true, validating: true})
			x.seal(u[:1])
			x.ok(x.store.ReleaseBatch(x.ctx, "b2", validating))
			x.same(x.live(), map[batch.LeaseID]bool{u[1].Lease: true})
			_, err := x.store.ReclaimUnits(x.ctx, "node-2")
			x.ok(err)
			x.same(x.live(), map[batch.LeaseID]bool{})
		}},
	}},
}

func (x *fixture) live() map[batch.LeaseID]bool {
	x.Helper()
	live, err := x.store.LiveLeases(x.ctx)
	x.ok(err)
	return live
}
