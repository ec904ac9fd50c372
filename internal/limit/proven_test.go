package limit_test

import (
	"testing"
	"time"

	"batchd/internal/limit"
)

// proven returns a line whose failure is known to be its own, of a gate that is closed since.
func (d *desk) proven() *limit.History {
	d.t.Helper()
	bad := d.line()
	d.send(bad, broken())
	d.serve(1)
	d.send(bad, broken())
	d.serve(1)
	d.closeGate(broken())
	d.pass(time.Millisecond)
	return bad
}

// mustTakeProven starts a proven line though the gate is closed.
func (d *desk) mustTakeProven(h *limit.History) *call {
	d.t.Helper()
	p, ok := d.gate.TakeProven(d.now)
	if !ok {
		d.t.Fatal("no permit for a proven line")
	}
	return d.start(p, h)
}

func TestAProvenLineMayGoThoughTheGateIsClosedAndLeavesItSo(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	bad := d.proven()
	next := d.mustWait().Next
	d.queue.Fresh = false
	c := d.mustTakeProven(bad)
	d.pass(time.Millisecond)
	c.ends(broken())
	if wait := d.mustWait(); !wait.Next.Equal(next) {
		t.Errorf("the next probe is at %s, was %s before", wait.Next, next)
	}
}

func TestAProvenLineTakesNoPlaceThatOthersCannotHave(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	if _, ok := d.gate.TakeProven(d.now); ok {
		t.Error("granted at an open gate, where it is a line like any other")
	}

	few := d.beside(4)
	bad := few.proven()
	for range 4 {
		few.mustTakeProven(bad)
	}
	if _, ok := few.gate.TakeProven(few.now); ok {
		t.Error("more in flight at a closed gate than before it closed")
	}
}

func TestAProvenLineDoesNotGoWhereNothingCanBeReached(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.proven()
	d.untilProbe()
	d.begin(d.line()).ends(unreachable())
	d.begin(d.line()).ends(unreachable())
	if _, ok := d.gate.TakeProven(d.now); ok {
		t.Error("granted at an address that cannot be reached")
	}
}

func TestAProbeThatOutlivesItsClosingIsACallLikeAnyOther(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	bad := d.proven()
	d.untilProbe()
	probe := d.begin(bad)
	d.mustTakeProven(d.line()).ends(served())
	d.wantLimit(4, false)
	probe.ends(broken())
	d.wantLimit(4, false)
	d.closeGate(broken())
	if pause := d.untilProbe(); !within(pause, time.Second) {
		t.Errorf("the first pause of the next closing is %s, want about 1 s", pause)
	}
}

func TestRetryAfterToAnyCallHoldsAClosedGate(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.proven()
	d.mustTakeProven(d.line()).ends(noRoom(429, 40*time.Second))
	d.gate.Arrived(d.now)
	if pause := d.untilProbe(); pause != 40*time.Second {
		t.Errorf("probed after %s, want the 40 s that were asked for", pause)
	}
}
