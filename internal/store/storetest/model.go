package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// modelSteps bounds the length of a random history, so that a run takes a few seconds.
const modelSteps = 40

// batchProperty drives random histories of a few batches against the store and against a model of a few dozen lines, and
// compares what is seen after each step. Leasing and sealing are drawn twice
// as often as other steps, or few batches would come to their end.
var batchProperty = property{"life cycle agrees with a model", func(t *testing.T, open Opener) {
	rapid.Check(t, func(r *rapid.T) {
		m := &model{T: r, x: newFixture(t, open), batches: make(map[string]*modelBatch)}
		defer func() { m.must(m.x.store.Close()) }()
		actions := []func(){
			m.create, m.validate, m.cancel, m.expire, m.leaseUnits, m.leaseUnits, m.seal, m.seal, m.adopt,
			m.restart, m.finalize, m.zombie,
		}
		for range rapid.IntRange(5, modelSteps).Draw(r, "steps") {
			m.x.tick()
			rapid.SampledFrom(actions).Draw(r, "action")()
			m.compare()
		}
	})
}}

// model is what the store should hold.
type model struct {
	*rapid.T
	x       *fixture
	batches map[string]*modelBatch
	// order holds the ids of batches, oldest first: that is how stages are leased.
	order []string
	// starts counts the restarts, each of which is another node.
	starts int
}

// modelBatch is what the store should say of a batch.
type modelBatch struct {
	status  batch.Status
	stop    batch.Stop
	version int64
	expires time.Time
	counts  batch.Counts
	units   []modelUnit
	// stale are units under leases that were lost or used up: no write under them may pass.
	stale []batch.Unit
}

// modelUnit is what the store should hold of a unit. It is leased if node is set; a lease id without a node is one by which
// the unit may still be adopted.
type modelUnit struct {
	node   string
	lease  batch.LeaseID
	sealed bool
}

// sealed counts the units that are sealed.
func (b *modelBatch) sealed() int {
	n := 0
	for _, u := range b.units {
		if u.sealed {
			n++
		}
	}
	return n
}

// ready reports whether the batch started and has no unit left to seal.
func (b *modelBatch) ready() bool { return len(b.units) > 0 && b.sealed() == len(b.units) }

// move changes the status, if the state graph allows it.
func (m *model) move(b *modelBatch, next batch.Status) {
	if !b.status.CanMoveTo(next) {
		m.Fatalf("moved from %s to %s", b.status, next)
	}
	b.status = next
	b.version++
}

// must is rapid's Fatalf and not the fixture's, so that a failing history is shrunk.
func (m *model) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatalf("unexpected error: %v", err)
	}
}

// wants checks err against want; nil wants success.
func (m *model) wants(err, want error) {
	m.Helper()
	if !errors.Is(err, want) {
		m.Fatalf("got error %v, want %v", err, want)
	}
}

// node is the name of the process; each restart takes another.
func (m *model) node() string { return fmt.Sprintf("node-%d", m.starts) }

// pick draws one of the batches. It returns nil where there is none; then the step does nothing.
func (m *model) pick() (string, *modelBatch) {
	if len(m.order) == 0 {
		return "", nil
	}
	id := rapid.SampledFrom(m.order).Draw(m.T, "batch")
	return id, m.batches[id]
}

// create stores a batch whose window passes within a minute, so that many end by it in the course of a history.
func (m *model) create() {
	id := fmt.Sprintf("b%d", len(m.order))
	b := m.x.newBatch(id)
	b.ExpiresAt = m.x.now.Add(time.Duration(rapid.IntRange(1, 60).Draw(m.T, "window")) * time.Second)
	m.must(m.x.store.CreateFile(m.x.ctx, m.x.newFile("in-"+id)))
	m.must(m.x.store.CreateBatch(m.x.ctx, b))
	m.batches[id] = &modelBatch{status: batch.Validating, stop: batch.StopNone, expires: b.ExpiresAt}
	m.order = append(m.order, id)
}

// due returns the batches due for a stage, oldest first.
func (m *model) due(stage store.Stage) []string {
	var ids []string
	for _, id := range m.order {
		b := m.batches[id]
		unstarted := len(b.units) == 0
		if !b.status.Terminal() && (stage == store.StageValidate && unstarted || stage == store.StageFinalize && b.ready()) {
			ids = append(ids, id)
		}
	}
	return ids
}

