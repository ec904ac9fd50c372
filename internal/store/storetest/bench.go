package storetest

import (
	"fmt"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// Benchmark measures the steps that a batch's speed rests on.
func Benchmark(b *testing.B, open Opener) {
	b.Run("StartBatch of 20,000 units", func(b *testing.B) {
		x := newFixture(b, open)
		n := 0
		for b.Loop() {
			b.StopTimer()
			id := fmt.Sprintf("b%d", n)
			n++
			x.create(id)
			st := x.newStart(id, x.lease(store.StageValidate, id), 20_000)
			b.StartTimer()
			x.ok(x.store.StartBatch(x.ctx, st))
		}
	})
	b.Run("lease and seal a unit", func(b *testing.B) {
		x := newFixture(b, open)
		x.start("b1", 20_000)
		n := 0
		for b.Loop() {
			if n++; n%20_000 == 0 {
				b.StopTimer()
				x.start(fmt.Sprintf("b%d", n), 20_000)
				b.StartTimer()
			}
			id := "b1"
			if n >= 20_000 {
				id = fmt.Sprintf("b%d", n/20_000*20_000)
			}
			x.seal(x.take(id, 1))
		}
	})
	b.Run("seal 500 units at once", func(b *testing.B) {
		x := newFixture(b, open)
		n := 0
		for b.Loop() {
			b.StopTimer()
			id := fmt.Sprintf("b%d", n)
			n++
			x.start(id, 500)
			units := x.take(id, 500)
			b.StartTimer()
			x.seal(units)
		}
	})
	b.Run("a batch of one unit, from its file to its results", func(b *testing.B) {
		x := newFixture(b, open)
		n := 0
		for b.Loop() {
			id := fmt.Sprintf("b%d", n)
			n++
			x.start(id, 1)
			x.seal(x.take(id, 1))
			x.close(id)
		}
	})
	b.Run("read a batch", func(b *testing.B) {
		x := newFixture(b, open)
		x.start("b1", 1)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := x.store.Batch(x.ctx, tenant, "b1"); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("close a batch of 10,000 units", func(b *testing.B) {
		x := newFixture(b, open)
		n := 0
		for b.Loop() {
			b.StopTimer()
			id := fmt.Sprintf("b%d", n)
			n++
			x.start(id, 1)
			units := x.take(id, 1)
			x.seal(units)
			c := store.Close{Batch: id, Lease: x.lease(store.StageFinalize, id), Now: x.now, Output: x.newResult(id, "out-"+id)}
			for i := range 10_000 {
				u := batch.Unit{UnitID: batch.UnitID{Batch: id, Ordinal: i}, Lease: units[0].Lease}
				c.Output.Blobs = append(c.Output.Blobs, segmentKey(u))
			}
			b.StartTimer()
			if _, err := x.store.CloseBatch(x.ctx, c); err != nil {
				b.Fatal(err)
			}
		}
	})
}
