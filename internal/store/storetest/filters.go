package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// listed lists a page of the tenant and returns the ids on it, and "more" at the end if there is more.
func (x *fixture) listed(q store.BatchQuery) []string {
	x.Helper()
	p, err := x.store.ListBatches(x.ctx, tenant, q)
	x.ok(err)
	return idsOf(p)
}

// oneOfEach creates a batch in every state, named for it, in no particular order, and returns the names, newest first.
func (x *fixture) oneOfEach() []string {
	x.create("expired")
	x.expire()
	x.close("expired")
	x.start("completed", 1)
	x.seal(x.take("completed", 1))
	x.close("completed")
	x.create("cancelled")
	x.cancel("cancelled")
	x.close("cancelled")
	x.start("finalizing", 1)
	x.seal(x.take("finalizing", 1))
	x.fail("failed")
	x.start("in_progress", 1)
	x.create("cancelling")
	x.cancel("cancelling")
	x.create("validating")
	return []string{"validating", "cancelling", "in_progress", "failed", "finalizing", "cancelled", "completed", "expired"}
}

// filterCases say which batches a list keeps, by status and by time of creation.
var filterCases = []group{
	{"list filters by status", []test{
		{"keeps batches of any of the states, newest first", func(x *fixture) {
			names := x.oneOfEach()
			for set := range 1 << len(names) {
				var statuses []batch.Status
				var want []string
				for i, name := range names {
					if set>>i&1 == 1 {
						statuses, want = append(statuses, batch.Status(name)), append(want, name)
					}
				}
				if set == 0 {
					want = names
				}
				slices.Reverse(statuses)
				x.same(x.listed(store.BatchQuery{Statuses: statuses, Limit: 9}), want)
			}
		}},
		{"a state named twice counts once, one that does not exist keeps nothing", func(x *fixture) {
			x.oneOfEach()
			list := func(statuses ...batch.Status) []string {
				return x.listed(store.BatchQuery{Statuses: statuses, Limit: 9})
			}
			x.same(list(batch.Failed, batch.Expired, batch.Failed), []string{"failed", "expired"})
			x.same(list("done", batch.Failed), []string{"failed"})
			x.same(list("done", "FAILED", ""), []string(nil))
			x.same(list([]batch.Status{}...), []string{
				"validating", "cancelling", "in_progress", "failed", "finalizing", "cancelled", "completed", "expired",
			})
		}},
		{"a batch moves from list to list with its state", func(x *fixture) {
			x.create("b1")
			x.create("b2")
			list := func(statuses ...batch.Status) []string {
				return x.listed(store.BatchQuery{Statuses: statuses, Limit: 9})
			}
			x.same(list(batch.Validating), []string{"b2", "b1"})
			x.cancel("b2")
			x.same(list(batch.Validating), []string{"b1"})
			x.same(list(batch.Validating, batch.Cancelling), []string{"b2", "b1"})
			x.close("b2")
			x.same(list(batch.Validating, batch.Cancelling), []string{"b1"})
			x.same(list(batch.Cancelled), []string{"b2"})
		}},
		// Batches change their state while a client pages through a list of one state.
		{"pages join up, also from a cursor that the filter no longer keeps", func(x *fixture) {
			for i := range 6 {
				x.create(fmt.Sprintf("b%d", i))
			}
			x.cancel("b4")
			q := store.BatchQuery{Statuses: []batch.Status{batch.Validating}, Limit: 2}
			x.same(x.listed(q), []string{"b5", "b3", "more"})
			q.After = "b3"
			x.cancel("b3")
			x.same(x.listed(q), []string{"b2", "b1", "more"})
			q.After = "b1"
			x.same(x.listed(q), []string{"b0"})
			q.After = "b4"
			q.Statuses = []batch.Status{batch.Validating, batch.Cancelling}
			x.same(x.listed(q), []string{"b3", "b2", "more"})
			q.After = "b0"
			x.same(x.listed(q), []string(nil))
		}},
		{"refuses a foreign cursor like an unknown one, and never shows a foreign batch", func(x *fixture) {
			x.oneOfEach()
			for _, q := range []store.BatchQuery{
				{},
				{Statuses: []batch.Status{batch.Failed}},
				{Statuses: batch.Statuses()},
				{Statuses: []batch.Status{"done"}},
				{CreatedAfter: start.Add(-time.Hour)},
				{CreatedBefore: start.Add(time.Hour)},
				{Statuses: batch.Statuses(), CreatedAfter: start.Add(-time.Hour), CreatedBefore: start.Add(time.Hour)},
			} {
				q.Limit = 9
				p, err := x.store.ListBatches(x.ctx, stranger, q)
				x.ok(err)
				x.same(p, store.Page[batch.Batch]{})
				for _, after := range []string{"failed", "nothing"} {
					q.After = after
					p, err := x.store.ListBatches(x.ctx, stranger, q)
					x.fails(err, store.ErrBadCursor)
					x.same(p, store.Page[batch.Batch]{})
				}
			}
		}},
	}},
	{"list filters by time", []test{
		{"keeps batches from the first time on and before the second", func(x *fixture) {
			at := []time.Time{start, start.Add(time.Second), start.Add(2 * time.Second)}
			for i, now := range at {
				x.failAt(fmt.Sprintf("b%d", i), now)
			}
			for _, c := range []struct {
				after, before time.Time
				want          []string
			}{
				{time.Time{}, time.Time{}, []string{"b2", "b1", "b0"}},
				{at[1], time.Time{}, []string{"b2", "b1"}},
				{at[1].Add(1), time.Time{}, []string{"b2"}},
				{time.Time{}, at[1], []string{"b0"}},
				{time.Time{}, at[1].Add(1), []string{"b1", "b0"}},
				{at[1], at[2], []string{"b1"}},
				{at[0], at[2].Add(1), []string{"b2", "b1", "b0"}},
				{at[1], at[1], nil},
				{at[2], at[0], nil},
				{at[2].Add(1), time.Time{}, nil},
				{time.Time{}, at[0], nil},
			} {
				x.same(x.listed(store.BatchQuery{CreatedAfter: c.after, CreatedBefore: c.before, Limit: 9}), c.want)
			}
		}},
		{"takes times that no clock has shown", func(x *fixture) {
			x.failAt("b1", x.now)
			x.failAt("b0", x.now.Add(-time.Hour)) // so that looking around the ends has somewhere to overflow
			far, long := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)
			x.same(x.listed(store.BatchQuery{CreatedAfter: long, CreatedBefore: far, Limit: 9}), []string{"b0", "b1"})
			x.same(x.listed(store.BatchQuery{CreatedAfter: far, Limit: 9}), []string(nil))
			x.same(x.listed(store.BatchQuery{CreatedBefore: long, Limit: 9}), []string(nil))
		}},
		// Lists are in order of creation, which a clock that is set back makes another order than that of times.
		{"is exact whatever the clock did, with every filter, from every cursor", func(x *fixture) {
			random := rand.New(rand.NewPCG(1, 2))
			for name, step := range map[string]func(i int) time.Duration{
				"runs":             func(int) time.Duration { return time.Second },
				"stands still":     func(int) time.Duration { return 0 },
				"trembles":         func(int) time.Duration { return time.Duration(random.IntN(7)-3) * time.Second },
				"is set back once": func(i int) time.Duration { return time.Second - map[int]time.Duration{20: 15 * time.Second}[i] },
				"was ahead once": func(i int) time.Duration {
					return map[int]time.Duration{10: time.Hour, 11: -time.Hour}[i] + time.Second
				},
				"runs backwards": func(int) time.Duration { return -time.Second },
			} {
				x := x.fresh()
				checkFilters(x, random, name, step)
			}
		}},
	}},
}