// leaseDue leases the oldest batch that is due for stage; "" if there is none.
func (m *model) leaseDue(stage store.Stage) (string, batch.LeaseID) {
	h := store.Holder{Node: m.node(), Lease: batch.NewLeaseID()}
	got, err := m.x.store.LeaseBatch(m.x.ctx, stage, h)
	due := m.due(stage)
	if len(due) == 0 {
		m.wants(err, store.ErrNoWork)
		return "", h.Lease
	}
	m.must(err)
	if got.ID != due[0] {
		m.Fatalf("leased %s to %s, want %s", got.ID, stage, due[0])
	}
	return got.ID, h.Lease
}

// validate does what a validator does: start, fail, or close what was stopped, or give up.
func (m *model) validate() {
	id, lease := m.leaseDue(store.StageValidate)
	if id == "" {
		return
	}
	b := m.batches[id]
	var want error
	if b.stop != batch.StopNone {
		want = store.ErrConflict
	}
	switch rapid.SampledFrom([]string{"start", "start", "fail", "give up", "close"}).Draw(m.T, "outcome") {
	case "start":
		n := rapid.IntRange(1, 6).Draw(m.T, "units")
		m.wants(m.x.store.StartBatch(m.x.ctx, m.x.newStart(id, lease, n)), want)
		if want == nil {
			b.units, b.counts.Total = make([]modelUnit, n), 10*int64(n)
			m.move(b, batch.InProgress)
			return
		}
	case "fail":
		m.wants(m.x.store.FailBatch(m.x.ctx, m.x.failure(id, lease)), want)
		if want == nil {
			m.move(b, batch.Failed)
			return
		}
	case "close":
		_, err := m.x.store.CloseBatch(m.x.ctx, store.Close{Batch: id, Lease: lease, Now: m.x.now})
		if b.stop != batch.StopNone {
			m.must(err)
			m.move(b, b.stop.Closed())
			return
		}
		m.wants(err, store.ErrConflict)
	}
	m.must(m.x.store.ReleaseBatch(m.x.ctx, id, lease))
}

// finalize closes the batch that is due, which a cancel after the lease must still be able to stop.
func (m *model) finalize() {
	id, lease := m.leaseDue(store.StageFinalize)
	if id == "" {
		return
	}
	if rapid.Bool().Draw(m.T, "cancelled meanwhile") {
		m.cancelOne(id)
	}
	out := m.x.newResult(id, "out-"+id)
	b := m.batches[id]
	_, err := m.x.store.CloseBatch(m.x.ctx, store.Close{Batch: id, Lease: lease, Now: m.x.now, Output: out})
	m.must(err)
	m.move(b, b.stop.Closed())
}

func (m *model) cancel() {
	if id, b := m.pick(); b != nil {
		m.cancelOne(id)
	}
}

// cancelOne cancels a batch. It works once, is repeated in peace, and comes too late for any other end.
func (m *model) cancelOne(id string) {
	b := m.batches[id]
	_, err := m.x.store.CancelBatch(m.x.ctx, tenant, id, m.x.now)
	switch {
	case b.status == batch.Cancelling, b.status == batch.Cancelled:
		m.must(err)
	case b.status.Terminal(), b.stop == batch.StopExpire:
		m.wants(err, store.ErrConflict)
	default:
		m.must(err)
		b.stop = batch.StopCancel
		m.move(b, batch.Cancelling)
	}
}

