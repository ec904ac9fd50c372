package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// ListBatches implements store.Batches. Its cost follows from the page, not from how many batches there are: each of
// its statements walks an index from the page's edge on.
func (s *Store) ListBatches(ctx context.Context, tenant string, q store.BatchQuery) (store.Page[batch.Batch], error) {
	batches, err := s.listBatches(ctx, tenant, q)
	if err != nil {
		return store.Page[batch.Batch]{}, fmt.Errorf("list batches: %w", err)
	}
	return page(batches, q.Limit), nil
}

// allBatchesQuery walks the primary key.
const allBatchesQuery = `SELECT ` + batchColumns + ` FROM batches b WHERE b.seq < ? ORDER BY b.seq DESC LIMIT ?`

// ListAllBatches implements store.Store.
func (s *Store) ListAllBatches(ctx context.Context, after string, limit int) (store.Page[batch.Batch], error) {
	upper := int64(math.MaxInt64)
	if after != "" {
		found, err := one(ctx, s.readers, []any{&upper}, `SELECT seq FROM batches WHERE id = ?`, after)
		if err == nil && !found {
			err = fmt.Errorf("%w: %q", store.ErrBadCursor, after)
		}
		if err != nil {
			return store.Page[batch.Batch]{}, fmt.Errorf("list batches of all tenants: %w", err)
		}
	}
	batches, err := all(ctx, s.readers, into(batchDest), allBatchesQuery, upper, limit+1)
	if err != nil {
		return store.Page[batch.Batch]{}, fmt.Errorf("list batches of all tenants: %w", err)
	}
	return page(batches, limit), nil
}

// listBatches returns the batches of a page, and one more if there is one.
func (s *Store) listBatches(ctx context.Context, tenant string, q store.BatchQuery) ([]batch.Batch, error) {
	upper, err := s.cursor(ctx, `SELECT seq FROM batches WHERE id = ? AND tenant = ?`, tenant, q.After, false)
	if err != nil {
		return nil, err
	}
	created := newTimeSpan(q.CreatedAfter, q.CreatedBefore)
	// Those that a batch can have, each once and in one order, so that there are few query texts.
	statuses := slices.DeleteFunc(batch.Statuses(), func(s batch.Status) bool { return !slices.Contains(q.Statuses, s) })
	if len(statuses) == 0 && len(q.Statuses) > 0 || created.from >= created.to {
		return nil, nil // nothing can match
	}
	// A span of time is first turned into a span of sequence numbers, since that is the order of the list and its
	// indexes. Both ends are read in one statement, because a clock that is set back between two would make them wrong.
	lower := int64(0)
	if created.bounded {
		var end int64
		if _, err := one(ctx, s.readers, []any{&lower, &end}, seqsCreatedQuery, tenant, created.from, created.to); err != nil {
			return nil, err
		}
		upper = min(upper, end)
	}
	args := []any{tenant, upper, lower, q.Limit + 1}
	if created.bounded {
		args = append(args, created.from, created.to)
	}
	for _, status := range statuses {
		args = append(args, string(status))
	}
	return all(ctx, s.readers, into(batchDest), batchListQuery(len(statuses), created.bounded), args...)
}

// batchListQuery returns the text for so many statuses, with or without a span of creation times. Several statuses are
// read one by one, a page of each at most, and merged: a single walk would have to pass over all other batches, or
// to sort all of these. The index is named because the planner, which knows no values, might choose that walk.
func batchListQuery(statuses int, created bool) string {
	where, parameters := `b.tenant = ?1 AND b.seq < ?2 AND b.seq > ?3`, 4
	if created {
		where, parameters = where+` AND b.created_at >= ?5 AND b.created_at < ?6`, 6
	}
	const newest = ` ORDER BY b.seq DESC LIMIT ?4`
	withStatus := func(columns string, i int) string {
		return fmt.Sprintf(`SELECT %s FROM batches b INDEXED BY batches_by_status WHERE %s AND b.status = ?%d%s`,
			columns, where, parameters+1+i, newest)
	}
	switch statuses {
	case 0:
		return `SELECT ` + batchColumns + ` FROM batches b INDEXED BY batches_by_tenant WHERE ` + where + newest
	case 1:
		return withStatus(batchColumns, 0)
	}
	pages := make([]string, statuses)
	for i := range pages {
		pages[i] = `SELECT seq FROM (` + withStatus(`b.seq`, i) + `)`
	}
	return `SELECT ` + batchColumns + ` FROM batches b WHERE b.seq IN (` + strings.Join(pages, ` UNION ALL `) + `)` + newest
}

// timeSpan is a range of time columns, from inclusive, to exclusive.
type timeSpan struct {
	from, to int64
	// bounded is false when every time is in it.
	bounded bool
}

// newTimeSpan returns the span from after to before, of which the zero time leaves that end open.
func newTimeSpan(after, before time.Time) timeSpan {
	span := timeSpan{from: math.MinInt64, to: math.MaxInt64, bounded: !after.IsZero() || !before.IsZero()}
	if !after.IsZero() {
		span.from = boundNanos(after)
	}
	if !before.IsZero() {
		span.to = boundNanos(before)
	}
	return span
}

// boundNanos is t in nanoseconds, or the nearest that a time column can hold: what users ask for may lie anywhere.
func boundNanos(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	default:
		return t.UnixNano()
	}
}

// seqsCreatedQuery finds between which sequence numbers, both exclusive, all batches of a span of time lie. Lists order
// by sequence, and times of creation nearly follow it: nearly, because calls overtake one another and clocks are set.
// With `back` the most that a batch is older than an earlier one, none that follows one created at or after to+back is
// older than to, and none that precedes one created before from-back is created at or after from. What lies between
// and outside the span is passed over row by row: a second's worth as a rule, but all newer batches (some 0.5 s for a
// million) where the clock was once years ahead.
const seqsCreatedQuery = `
	SELECT
		coalesce((SELECT seq FROM batches INDEXED BY batches_by_age
			WHERE tenant = ?1 AND created_at < ?2 - ` + clockBack + ` ORDER BY created_at DESC, seq DESC LIMIT 1), 0),
		coalesce((SELECT seq FROM batches INDEXED BY batches_by_age
			WHERE tenant = ?1 AND created_at >= ?3 + ` + clockBack + ` ORDER BY created_at, seq LIMIT 1), 9223372036854775807)`

// clockBack is the most that a tenant's clock ever went back, kept by a trigger.
const clockBack = `coalesce((SELECT back FROM batch_clocks WHERE tenant = ?1), 0)`
