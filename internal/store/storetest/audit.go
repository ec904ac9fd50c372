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
			_, err := x.store.PurgeFiles(x.ctx, []string{"in-b1", "out-b1", "err-b1"})
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
		{"the lease of a unit that was never leased is moved, and the unit sealed under it", func(x *fixture) {
			x.start("b1", 2)
			h := store.Holder{Node: "repair", Lease: batch.NewLeaseID()}
			id := batch.UnitID{Batch: "b1", Ordinal: 1}
			x.fails(x.store.MoveLease(x.ctx, id, batch.NewLeaseID(), h), store.ErrLeaseLost)
			x.ok(x.store.MoveLease(x.ctx, id, batch.LeaseID{}, h))
			x.fails(x.store.MoveLease(x.ctx, id, batch.LeaseID{}, h), store.ErrLeaseLost)
			rows, err := x.store.UnitRows(x.ctx, "b1", 1, 1)
			x.ok(err)
			x.same([]any{rows[0].Lease, rows[0].Held}, []any{h.Lease, true})
			x.same(len(x.take("b1", 1)), 1)
			x.seal([]batch.Unit{rows[0].Unit})
			x.fails(x.store.MoveLease(x.ctx, id, h.Lease, h), store.ErrSealed)
		}},
		{"a lease is moved in place of the one in the row only, held or not, and adopted from there", func(x *fixture) {
			x.start("b1", 1)
			u := x.take("b1", 1)[0]
			h := store.Holder{Node: "repair", Lease: batch.NewLeaseID()}
			x.fails(x.store.MoveLease(x.ctx, u.UnitID, batch.LeaseID{}, h), store.ErrLeaseLost)
			x.ok(x.store.MoveLease(x.ctx, u.UnitID, u.Lease, h))
			_, err := x.store.ReclaimUnits(x.ctx, "node-2")
			x.ok(err)
			next := store.Holder{Node: "repair", Lease: batch.NewLeaseID()}
			x.ok(x.store.MoveLease(x.ctx, u.UnitID, h.Lease, next))
			_, err = x.store.AdoptUnit(x.ctx, u.UnitID, []batch.LeaseID{next.Lease}, store.Holder{Node: "node-3", Lease: batch.NewLeaseID()})
			x.ok(err)
			x.fails(x.store.MoveLease(x.ctx, batch.UnitID{Batch: "b1", Ordinal: 1}, batch.LeaseID{}, h), store.ErrLeaseLost)
			x.fails(x.store.MoveLease(x.ctx, batch.UnitID{Batch: "b2"}, batch.LeaseID{}, h), store.ErrLeaseLost)
		}},
		{"files of all tenants come in order, without those that are hidden", func(x *fixture) {
			x.createFiles("f1", "f2", "f3")
			f := x.newFile("f4")
			f.Tenant = stranger
			x.ok(x.store.CreateFile(x.ctx, f))
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f2", x.now))
			var ids []string
			for after := int64(0); ; {
				page, err := x.store.AllFiles(x.ctx, after, 2)
				x.ok(err)
				if len(page) == 0 {
					break
				}
				for _, f := range page {
					ids = append(ids, f.ID)
				}
				after = page[len(page)-1].Seq
			}
			x.same(ids, []string{"f1", "f3", "f4"})
			page, err := x.store.AllFiles(x.ctx, 0, 1)
			x.ok(err)
			want := x.newFile("f1")
			want.Seq = page[0].Seq
			x.same(page[0], want)
		}},
		{"parts of all uploads come in order", func(x *fixture) {
			for _, id := range []string{"u1", "u2"} {
				x.ok(x.store.CreateUpload(x.ctx, x.newUpload(id, 1000)))
			}
			want := []batch.Part{x.newPart("u2", "p1", 100), x.newPart("u1", "p2", 100), x.newPart("u2", "p3", 100)}
			for _, p := range want {
				x.ok(x.store.AddPart(x.ctx, tenant, p, x.now))
			}
			first, err := x.store.AllParts(x.ctx, 0, 2)
			x.ok(err)
			x.same(len(first), 2)
			rest, err := x.store.AllParts(x.ctx, first[1].Seq, 2)
			x.ok(err)
			x.same([]batch.Part{first[0].Part, first[1].Part, rest[0].Part}, want)
		}},
		{"a sound store has no problem", func(x *fixture) {
			x.start("b1", 2)
			x.seal(x.take("b1", 2))
			x.close("b1")
			x.ok(x.store.Verify(x.ctx, func(text string) error {
				x.Error(text)
				return nil
			}))
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