// expire stops whatever runs and whose window has passed, and nothing else. What is stopped changes its status only when
// it is closed.
func (m *model) expire() {
	got, err := m.x.store.ExpireBatches(m.x.ctx, m.x.now)
	m.must(err)
	var want []string
	for _, id := range m.order {
		b := m.batches[id]
		runs := b.status == batch.Validating || b.status == batch.InProgress
		if runs && b.stop == batch.StopNone && !m.x.now.Before(b.expires) {
			b.stop = batch.StopExpire
			want = append(want, id)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		m.Fatalf("expired %v, want %v", got, want)
	}
}

// leaseUnits leases units, which must be the first of those that are pending. A stopped batch still gives out its units: the
// executor is who records them as not run.
func (m *model) leaseUnits() {
	id, b := m.pick()
	if b == nil {
		return
	}
	n := rapid.IntRange(1, 4).Draw(m.T, "n")
	got, err := m.x.store.LeaseUnits(m.x.ctx, id, m.node(), n)
	m.must(err)
	var want []int
	for i, u := range b.units {
		if !u.sealed && u.node == "" && len(want) < n {
			want = append(want, i)
		}
	}
	var ordinals []int
	for _, u := range got {
		ordinals = append(ordinals, u.Ordinal)
		b.units[u.Ordinal].node, b.units[u.Ordinal].lease = m.node(), u.Lease
	}
	if !slices.Equal(ordinals, want) {
		m.Fatalf("leased %v, want %v", ordinals, want)
	}
}

// held returns the units of a batch that are leased.
func (m *model) held(id string) []batch.Unit {
	var held []batch.Unit
	for i, u := range m.batches[id].units {
		if u.node != "" && !u.sealed {
			held = append(held, batch.Unit{UnitID: batch.UnitID{Batch: id, Ordinal: i}, Lease: u.lease})
		}
	}
	return held
}

// seal seals some of the units that are leased, in one call.
func (m *model) seal() {
	id, b := m.pick()
	if b == nil || len(m.held(id)) == 0 {
		return
	}
	held := m.held(id)
	held = held[:rapid.IntRange(1, len(held)).Draw(m.T, "n")]
	result, err := m.x.store.SealUnits(m.x.ctx, newSeals(held), m.x.now)
	m.must(err)
	for _, u := range held {
		b.units[u.Ordinal].sealed = true
		b.counts = b.counts.Add(newSeal(u).Counts())
		b.stale = append(b.stale, u)
	}
	if b.ready() && b.stop == batch.StopNone {
		m.move(b, batch.Finalizing)
	}
	if result != (store.SealResult{Ready: b.ready(), Stop: b.stop}) {
		m.Fatalf("sealing answered %+v", result)
	}
}

// adopt takes a unit over, as a start does for each journal it finds; or one whose lease has been lost.
func (m *model) adopt() {
	id, b := m.pick()
	if b == nil || len(b.units) == 0 {
		return
	}
	i := rapid.IntRange(0, len(b.units)-1).Draw(m.T, "unit")
	u := &b.units[i]
	h := store.Holder{Node: m.node(), Lease: batch.NewLeaseID()}
	from := []batch.LeaseID{batch.NewLeaseID(), u.lease}
	_, err := m.x.store.AdoptUnit(m.x.ctx, batch.UnitID{Batch: id, Ordinal: i}, from, h)
	if u.sealed || u.lease == (batch.LeaseID{}) {
		m.wants(err, store.ErrLeaseLost)
		if errors.Is(err, store.ErrSealed) != u.sealed {
			m.Fatalf("got error %v for a unit that is sealed: %v", err, u.sealed)
		}
		return
	}
	m.must(err)
	b.stale = append(b.stale, batch.Unit{UnitID: batch.UnitID{Batch: id, Ordinal: i}, Lease: u.lease})
	u.node, u.lease = h.Node, h.Lease
}

// restart is a kill and a start: another node name, and all units are pending again.
func (m *model) restart() {
	m.starts++
	want := 0
	for _, b := range m.batches {
		for i := range b.units {
			if u := &b.units[i]; !u.sealed && u.node != "" {
				u.node = ""
				want++
			}
		}
	}
	if rapid.Bool().Draw(m.T, "reopen") {
		m.must(m.x.store.Close())
		m.x.store = m.x.open(m.x.TB, m.x.place)
	}
	n, err := m.x.store.ReclaimUnits(m.x.ctx, m.node())
	m.must(err)
	if n != want {
		m.Fatalf("reclaimed %d units, want %d", n, want)
	}
}

// zombie seals a unit under a lease that was lost or is used up.
func (m *model) zombie() {
	if _, b := m.pick(); b != nil && len(b.stale) > 0 {
		u := rapid.SampledFrom(b.stale).Draw(m.T, "zombie")
		_, err := m.x.store.SealUnits(m.x.ctx, newSeals([]batch.Unit{u}), m.x.now)
		m.wants(err, store.ErrLeaseLost)
	}
}

// compare checks that the store shows what the model holds.
func (m *model) compare() {
	var running []string
	for _, id := range m.order {
		b := m.batches[id]
		got, err := m.x.store.Batch(m.x.ctx, tenant, id)
		m.must(err)
		seen := modelBatch{status: got.Status, stop: got.Stop, version: got.Version, counts: got.Counts}
		if seen.status != b.status || seen.stop != b.stop || seen.version != b.version || seen.counts != b.counts {
			m.Fatalf("%s is %+v, want %+v", id, seen, *b)
		}
		if got.Ready != b.ready() || got.Units != len(b.units) || got.SealedUnits != b.sealed() {
			m.Fatalf("%s has %d of %d units sealed, ready %t", id, got.SealedUnits, got.Units, got.Ready)
		}
		if len(b.units) > 0 && !b.ready() {
			running = append(running, id)
		}
	}
	got, err := m.x.store.RunningBatches(m.x.ctx)
	m.must(err)
	var ids []string
	for _, b := range got {
		ids = append(ids, b.ID)
	}
	if !slices.Equal(ids, running) {
		m.Fatalf("running are %v, want %v", ids, running)
	}
}
