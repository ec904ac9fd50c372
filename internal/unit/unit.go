// Package unit runs a leased unit from open to seal: it reads the unit's lines, formats each outcome once as its
// final result line, appends it to the unit's journal, and seals the journal into a segment. After a restart it
// adopts the journals that it finds. It promises that a recorded outcome is never lost by kill -9, and that sealing
// twice makes the same bytes. It does not know when a line is sent, how often, or where to.
package unit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/dispatch"
	"batchd/internal/failpoint"
	"batchd/internal/journal"
	"batchd/internal/plan"
	"batchd/internal/store"
)

// Unit is an open unit. Lines are taken in plan order, once; each taken line is recorded once. All methods may be
// called concurrently.
type Unit struct {
	batch.Unit
	keeper  *Keeper
	input   *Input
	dialect dialect.Dialect

	// durable is held while the journal is made, synced, closed or removed, so that none of these meets another. Take and Load
	// never hold it, and Record only to make the journal at the unit's first outcome: a slow disk must not stop the scheduler.
	durable sync.Mutex
	// rescues is how many moves of the journal to a fresh file were told; durable guards it.
	rescues int

	// mu guards the following fields. It is never held while the disk is waited for. It comes after durable and before the
	// mutexes of Keeper and Progress.
	mu sync.Mutex
	// pending holds the entries that have no outcome yet; those before next have been taken.
	pending map[uint32]plan.Entry
	order   []uint32
	next    int
	// controls are those of them that are kept back.
	controls []uint32
	log      *journal.Journal
	// unsynced is what the journal holds but no fsync has covered.
	unsynced batch.Counts
	closed   bool
}

var _ dispatch.Unit = (*Unit)(nil)

// ID returns the unit's name.
func (u *Unit) ID() batch.UnitID { return u.UnitID }

// Model returns the literal model string that the unit's lines name.
func (u *Unit) Model() string { return u.input.Batch.Models[u.UnitSpan.Model] }

// Controls takes the lines that are kept back for the end of the batch. It is called once, before Take.
func (u *Unit) Controls() []dispatch.Line {
	u.mu.Lock()
	defer u.mu.Unlock()
	var kept []dispatch.Line
	for _, line := range u.controls {
		e := u.pending[line]
		kept = append(kept, dispatch.Line{Number: e.Line, Length: e.Length})
	}
	u.controls = nil
	return kept
}

// Take returns the next line that has not been taken; false when all were.
func (u *Unit) Take() (dispatch.Line, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.next >= len(u.order) {
		return dispatch.Line{}, false
	}
	e := u.pending[u.order[u.next]]
	u.next++
	if u.next == len(u.order) {
		u.order, u.next = nil, 0 // a draining unit keeps only its missing entries
	}
	return dispatch.Line{Number: e.Line, Length: e.Length}, true
}

// TakeLast returns the last line that has not been taken; false when all were.
func (u *Unit) TakeLast() (dispatch.Line, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	last := len(u.order) - 1
	if last < u.next {
		return dispatch.Line{}, false
	}
	e := u.pending[u.order[last]]
	if u.order = u.order[:last]; u.next == last {
		u.order, u.next = nil, 0
	}
	return dispatch.Line{Number: e.Line, Length: e.Length}, true
}

// Left returns how many lines have no outcome.
func (u *Unit) Left() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.pending)
}

// Untaken reports whether a line is left to take.
func (u *Unit) Untaken() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.next < len(u.order)
}

// Load reads a taken line. A damaged input is an error that wraps dispatch.ErrUnreadable: sending is then impossible for
// good.
func (u *Unit) Load(ctx context.Context, l dispatch.Line) (dispatch.Loaded, error) {
	u.mu.Lock()
	e, ok := u.pending[l.Number]
	u.mu.Unlock()
	if !ok {
		return dispatch.Loaded{}, fmt.Errorf("load line %d of unit %s: it has an outcome already", l.Number, u.UnitID)
	}
	if err := u.keeper.wait(ctx); err != nil {
		return dispatch.Loaded{}, err
	}
	loaded, err := u.load(ctx, e)
	if err != nil && Unreadable(err) {
		err = fmt.Errorf("%w: %w", dispatch.ErrUnreadable, err)
	}
	return loaded, err
}

// load reads and parses the line of a plan entry.
func (u *Unit) load(ctx context.Context, e plan.Entry) (dispatch.Loaded, error) {
	raw, err := u.input.line(ctx, e)
	if err != nil {
		return dispatch.Loaded{}, err
	}
	parsed, err := u.dialect.ParseLine(raw, dialect.LineRules{Endpoint: u.input.Batch.Endpoint})
	if err != nil {
		// Validation has read this very line without a fault, under the same checksums.
		return dispatch.Loaded{}, fmt.Errorf("parse line %d: %w: %w", e.Line, blob.ErrCorrupt, err)
	}
	return dispatch.Loaded{CustomID: parsed.CustomID, Body: raw[parsed.BodyStart : parsed.BodyStart+parsed.BodyLength]}, nil
}

