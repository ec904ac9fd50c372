package check

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/datadir"
	"batchd/internal/journal"
	"batchd/internal/plan"
	"batchd/internal/store"
)

// batches looks at every batch, newest first.
func (c *checker) batches(ctx context.Context) error {
	for after := ""; ; {
		page, err := c.store.ListAllBatches(ctx, after, rowsAtOnce)
		if err != nil {
			return err
		}
		for _, b := range page.Items {
			c.sum.Batches++
			c.sum.Units += int64(b.Units)
			after = b.ID
			err := c.confirm(ctx, func() ([]Finding, error) { return c.batch(ctx, b.ID) })
			if err != nil {
				return err
			}
		}
		if !page.HasMore {
			return nil
		}
	}
}

// batch looks at one batch: its units, and, until it has ended, its input, its plan and its segments. Those of a batch that
// has ended are what its files rest on, or nothing needs them any more.
func (c *checker) batch(ctx context.Context, id string) ([]Finding, error) {
	b, err := c.store.BatchByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // it was there in this database: the row's own page is damaged, which Verify has told
	}
	if err != nil {
		return nil, err
	}
	l := &batchLook{c: c, b: b, like: Finding{State: LostState, BatchID: b.ID}}
	if !b.Status.Terminal() {
		if err := l.input(ctx); err != nil {
			return nil, err
		}
	}
	if b.Units > 0 {
		if err := l.units(ctx); err != nil {
			return nil, err
		}
	}
	return l.found, nil
}

// batchLook is a look at one batch.
type batchLook struct {
	c     *checker
	b     batch.Batch
	like  Finding
	found []Finding
}

// add notes a finding.
func (l *batchLook) add(f Finding, format string, args ...any) {
	f.Problem = fmt.Sprintf(format, args...)
	l.found = append(l.found, f)
}

// input looks at the input file, which is read here only if it is hidden: files has read the others.
func (l *batchLook) input(ctx context.Context) error {
	f := l.like
	f.Kind, f.FileID, f.Remedy = Upload, l.b.InputFileID, "upload it again and create the batch again"
	file, err := l.c.store.InputFile(ctx, l.b.ID)
	if errors.Is(err, store.ErrNotFound) {
		l.add(f, "the input file has no row")
		return nil
	}
	if err != nil {
		return err
	}
	page, err := l.c.store.AllFiles(ctx, file.Seq-1, 1)
	if err != nil || len(page) > 0 && page[0].ID == file.ID {
		return err
	}
	found, err := l.c.content(ctx, file, f)
	l.found = append(l.found, found...)
	return err
}

// units walks the units of the batch.
func (l *batchLook) units(ctx context.Context) error {
	sums, err := l.walk(ctx)
	if err != nil {
		return err
	}
	// Beside a server units are sealed meanwhile: what was summed up lies between the batch before and after.
	after, err := l.c.store.BatchByID(ctx, l.b.ID)
	if err != nil {
		return err
	}
	before, f := l.b, l.like
	f.Kind, f.Remedy = Database, restoreRemedy
	f.File = datadir.Database
	if sums.units != before.Units || sums.lines != before.Counts.Total {
		l.add(f, "the batch has %d units of %d lines, and there are rows of %d units with %d lines", before.Units, before.Counts.Total, sums.units, sums.lines)
	}
	between := func(what string, n, low, high int64) {
		if n < low || n > high {
			l.add(f, "the row of the batch says %d %s, and the rows of its units %d", high, what, n)
		}
	}
	between("sealed units", int64(sums.sealed), int64(before.SealedUnits), int64(after.SealedUnits))
	between("completed lines", sums.counts.Completed, before.Counts.Completed, after.Counts.Completed)
	between("failed lines", sums.counts.Failed, before.Counts.Failed, after.Counts.Failed)
	return nil
}