// failAt stores a failed batch that was created at the given time.
func (x *fixture) failAt(id string, at time.Time) {
	x.Helper()
	b := x.newBatch(id)
	b.CreatedAt = at
	_, err := x.store.CreateFailedBatch(x.ctx, b, nil)
	x.ok(err)
}

// checkFilters fills a store under a clock that goes by steps, and compares random queries with what a filter in
// plain code keeps.
func checkFilters(x *fixture, random *rand.Rand, name string, step func(i int) time.Duration) {
	const batches, queries = 40, 150
	var all []batch.Batch // newest first
	x.createFiles("input")
	for i := range batches {
		x.now = x.now.Add(step(i))
		b := x.newBatch(fmt.Sprintf("b%d", i))
		b.InputFileID = "input"
		if random.IntN(4) == 0 {
			b.Tenant = stranger
			_, err := x.store.CreateFailedBatch(x.ctx, b, nil)
			x.ok(err)
			continue
		}
		switch random.IntN(3) {
		case 0:
			x.fail(b.ID)
		case 1:
			x.ok(x.store.CreateBatch(x.ctx, b))
		case 2:
			x.ok(x.store.CreateBatch(x.ctx, b))
			x.cancel(b.ID)
		}
		all = slices.Insert(all, 0, x.read(b.ID))
	}
	for range queries {
		q := randomQuery(random, all)
		want, kept := []string(nil), 0
		for _, b := range all {
			if keeps(q, all, b) {
				if kept++; kept <= q.Limit {
					want = append(want, b.ID)
				}
			}
		}
		if kept > q.Limit {
			want = append(want, "more")
		}
		if got := x.listed(q); !slices.Equal(got, want) {
			x.Fatalf("where the clock %s, %+v lists %v, want %v", name, q, got, want)
		}
	}
}

// randomQuery returns a query with each filter as likely as not, whose times lie at or beside those of batches.
func randomQuery(random *rand.Rand, all []batch.Batch) store.BatchQuery {
	q := store.BatchQuery{Limit: 1 + random.IntN(12)}
	moment := func() time.Time {
		return all[random.IntN(len(all))].CreatedAt.Add(time.Duration(random.IntN(3)-1) * time.Nanosecond)
	}
	if random.IntN(2) == 0 {
		q.CreatedAfter = moment()
	}
	if random.IntN(2) == 0 {
		q.CreatedBefore = moment()
	}
	for range random.IntN(4) {
		q.Statuses = append(q.Statuses, batch.Statuses()[random.IntN(len(batch.Statuses()))])
	}
	if random.IntN(2) == 0 {
		q.After = all[random.IntN(len(all))].ID
	}
	return q
}

// keeps says whether b is on some page from the query's cursor on.
func keeps(q store.BatchQuery, all []batch.Batch, b batch.Batch) bool {
	cursor := slices.IndexFunc(all, func(c batch.Batch) bool { return c.ID == q.After })
	return (cursor < 0 || b.Seq < all[cursor].Seq) &&
		(len(q.Statuses) == 0 || slices.Contains(q.Statuses, b.Status)) &&
		(q.CreatedAfter.IsZero() || !b.CreatedAt.Before(q.CreatedAfter)) &&
		(q.CreatedBefore.IsZero() || b.CreatedAt.Before(q.CreatedBefore))
}
