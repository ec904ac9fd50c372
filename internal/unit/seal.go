package unit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dispatch"
	"batchd/internal/failpoint"
	"batchd/internal/journal"
	"batchd/internal/plan"
	"batchd/internal/store"
)

// Seal makes the unit's segment and commits it. Lines without an outcome get the stop's error, in the words of told where
// it has some and the dialect is not strict; with StopNone there must be none. After it returned nil the unit is closed
// and its journal gone; after an error that wraps store.ErrLeaseLost it is closed, and its journal set aside unless the
// unit is sealed. A *dispatch.Reopened says that the journal does not hold outcomes that it was given, as bytes on the disk
// have changed: those lines can be taken again. With any other error the same call may be made again.
func (u *Unit) Seal(ctx context.Context, stop batch.Stop, told map[uint32]string) (store.SealResult, error) {
	entries, err := u.input.entries(ctx, u.UnitSpan)
	if err != nil {
		return store.SealResult{}, fmt.Errorf("seal unit %s: %w", u.UnitID, err)
	}
	log, _, _ := u.snapshot()
	built, err := u.keeper.build(ctx, u, log, entries, unrun{stop, told})
	if errors.Is(err, journal.ErrMissing) {
		u.reopen(built.Missing, entries)
		return store.SealResult{}, &dispatch.Reopened{Lines: len(built.Missing)}
	}
	if err != nil {
		return store.SealResult{}, fmt.Errorf("seal unit %s: %w", u.UnitID, err)
	}
	defer func() { _ = built.Close() }() // only read from
	seal, err := u.keeper.put(ctx, u.Unit, built)
	if err != nil {
		return store.SealResult{}, fmt.Errorf("seal unit %s: %w", u.UnitID, err)
	}
	result, err := u.keeper.commit(ctx, []batch.Seal{seal})
	if err != nil && !errors.Is(err, store.ErrLeaseLost) {
		return store.SealResult{}, err
	}
	if err != nil {
		return result, errors.Join(err, u.part(ctx))
	}
	u.showRest()
	return result, u.drop()
}

// build lays out the unit's segment from its journal, if it has one.
func (k *Keeper) build(ctx context.Context, u *Unit, log *journal.Journal, entries []plan.Entry, rest unrun) (*journal.Built, error) {
	var fill journal.Filler
	if rest.stop != batch.StopNone {
		byLine := make(map[uint32]plan.Entry, len(entries))
		for _, e := range entries {
			byLine[e.Line] = e
		}
		fill = func(line uint32) (journal.Record, error) { return u.unrun(ctx, byLine[line], rest) }
	}
	prefix := blob.BatchKey("segments", u.Batch, fmt.Sprintf("%d-", u.Ordinal))
	lines := make([]uint32, len(entries)) // in ascending order, as within a segment
	for i, e := range entries {
		lines[i] = e.Line
	}
	slices.Sort(lines)
	if log == nil {
		return journal.BuildUnrun(prefix, lines, fill)
	}
	return log.Build(prefix, lines, fill)
}

// unrun is what lines get that were never finished: the stop's error, and for single lines the words of it.
type unrun struct {
	stop batch.Stop
	told map[uint32]string
}

// unrun makes the record of a line that was never finished. The line is read for its custom_id only; one that
// cannot be read any more is shown without.
func (u *Unit) unrun(ctx context.Context, e plan.Entry, rest unrun) (journal.Record, error) {
	l, err := u.load(ctx, e)
	if err != nil && !Unreadable(err) {
		return journal.Record{}, err
	}
	o := batch.Outcome{Code: rest.stop.Code(), Message: rest.stop.Code().Message()}
	if told := rest.told[e.Line]; told != "" && u.dialect.Extensions() {
		o.Message = told
	}
	before, _ := u.dialect.ResultFrame(dialectResult(u.Batch, e.Line, l.CustomID, &o))
	return journal.Record{Line: e.Line, Kind: batch.KindUnrun, Text: batch.MemoryBody(before)}, nil
}

// put stores a built segment and returns the seal that refers to it.
func (k *Keeper) put(ctx context.Context, u batch.Unit, built *journal.Built) (batch.Seal, error) {
	ref, err := k.o.Blobs.Put(ctx, built.Key, built.Reader())
	if err != nil {
		return batch.Seal{}, fmt.Errorf("store segment: %w", err)
	}
	failpoint.Hit(failpoint.SegmentStored)
	return batch.Seal{
		UnitID: u.UnitID, Lease: u.Lease, Segment: ref,
		OutputBytes: built.OutputBytes, OutputLines: built.OutputLines,
		ErrorBytes: built.ErrorBytes, ErrorLines: built.ErrorLines,
		Failed: built.Failed, Usage: built.Usage,
	}, nil
}

// showRest shows the counts that no sync has shown, once a seal has made them durable. It waits for a sync that is
// under way, which would otherwise show the same counts again.
func (u *Unit) showRest() {
	u.durable.Lock()
	defer u.durable.Unlock()
	_, appended, _ := u.snapshot()
	u.show(appended)
}

// reopen makes lines that the journal turned out not to hold pending again.
func (u *Unit) reopen(lines []uint32, entries []plan.Entry) {
	missing := make(map[uint32]bool, len(lines))
	for _, n := range lines {
		missing[n] = true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.order = u.order[u.next:]
	u.next = 0
	for _, e := range entries {
		if missing[e.Line] {
			u.pending[e.Line] = e
			u.order = append(u.order, e.Line)
		}
	}
}

// commit records seals in the store.
func (k *Keeper) commit(ctx context.Context, seals []batch.Seal) (store.SealResult, error) {
	result, err := k.o.Store.SealUnits(ctx, seals, k.o.Now())
	if err != nil {
		return result, fmt.Errorf("commit seal of unit %s: %w", seals[0].UnitID, err)
	}
	failpoint.Hit(failpoint.UnitSealed)
	if result.Ready {
		failpoint.Hit(failpoint.LastUnitSealed)
	}
	return result, nil
}

// Settle seals units of a stopped batch that were never opened, all in one transaction: each of their lines gets the
// stop's error.
func (k *Keeper) Settle(ctx context.Context, in *Input, units []batch.Unit, stop batch.Stop) (store.SealResult, error) {
	seals := make([]batch.Seal, 0, len(units))
	for _, unit := range units {
		seal, err := k.settled(ctx, in, unit, stop)
		if err != nil {
			return store.SealResult{}, fmt.Errorf("settle unit %s: %w", unit.UnitID, err)
		}
		seals = append(seals, seal)
	}
	return k.commit(ctx, seals)
}

// settled builds and stores the segment of one unit of Settle. Nothing of it is on disk before the commit but the segment.
func (k *Keeper) settled(ctx context.Context, in *Input, unit batch.Unit, stop batch.Stop) (batch.Seal, error) {
	u, err := k.Open(ctx, in, unit)
	if err != nil {
		return batch.Seal{}, err
	}
	defer k.forget(unit.UnitID)
	entries, err := in.entries(ctx, unit.UnitSpan)
	if err != nil {
		return batch.Seal{}, err
	}
	built, err := k.build(ctx, u, nil, entries, unrun{stop: stop})
	if err != nil {
		return batch.Seal{}, err
	}
	defer func() { _ = built.Close() }() // only read from
	return k.put(ctx, unit, built)
}
