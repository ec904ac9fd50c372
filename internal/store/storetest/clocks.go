package storetest

import (
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// earlier is the sum of the steps that were taken before a test begins.
const earlier = -3 * time.Hour

// createAhead stores a batch that is made while the wall clock is ahead of the one that windows go by, which shows x.now.
func (x *fixture) createAhead(id string, ahead time.Duration) batch.Batch {
	x.Helper()
	x.createFiles("in-" + id)
	b := x.newBatch(id)
	b.CreatedAt, b.ExpiresAt, b.Ahead, b.Shift = b.CreatedAt.Add(ahead), b.ExpiresAt.Add(ahead), ahead, earlier
	x.ok(x.store.CreateBatch(x.ctx, b))
	return b
}

// endsAt checks that a batch's window ends at a time, to the nanosecond.
func (x *fixture) endsAt(id string, at time.Time) {
	x.Helper()
	x.same(x.read(id).EndsAt(), at)
	ids, err := x.store.ExpireBatches(x.ctx, at.Add(-1))
	x.ok(err)
	x.same(ids, []string(nil))
	ids, err = x.store.ExpireBatches(x.ctx, at)
	x.ok(err)
	x.same(ids, []string{id})
}

// settle settles windows after steps that come to taken, and checks how many were open.
func (x *fixture) settle(taken time.Duration, want int) {
	x.Helper()
	n, err := x.store.SettleWindows(x.ctx, earlier+taken)
	x.ok(err)
	x.same(n, want)
}

// leaps are steps of the wall clock.
var leaps = []time.Duration{
	time.Second, -time.Second, time.Hour, -time.Hour, 30 * window, -30 * window, 3650 * window, -3650 * window,
}

// clockCases say what a wall clock that is ahead or behind does to what is made then.
var clockCases = []group{
	{"clock", []test{
		{"the time that was saved last is kept, whichever it is", func(x *fixture) {
			last, shift, err := x.store.LastTime(x.ctx)
			x.ok(err)
			x.same([]any{last, shift}, []any{time.Time{}, time.Duration(0)})
			for _, step := range []time.Duration{0, window, -window} {
				x.ok(x.store.SaveTime(x.ctx, x.now.Add(step), step))
				x.reopen()
				last, shift, err := x.store.LastTime(x.ctx)
				x.ok(err)
				x.same([]any{last, shift}, []any{x.now.Add(step), step})
			}
		}},
		{"a window goes by what is shown where the clocks agreed", func(x *fixture) {
			x.create("b1")
			x.settle(0, 0)
			x.endsAt("b1", x.now.Add(window))
		}},
		{"a window ends at the later of both clocks until it is settled", func(x *fixture) {
			for _, ahead := range leaps {
				x := x.fresh()
				b := x.createAhead("b1", ahead)
				x.same(x.read("b1").ExpiresAt, b.ExpiresAt)
				x.endsAt("b1", x.now.Add(window+max(0, ahead)))
			}
		}},
		{"a window is as long as it was asked for where the wall clock was set back", func(x *fixture) {
			for _, ahead := range leaps {
				x := x.fresh()
				b := x.createAhead("b1", ahead)
				x.settle(0, 1)
				x.settle(ahead, 0)
				x.reopen()
				x.same(x.read("b1").ExpiresAt, b.ExpiresAt)
				x.endsAt("b1", x.now.Add(window))
			}
		}},
		{"a window ends as shown where the wall clock's step was taken", func(x *fixture) {
			for _, ahead := range leaps {
				x := x.fresh()
				b := x.createAhead("b1", ahead)
				x.settle(ahead, 1)
				x.reopen()
				x.endsAt("b1", b.ExpiresAt)
			}
		}},
		// As when a wrong clock is set to one that is right and had not been right before either.
		{"a window is as long as it was asked for where another step was taken", func(x *fixture) {
			for _, ahead := range leaps {
				for _, taken := range []time.Duration{time.Minute, -time.Minute} {
					x := x.fresh()
					x.createAhead("b1", ahead)
					x.settle(taken, 1)
					x.endsAt("b1", x.now.Add(window+taken))
				}
			}
		}},
		{"a batch that has ended is settled too", func(x *fixture) {
			x.createAhead("b1", time.Hour)
			x.cancel("b1")
			x.close("b1")
			x.settle(0, 1)
			x.settle(0, 0)
		}},
		// Otherwise a clock that is ahead for a moment would take files and keys for expired.
		{"what may be created goes by the clock that decides", func(x *fixture) {
			f := x.newFile("in-b1")
			f.ExpiresAt = x.now.Add(time.Hour)
			x.ok(x.store.CreateFile(x.ctx, f))
			b, key := x.newBatch("b1"), store.IdempotencyKey{Key: "k", Fingerprint: [32]byte{1}}
			b.Ahead = 3650 * window
			b.CreatedAt, b.ExpiresAt = b.CreatedAt.Add(b.Ahead), b.ExpiresAt.Add(b.Ahead)
			first, err := x.store.CreateBatchOnce(x.ctx, b, key)
			x.ok(err)
			b.ID = "b2"
			again, err := x.store.CreateBatchOnce(x.ctx, b, key)
			x.ok(err)
			x.same(again.ID, first.ID)
			b.ID, b.InputFileID = "b3", "in-b1"
			b.Ahead -= 2 * time.Hour // by which clock the file has expired
			x.fails(x.store.CreateBatch(x.ctx, b), store.ErrNotFound)
		}},
		{"an idempotency key is remembered for a day by either clock", func(x *fixture) {
			for _, ahead := range leaps {
				x := x.fresh()
				x.createFiles("in-b1")
				b, key := x.newBatch("b1"), store.IdempotencyKey{Key: "k"}
				b.CreatedAt, b.ExpiresAt, b.Ahead = b.CreatedAt.Add(ahead), b.ExpiresAt.Add(ahead), ahead
				_, err := x.store.CreateBatchOnce(x.ctx, b, key)
				x.ok(err)
				for _, now := range []time.Time{x.now, b.CreatedAt} {
					last := now.Add(store.IdempotencyKeyTTL - 1)
					_, err = x.store.ForgetIdempotencyKeys(x.ctx, last.Add(-store.IdempotencyKeyTTL), 9)
					x.ok(err)
					_, err = x.store.BatchOfKey(x.ctx, tenant, key, last)
					x.ok(err)
				}
			}
		}},
	}},
}
