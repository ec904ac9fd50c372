package repair

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/check"
	"batchd/internal/dialect"
	"batchd/internal/plan"
	"batchd/internal/store"
)

// batch mends one batch that has not ended: it gives units back to what has their results, and sets the rest aside.
func (r *repairer) batch(ctx context.Context, b batch.Batch) error {
	w := &work{repairer: r, b: b, segments: map[int][]string{}}
	w.journals = r.journals[b.ID]
	if err := w.listSegments(ctx); err != nil {
		return err
	}
	if len(w.journals) == 0 && len(w.segments) == 0 {
		return nil // nothing was paid for that its rows do not know
	}
	if r.AcceptOlder {
		w.why = newer
	} else if b.Units == 0 {
		if err := w.start(ctx); err != nil {
			return err
		}
	}
	if err := w.units(ctx); err != nil {
		return err
	}
	return w.rest(ctx)
}

// newer is why something is set aside if an older database is wanted.
const newer = "it is newer than the database, which is to be accepted"

// work is what there is of one batch.
type work struct {
	*repairer
	b        batch.Batch
	journals []journalFile
	// segments are the keys of its segments that no row refers to, by unit.
	segments map[int][]string
	// why is why nothing of the batch can be adopted, "" if it can.
	why string
}

// listSegments finds the segments of the batch that no row refers to.
func (w *work) listSegments(ctx context.Context) error {
	// The keys of all segments of a batch begin alike.
	prefix := blob.BatchKey("segments", w.b.ID, "")
	var keys []string
	err := w.Objects.Keys(ctx, prefix, func(key string) error {
		if check.ParseKey(key).Batch == w.b.ID { // another id may begin with this one
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for page := range slices.Chunk(keys, keysAtOnce) {
		free, err := w.Store.Unreferenced(ctx, page)
		if err != nil {
			return err
		}
		for _, key := range free {
			unit := check.ParseKey(key).Unit
			w.segments[unit] = append(w.segments[unit], key)
		}
	}
	return nil
}

// start makes the units of a batch that is back before them. The plan follows from the input file alone, so that units come
// out as they were.
func (w *work) start(ctx context.Context) error {
	if w.b.Stop != batch.StopNone {
		w.why = "its batch is stopped and was never started, as the database has it"
		return nil
	}
	lease, err := w.lease(ctx)
	if err != nil {
		return err
	}
	units, err := w.plan(ctx, lease)
	if err != nil {
		w.why = "its batch cannot be started again: " + err.Error()
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return w.Store.ReleaseBatch(ctx, w.b.ID, lease)
	}
	if w.b, err = w.Store.BatchByID(ctx, w.b.ID); err != nil {
		return err
	}
	return w.Report(Action{
		Step: Start, Kind: check.Database, BatchID: w.b.ID,
		Reason: fmt.Sprintf("the database has it back before validation, and there are results of it; its input gives %d units again", units),
	})
}

// lease leases the batch for validation, passing over others that are due.
func (w *work) lease(ctx context.Context) (_ batch.LeaseID, err error) {
	passed := map[string]batch.LeaseID{}
	defer func() {
		for id, lease := range passed {
			err = errors.Join(err, w.Store.ReleaseBatch(ctx, id, lease))
		}
	}()
	for {
		h := store.Holder{Node: w.holder, Lease: batch.NewLeaseID()}
		b, err := w.Store.LeaseBatch(ctx, store.StageValidate, h)
		if err != nil {
			return h.Lease, err
		}
		if b.ID == w.b.ID {
			return h.Lease, nil
		}
		passed[b.ID] = h.Lease
	}
}

// maxLine is longer than any server allows an input line to be: this one was good once.
const maxLine = 1 << 30

// plan plans the batch under the lease, starts it, and returns how many units it has.
func (w *work) plan(ctx context.Context, lease batch.LeaseID) (int, error) {
	d, err := w.Dialect(w.b.Dialect)
	if err != nil {
		return 0, err
	}
	file, err := w.Store.InputFile(ctx, w.b.ID)
	if err != nil {
		return 0, err
	}
	content, err := blob.Content(ctx, w.Blobs, file)
	if err != nil {
		return 0, err
	}
	result, err := plan.Validate(ctx, plan.Input{
		Blobs: w.Blobs, Dialect: d, Content: content, Rules: dialect.LineRules{Endpoint: w.b.Endpoint}, MixedModels: true,
		Limits: batch.Limits{MaxLineBytes: maxLine}, PlanKey: blob.BatchKey("plans", w.b.ID, lease.String()), Temp: w.Temp,
	})
	if err != nil {
		return 0, err
	}
	if result.ErrorsTotal > 0 {
		return 0, fmt.Errorf("line %d of its input: %s", result.Errors[0].Line, result.Errors[0].Message)
	}
	var bytes int64
	for _, u := range result.Units {
		bytes += u.Bytes
	}
	err = w.Store.StartBatch(ctx, store.Start{
		Batch: w.b.ID, Lease: lease, Now: w.Now(), Units: result.Units, Total: result.Total, Tokens: bytes / plan.BytesPerToken,
		Plan: result.Plan, Models: result.Models, InLineOrder: result.InLineOrder,
	})
	return len(result.Units), err
}

// unitsAtOnce bounds how many units are read at a time.
const unitsAtOnce = 200

// units mends each unit that is not sealed. What it has dealt with is taken off the work.
func (w *work) units(ctx context.Context) error {
	for first := 0; ; {
		page, err := w.Store.UnitRows(ctx, w.b.ID, first, unitsAtOnce)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, u := range page {
			first = u.Ordinal + 1
			if err := w.unit(ctx, u); err != nil {
				return fmt.Errorf("unit %d: %w", u.Ordinal, err)
			}
		}
	}
}

// take takes the journals of a unit off the work.
func (w *work) take(unit int) []journalFile {
	var mine []journalFile
	w.journals = slices.DeleteFunc(w.journals, func(j journalFile) bool {
		if j.header.Unit.Ordinal != unit {
			return false
		}
		mine = append(mine, j)
		return true
	})
	return mine
}

// unit mends one unit.
func (w *work) unit(ctx context.Context, u store.UnitRow) error {
	journals, segments := w.take(u.Ordinal), w.segments[u.Ordinal]
	delete(w.segments, u.Ordinal)
	if u.Seal != nil {
		return nil // other segments are of a try before, and journals leftovers
	}
	for i, j := range journals {
		at, err := check.StandingOf(ctx, w.Store, w.Disk, j.name, j.header)
		if err != nil {
			return err
		}
		if at.Fits() {
			// The next start adopts it, and seals it again where it is complete.
			return w.setAllAside(ctx, slices.Delete(journals, i, i+1), nil, "another journal is that of the unit, as the database has it")
		}
	}
	if len(journals) == 0 && len(segments) == 0 {
		return nil
	}
	if w.AcceptOlder {
		return w.setAllAside(ctx, journals, segments, newer)
	}
	entries, err := plan.ReadEntries(ctx, w.Blobs, w.b.Plan, u.First, u.Count)
	if err != nil {
		return err
	}
	sealed, err := w.seal(ctx, u, segments, entries)
	if err != nil || sealed {
		return err // journals are leftovers of a sealed unit now, which has all that they have
	}
	left, err := w.adopt(ctx, u, journals, entries)
	if err != nil {
		return err
	}
	return w.setAllAside(ctx, left, segments, "it does not fit its unit, or another has more of its results")
}

// seal seals the unit with the first of the segments that is whole and has just its lines, and reports whether it did.
func (w *work) seal(ctx context.Context, u store.UnitRow, keys []string, entries []plan.Entry) (bool, error) {
	for _, key := range keys {
		s, err := w.readSegment(ctx, key)
		if cause := context.Cause(ctx); cause != nil {
			return false, cause
		}
		if err != nil || !check.SameLines(s.index, entries) {
			continue
		}
		h := store.Holder{Node: w.holder, Lease: batch.NewLeaseID()}
		unit := u.Unit
		unit.Lease = h.Lease
		seal, err := w.sealOf(ctx, unit, s)
		if err != nil {
			return false, err
		}
		if err := w.Store.MoveLease(ctx, u.UnitID, u.Lease, h); err != nil {
			return false, err
		}
		if _, err := w.Store.SealUnits(ctx, []batch.Seal{seal}, w.Now()); err != nil {
			return false, err
		}
		return true, w.Report(Action{
			Step: Seal, Kind: check.Segment, File: w.Objects.File(key), BatchID: w.b.ID, Unit: &u.Ordinal, Results: len(s.index),
			Reason: "it has all results of its unit, which the database has as not sealed",
		})
	}
	return false, nil
}

// adopt gives the unit back to the journal with the most of its results, and returns the others. A journal that has none,
// or results of other lines, is not the unit's.
func (w *work) adopt(ctx context.Context, u store.UnitRow, journals []journalFile, entries []plan.Entry) ([]journalFile, error) {
	lines := make(map[uint32]bool, len(entries))
	for _, e := range entries {
		lines[e.Line] = true
	}
	best, most := -1, 0
	for i, j := range journals {
		foreign := false
		results, err := w.linesOf(ctx, j, func(line uint32) { foreign = foreign || !lines[line] })
		if err != nil {
			return nil, err
		}
		if !foreign && results > most {
			best, most = i, results
		}
	}
	if best < 0 {
		return journals, nil
	}
	j := journals[best]
	if err := w.Store.MoveLease(ctx, u.UnitID, u.Lease, store.Holder{Node: w.holder, Lease: j.header.Lease}); err != nil {
		return nil, err
	}
	err := w.Report(Action{
		Step: Adopt, Kind: check.Journal, File: j.name, BatchID: w.b.ID, Unit: &u.Ordinal, Results: most,
		Reason: "its results are those of its unit, which the database has under another lease or none",
	})
	return slices.Delete(journals, best, best+1), err
}

// rest sets aside what is of no unit of the batch.
func (w *work) rest(ctx context.Context) error {
	reason := w.why
	if reason == "" {
		reason = "the database has no row of its unit"
	}
	var keys []string
	for _, segments := range w.segments {
		keys = append(keys, segments...)
	}
	slices.Sort(keys)
	return w.setAllAside(ctx, w.journals, keys, reason)
}

// setAllAside sets journals and segments aside for one reason.
func (w *work) setAllAside(ctx context.Context, journals []journalFile, segments []string, reason string) error {
	for _, j := range journals {
		if err := w.setJournalAside(ctx, j, reason); err != nil {
			return err
		}
	}
	for _, key := range segments {
		o, file := check.ParseKey(key), w.Objects.File(key)
		a := Action{Kind: check.Segment, File: file, BatchID: o.Batch, Unit: &o.Unit, Reason: reason}
		s, err := w.readSegment(ctx, key)
		if a.Results = len(s.index); err != nil {
			a.Reason += "; " + err.Error()
		}
		if err := w.setAside(a, asideName(path.Base(file), key)); err != nil {
			return err
		}
	}
	return nil
}