// unitSums is what the units of a batch add up to.
type unitSums struct {
	units, sealed int
	lines         int64
	counts        batch.Counts
}

// walk looks at each unit and adds them up. The plan is read once if the batch still needs it.
func (l *batchLook) walk(ctx context.Context) (sums unitSums, err error) {
	needed := !l.b.Status.Terminal()
	if needed {
		if needed, err = l.plan(ctx); err != nil {
			return sums, err
		}
	}
	for {
		page, err := l.c.store.UnitRows(ctx, l.b.ID, sums.units, rowsAtOnce)
		if err != nil || len(page) == 0 {
			return sums, err
		}
		for _, u := range page {
			if u.Ordinal != sums.units || u.First != sums.lines {
				return sums, nil // a unit is missing, and the sums tell
			}
			sums.units++
			sums.lines += int64(u.Count)
			if u.Seal != nil {
				sums.sealed++
				sums.counts = sums.counts.Add(u.Seal.Counts())
			}
			if u.Seal == nil || l.b.Status.Terminal() {
				continue
			}
			if err := l.segment(ctx, u, needed); err != nil {
				return sums, err
			}
		}
	}
}

// plan reads the plan, and reports whether it is whole.
func (l *batchLook) plan(ctx context.Context) (bool, error) {
	f := l.like
	f.State, f.Kind, f.File, f.Bytes = Noted, Plan, l.c.o.Objects.File(l.b.Plan.Key), l.b.Plan.Size
	f.Remedy = "the server makes it anew from the input file"
	problem, err := l.c.verify(ctx, l.b.Plan, 0, l.b.Plan.Size)
	if err != nil {
		return false, err
	}
	if problem == "" && l.b.Plan.Size != l.b.Counts.Total*plan.EntrySize {
		problem = fmt.Sprintf("it has %d bytes, which is not that of %d lines", l.b.Plan.Size, l.b.Counts.Total)
	}
	if problem != "" {
		l.add(f, "%s", problem)
	}
	return problem == "", nil
}

// segment reads the segment of a sealed unit, and compares its lines with the unit's part of a plan that is whole.
func (l *batchLook) segment(ctx context.Context, u store.UnitRow, planned bool) error {
	f, seg := l.like, u.Seal.Segment
	f.Kind, f.File, f.Unit, f.Bytes = Segment, l.c.o.Objects.File(seg.Key), &u.Ordinal, seg.Size
	f.Remedy = "the lines in it must be run again, as by `batchd batches retry` once the batch has ended"
	problem, err := l.c.verify(ctx, seg, 0, seg.Size)
	if err != nil {
		return err
	}
	if problem != "" {
		l.add(f, "%s", problem)
		return nil
	}
	index, err := journal.ReadIndex(blob.ReaderAt(ctx, l.c.blobs, seg), seg.Size)
	if err != nil {
		l.add(f, "%v", err)
		return nil
	}
	if int64(len(index)) != u.Seal.OutputLines+u.Seal.ErrorLines || len(index) != u.Count {
		l.add(f, "it holds %d lines, and the unit has %d", len(index), u.Count)
		return nil
	}
	if !planned {
		return nil
	}
	entries, err := plan.ReadEntries(ctx, l.c.blobs, l.b.Plan, u.First, u.Count)
	if err != nil {
		return err
	}
	if !SameLines(index, entries) {
		l.add(f, "it holds other lines than the plan gives to the unit")
	}
	return nil
}

// SameLines reports whether a segment holds just the lines of these entries of a plan.
func SameLines(index []journal.IndexEntry, entries []plan.Entry) bool {
	if len(index) != len(entries) {
		return false
	}
	lines := make([]uint32, len(index))
	for i, e := range index {
		lines[i] = e.Line
	}
	want := make([]uint32, len(entries))
	for i, e := range entries {
		want[i] = e.Line
	}
	slices.Sort(lines)
	slices.Sort(want)
	return slices.Equal(lines, want)
}