// Record formats the outcome of a line and appends it to the journal: from then on the line is never sent again.
// The outcome's body is closed if, and only if, Record returns nil. It returns how many lines have no outcome yet.
// An error leaves the line without an outcome; the same call may be made again.
func (u *Unit) Record(number uint32, customID []byte, o *batch.Outcome) (left int, err error) {
	before, after := u.dialect.ResultFrame(dialectResult(u.Batch, number, customID, o))
	body := o.Body
	if body == nil || o.Code != "" {
		body = batch.MemoryBody(nil)
	}
	r := journal.Record{Line: number, Kind: o.Kind(), Usage: o.Usage, Text: joined(before, body, after)}

	log, err := u.journal()
	if err == nil {
		err = log.Append(r)
	}
	if err != nil {
		u.keeper.trouble.met(u.keeper.o.Now(), err)
		return 0, fmt.Errorf("append to journal of unit %s: %w", u.UnitID, err)
	}
	failpoint.Hit(failpoint.OutcomeAppended)
	if o.Body != nil {
		_ = o.Body.Close() // the bytes are in the journal; a temporary file left behind is swept at start
	}

	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.pending, number)
	u.unsynced = u.unsynced.Add(countOf(r.Kind))
	return len(u.pending), nil
}

// journal returns the unit's journal, making it first if this is the unit's first outcome.
func (u *Unit) journal() (*journal.Journal, error) {
	if log, _, _ := u.snapshot(); log != nil {
		return log, nil
	}
	u.durable.Lock()
	defer u.durable.Unlock()
	if log, _, _ := u.snapshot(); log != nil {
		return log, nil
	}
	name := u.keeper.path(u.UnitID, u.Lease)
	log, err := journal.Create(u.keeper.o.Disk, name, journal.Header{Unit: u.UnitID, Lease: u.Lease})
	if errors.Is(err, fs.ErrExist) {
		// Left by a try that failed half-way: the lease is ours alone, and nothing was recorded under it yet.
		if err := u.keeper.o.Disk.Remove(name); err != nil {
			return nil, fmt.Errorf("remove half-made journal of unit %s: %w", u.UnitID, err)
		}
		log, err = journal.Create(u.keeper.o.Disk, name, journal.Header{Unit: u.UnitID, Lease: u.Lease})
	}
	if err != nil {
		return nil, fmt.Errorf("create journal of unit %s: %w", u.UnitID, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.log = log
	return log, nil
}

// sync makes the journal durable and then shows its counts. A unit with nothing left to take gives its descriptor
// back, so that many slow units cost no files.
func (u *Unit) sync() error {
	u.durable.Lock()
	defer u.durable.Unlock()
	log, appended, draining := u.snapshot()
	if log == nil || !log.Dirty() {
		return nil
	}
	err := log.Sync()
	u.rescues = u.keeper.tellRescues(log, u.rescues)
	if err != nil {
		return fmt.Errorf("sync journal of unit %s: %w", u.UnitID, err)
	}
	failpoint.Hit(failpoint.JournalsSynced)
	u.show(appended)
	if !draining {
		return nil
	}
	if err := log.Release(); err != nil {
		return fmt.Errorf("release journal of unit %s: %w", u.UnitID, err)
	}
	return nil
}

// snapshot returns the journal of an open unit, what had been appended to it but not shown, and whether the unit
// has nothing left to take. The journal is nil for a unit without one, or a closed one.
func (u *Unit) snapshot() (log *journal.Journal, appended batch.Counts, draining bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, batch.Counts{}, true
	}
	return u.log, u.unsynced, u.next >= len(u.order)
}

// show moves counts that are durable by now into the shown ones.
func (u *Unit) show(c batch.Counts) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.unsynced.Completed -= c.Completed
	u.unsynced.Failed -= c.Failed
	u.keeper.o.Progress.Add(u.Batch, c)
}

// drop closes a unit that is sealed and removes its journal: by its lease ids it is garbage.
func (u *Unit) drop() error {
	u.durable.Lock()
	defer u.durable.Unlock()
	log := u.close()
	if log == nil {
		return nil
	}
	if err := errors.Join(log.Close(), log.Remove()); err != nil {
		return fmt.Errorf("remove journal of unit %s: %w", u.UnitID, err)
	}
	return nil
}

// part closes a unit whose lease is lost. Only if it is sealed, so that its results are all there, does its journal go;
// else it may be all that is left of results that were paid for, and it is set aside.
func (u *Unit) part(ctx context.Context) error {
	// With no lease to replace, this only asks how the unit stands. Without an answer it is not known to be sealed.
	_, err := u.keeper.o.Store.AdoptUnit(ctx, u.UnitID, nil, store.Holder{})
	if errors.Is(err, store.ErrSealed) {
		return u.drop()
	}
	u.durable.Lock()
	defer u.durable.Unlock()
	log := u.close()
	if log == nil {
		return nil
	}
	kept, results, err := u.keeper.setLost(log.Path(), log)
	if err != nil {
		return err // it stays where it is, for the next start to look at
	}
	u.keeper.o.Logger.Error("unit is held under another lease; its journal is kept, and its lines may be run again",
		"journal", log.Path(), "kept_as", kept, "batch", u.Batch, "unit", u.Ordinal, "results", results)
	return nil
}

// close takes the unit off its keeper and returns its journal, nil if it has none. durable is held.
func (u *Unit) close() *journal.Journal {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	u.keeper.forget(u.UnitID)
	return u.log
}

// countOf returns what one outcome of a kind adds to the shown counts.
func countOf(k batch.Kind) batch.Counts {
	switch k {
	case batch.KindOutput:
		return batch.Counts{Completed: 1}
	case batch.KindFailed:
		return batch.Counts{Failed: 1}
	default:
		return batch.Counts{}
	}
}
