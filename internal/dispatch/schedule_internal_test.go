package dispatch

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"
)

// table is a schedule that a test drives by hand: it takes lines, ends their calls, and lets time pass.
type table struct {
	t   *testing.T
	s   *schedule
	now time.Time
}

// serving is an upstream that serves some models and is never called.
type serving []string

func (s serving) Name() string                      { return "upstream" }
func (s serving) Serves(model string) bool          { return slices.Contains(s, model) }
func (s serving) Call(context.Context, Call) Answer { panic("nothing is called here") }

func newTable(t *testing.T, concurrency int, upstreams ...serving) *table {
	var targets []Target
	for _, u := range upstreams {
		targets = append(targets, Target{Upstream: u, Concurrency: concurrency})
	}
	s := newSchedule(targets, rand.New(rand.NewPCG(1, 2)))
	return &table{t: t, s: s, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// batch enters a batch with one open unit of so many lines for each model.
func (b *table) batch(id string, lines int, models ...string) *job {
	j := &job{batch: batch.Batch{ID: id, Models: models, Counts: batch.Counts{Total: int64(lines * len(models))}}, stop: batch.StopNone}
	b.s.add(j)
	sim := &simBatch{id: id, lines: make([]simLine, lines*len(models))}
	for i, model := range models {
		b.s.enter(j, &simUnit{batch: sim, ordinal: i, model: model, at: i * lines, end: (i + 1) * lines, left: lines}, b.now)
	}
	return j
}

// take takes a line for an upstream, which there must be.
func (b *table) take(upstream int) *assignment {
	b.t.Helper()
	a := b.s.next(b.s.targets[upstream], b.now)
	if a == nil {
		b.t.Fatal("no line is taken")
	}
	return a
}

// none checks that there is no line for an upstream.
func (b *table) none(upstream int) {
	b.t.Helper()
	if a := b.s.next(b.s.targets[upstream], b.now); a != nil {
		b.t.Fatalf("line %d of %s is taken, want none", a.line.Number, a.unit.job.batch.ID)
	}
}

// end ends a call.
func (b *table) end(a *assignment, signal limit.Signal) {
	b.now = b.now.Add(time.Millisecond)
	if v := b.s.done(a, b.now, &signal); !v.Final {
		b.s.putOff(a, v, b.now)
	}
}

func (b *table) pass(d time.Duration) { b.now = b.now.Add(d) }

// failing and refusing are answers; fine is the good one.
func failing() limit.Signal {
	return limit.Signal{Kind: limit.Broken, Status: 500, Reason: limit.ReasonFailing}
}

func refusing() limit.Signal {
	return limit.Signal{Kind: limit.Denied, Status: 401, Reason: limit.ReasonDenied}
}

func fine() limit.Signal { return limit.Signal{Kind: limit.Served, Status: 200} }

func TestRetriesOfADeadModelHideNoneOfALiveOne(t *testing.T) {
	t.Parallel()
	b := newTable(t, 200, serving{"dead"}, serving{"live"})
	b.batch("x", 200, "dead", "live")
	var dead []*assignment
	for range 100 {
		dead = append(dead, b.take(0))
	}
	for _, a := range dead {
		b.end(a, limit.Signal{Kind: limit.NoRoom, Status: 503, Reason: limit.ReasonNoRoom})
	}
	first := b.take(1)
	b.end(b.take(1), fine())
	b.end(first, failing())
	b.pass(2 * time.Second)
	for range 3 {
		a := b.take(1)
		if a.line == first.line {
			return
		}
		b.end(a, fine())
	}
	t.Error("a due retry of the live model is not among the next three lines")
}

func TestALineRefusedAtOneGateGoesToAnotherOpenOne(t *testing.T) {
	t.Parallel()
	b := newTable(t, 4, serving{"m"}, serving{"m"})
	b.batch("x", 3, "m")
	a := b.take(0)
	b.end(b.take(0), fine())
	b.end(b.take(0), fine())
	b.end(a, refusing())
	b.pass(time.Minute)
	b.none(0)
	if again := b.take(1); again.line != a.line {
		t.Errorf("line %d goes to the other upstream, want line %d", again.line.Number, a.line.Number)
	}
}

func TestRetryAfterBindsOnlyTheUpstreamThatSentIt(t *testing.T) {
	t.Parallel()
	b := newTable(t, 4, serving{"m"}, serving{"m"})
	b.batch("x", 3, "m")
	a := b.take(0)
	b.end(b.take(1), fine())
	b.end(b.take(1), fine())
	b.end(a, limit.Signal{Kind: limit.NoRoom, Status: 429, Reason: limit.ReasonNoRoom, RetryAfter: 10 * time.Minute})
	b.pass(2 * time.Second)
	b.none(0)
	if again := b.take(1); again.line != a.line {
		t.Errorf("line %d goes to the other upstream, want line %d", again.line.Number, a.line.Number)
	}
}

func TestALineGoesBackToWhereItWasToldToWaitOnceThatIsOver(t *testing.T) {
	t.Parallel()
	b := newTable(t, 4, serving{"m"}, serving{"m"})
	b.batch("x", 3, "m")
	a := b.take(0)
	other := b.take(1)
	b.end(b.take(0), fine())
	b.end(a, limit.Signal{Kind: limit.NoRoom, Status: 429, Reason: limit.ReasonNoRoom, RetryAfter: 10 * time.Minute})
	b.pass(2 * time.Second)
	a.gate.queue.gates[1].serves = false // the other upstream no longer lists the model
	b.none(0)
	if at := b.s.nextTime(b.now); at.Before(b.now.Add(9 * time.Minute)) {
		t.Errorf("looks again at %s, want when the upstream takes the line again", at.Sub(b.now))
	}
	b.pass(11 * time.Minute)
	if again := b.take(0); again.line != a.line {
		t.Errorf("line %d goes, want line %d", again.line.Number, a.line.Number)
	}
	b.end(other, fine())
}

func TestDueRetriesAndFreshLinesTakeTurns(t *testing.T) {
	t.Parallel()
	b := newTable(t, 64, serving{"m"})
	b.batch("x", 1000, "m")
	var bad []*assignment
	for range 10 {
		bad = append(bad, b.take(0))
	}
	b.end(b.take(0), fine())
	for _, a := range bad {
		b.end(a, failing())
	}
	fresh := b.take(0)
	if fresh.history.Tries() > 0 {
		t.Fatal("a retry goes before it is due")
	}
	b.end(fresh, fine())
	b.pass(2 * time.Second)
	retries := 0
	for i := range 10 {
		a := b.take(0)
		if tried := a.history.Tries() > 0; tried != (i%2 == 0) {
			t.Errorf("line %d of ten is a retry: %v", i+1, tried)
		} else if tried {
			retries++
		}
		b.end(a, fine())
	}
	if retries != 5 {
		t.Errorf("%d of ten lines are retries, want every second", retries)
	}
}

func TestProbesTakeAFarLineThenOnePutOffThenAControl(t *testing.T) {
	t.Parallel()
	b := newTable(t, 2, serving{"m"})
	j := b.batch("x", 100, "m")
	first, second := b.take(0), b.take(0)
	noRoom := limit.Signal{Kind: limit.NoRoom, Status: 503, Reason: limit.ReasonNoRoom}
	b.end(first, noRoom)
	b.end(second, noRoom)
	if !first.gate.Closed() {
		t.Fatal("the gate is open though both calls were refused")
	}
	b.none(0)
	var kinds []string
	for range 3 {
		b.pass(40 * time.Second)
		a := b.take(0)
		b.none(0)
		switch {
		case a.history.Tries() > 0:
			kinds = append(kinds, "put off")
		case KeptBack(int64(a.line.Number), 100):
			kinds = append(kinds, "control")
		default:
			kinds = append(kinds, "fresh")
			if a.line.Number < 90 {
				t.Errorf("line %d is the first probe, want one from the far end", a.line.Number)
			}
		}
		b.end(a, noRoom)
	}
	if want := []string{"fresh", "put off", "control"}; !slices.Equal(kinds, want) {
		t.Errorf("probes are %v, want %v", kinds, want)
	}
	if j.extra != 1 {
		t.Errorf("%d units more are wanted, want one for the far probe", j.extra)
	}
}

func TestControlsGoLastAndAllAtOnceIfNothingIsPutOff(t *testing.T) {
	t.Parallel()
	b := newTable(t, 100, serving{"m"})
	b.batch("x", 40, "m")
	var calls []*assignment
	for range 40 {
		calls = append(calls, b.take(0))
	}
	for i, a := range calls {
		if kept := KeptBack(int64(a.line.Number), 40); kept != (i >= 30) {
			t.Errorf("call %d carries line %d, a control: %v", i+1, a.line.Number, kept)
		}
	}
	b.none(0)
}

func TestOneControlAtATimeSpeaksForALineThatNothingSpeaksAgainst(t *testing.T) {
	t.Parallel()
	b := newTable(t, 100, serving{"m"})
	b.batch("x", 40, "m")
	var calls []*assignment
	for range 30 {
		calls = append(calls, b.take(0))
	}
	for _, a := range calls[1:] {
		b.end(a, fine())
	}
	b.end(calls[0], failing())
	a := b.take(0)
	b.none(0)
	b.end(a, fine())
	// One line alone that was followed by a served call needs no more evidence.
	for range 9 {
		calls = append(calls, b.take(0))
	}
	b.none(0)
}

func TestALateBatchIsProbedForAtOnceUnlessTheUpstreamHasNamedATime(t *testing.T) {
	t.Parallel()
	for name, retryAfter := range map[string]time.Duration{"no time": 0, "in a minute": time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTable(t, 2, serving{"m"})
			b.batch("early", 100, "m")
			for _, a := range []*assignment{b.take(0), b.take(0)} {
				b.end(a, limit.Signal{Kind: limit.NoRoom, Status: 503, Reason: limit.ReasonNoRoom, RetryAfter: retryAfter})
			}
			b.none(0)
			b.batch("late", 100, "m")
			if retryAfter > 0 {
				b.none(0)
				return
			}
			if a := b.take(0); a.unit.job.batch.ID != "late" {
				t.Errorf("the probe is a line of %s, want of the batch that has just come", a.unit.job.batch.ID)
			}
		})
	}
}
