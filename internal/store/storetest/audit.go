package storetest

import (
	"batchd/internal/batch"
	"batchd/internal/store"
)

// auditCases say what whoever compares the store with the files beside it is told.
var auditCases = []group{
	{"audit", []test{
		{"ids that no batch has are unknown, whatever became of the others", func(x *fixture) {
			x.start("b1", 1)
			x.start("b2", 1)
			x.cancel("b2")
			x.seal(x.take("b2", 1))
			x.close("b2")
			unknown, err := x.store.UnknownBatches(x.ctx, []string{"b3", "b1", "", "b2", "B1", odd})
			x.ok(err)
			x.same(unknown, []string{"b3", "", "B1", odd})
			unknown, err = x.store.UnknownBatches(x.ctx, nil)
			x.ok(err)
			x.same(unknown, []string(nil))
		}},
		{"a batch stays known when its files are gone", func(x *fixture) {
			x.start("b1", 1)
			x.seal(x.take("b1", 1))
			x.close("b1")
			for _, id := range []string{"in-b1", "out-b1", "err-b1"} {
				x.ok(x.store.DeleteFile(x.ctx, tenant, id, x.now))
			}
			_, err := x.store.PurgeFiles(x.ctx, x.tick(), 9)
			x.ok(err)
			unknown, err := x.store.UnknownBatches(x.ctx, []string{"b1"})
			x.ok(err)
			x.same(unknown, []string(nil))
		}},
		{"units are shown as they stand", func(x *fixture) {
			x.start("b1", 4)
			u := x.take("b1", 2)
			_, err := x.store.ReclaimUnits(x.ctx, "node-2")
			x.ok(err)
			h := store.Holder{Node: "node-2", Lease: batch.NewLeaseID()}
			adopted, err := x.store.AdoptUnit(x.ctx, u[1].UnitID, []batch.LeaseID{u[1].Lease}, h)
			x.ok(err)
			last := x.take("b1", 3)[2]
			x.seal([]batch.Unit{last})
			seal := newSeal(last)
			units := spans(4)
			first, err := x.store.UnitRows(x.ctx, "b1", 0, 2)
			x.ok(err)
			rest, err := x.store.UnitRows(x.ctx, "b1", 2, 9)
			x.ok(err)
			id := func(n int) batch.UnitID { return batch.UnitID{Batch: "b1", Ordinal: n} }
			x.same(len(append(first, rest...)), 4)
			x.same(first[1], store.UnitRow{Unit: adopted, Held: true})
			x.same([]any{first[0].UnitID, first[0].UnitSpan, first[0].Held}, []any{id(0), units[0], true})
			x.same(rest[1], store.UnitRow{Unit: batch.Unit{UnitID: id(3), UnitSpan: units[3], Lease: last.Lease}, Seal: &seal})
		}},
		{"a unit that was never leased has no lease, one that was reclaimed the last", func(x *fixture) {
			x.start("b1", 2)
			u := x.take("b1", 1)[0]
			_, err := x.store.ReclaimUnits(x.ctx, "node-2")
			x.ok(err)
			rows, err := x.store.UnitRows(x.ctx, "b1", 0, 9)
			x.ok(err)
			x.same([]any{rows[0].Lease, rows[0].Held, rows[1].Lease, rows[1].Held}, []any{u.Lease, false, batch.LeaseID{}, false})
		}},
		{"a batch that never started has no units, one that is not there is not found", func(x *fixture) {
			x.create("b1")
			rows, err := x.store.UnitRows(x.ctx, "b1", 0, 9)
			x.ok(err)
			x.same(len(rows), 0)
			_, err = x.store.UnitRows(x.ctx, "b2", 0, 9)
			x.fails(err, store.ErrNotFound)
		}},
	}},
}
