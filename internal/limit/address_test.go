package limit_test

import (
	"testing"
	"time"

	"batchd/internal/limit"
)

func TestAnUnreachableAddressClosesAllItsGatesAndNoOthers(t *testing.T) {
	t.Parallel()
	d, elsewhere := openGate(t, 8), openGate(t, 8)
	other := d.beside(8)
	d.begin(d.line()).ends(unreachable())
	if d.gate.Closed() || other.gate.Closed() {
		t.Fatal("closed by one line")
	}
	other.begin(other.line()).ends(unreachable())
	if !d.gate.Closed() || !other.gate.Closed() {
		t.Errorf("closed: %v and %v, want both", d.gate.Closed(), other.gate.Closed())
	}
	if elsewhere.gate.Closed() {
		t.Error("the gate of another address is closed too")
	}
	if why, closed := d.address.Condition(); !closed || why.Reason != limit.ReasonUnreachable || why.Detail != "refused" {
		t.Errorf("told %+v, %v; want that connections are refused", why, closed)
	}
	if wait := other.mustWait(); wait.Reason != limit.ReasonUnreachable {
		t.Errorf("the wait's reason is %s", wait.Reason)
	}
}

func TestACallInFlightKeepsAnAddressOpenAndItsGatesFromGrowing(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	other := d.beside(8)
	long := other.beginMany(3)
	calls := d.beginMany(2)
	endAll(calls, unreachable())
	for _, gate := range []*desk{d, other} {
		if wait := gate.mustWait(); wait.Reason != limit.ReasonConcurrency {
			t.Errorf("the wait's reason is %s, want no more in flight than there are", wait.Reason)
		}
	}
	long[0].ends(served()) // one place that is free, and one for the answer
	d.beginMany(2)
	d.mustWait()
}

func TestAnAddressOpensAtHalfOfWhatItsGatesHadInFlight(t *testing.T) {
	t.Parallel()
	d := openGate(t, 64)
	small := d.beside(8)
	calls := d.beginMany(40)
	small.begin(small.line()).ends(unreachable())
	endAll(calls, unreachable())
	d.untilProbe()
	d.begin(d.line()).ends(served())
	d.beginMany(20)
	d.mustWait()
}

func TestAnyAnswerOpensAnAddress(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*limit.Signal{
		"served": served(), "answered": answered(), "denied": denied(401), "broken": broken(), "lost": lost(), "no room": noRoom(503, 0),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 8)
			other := d.beside(8)
			d.closeGate(unreachable())
			d.untilProbe()
			probe := d.begin(d.line())
			if wait := other.mustWait(); wait.Reason != limit.ReasonProbing || !wait.Next.IsZero() {
				t.Errorf("beside the probe: %+v, want one probe for the whole address", wait)
			}
			probe.ends(s)
			if d.gate.Closed() || other.gate.Closed() {
				t.Errorf("closed: %v and %v, want neither", d.gate.Closed(), other.gate.Closed())
			}
			if n := len(other.beginMany(4)); n != 4 {
				t.Errorf("%d calls, want half of what was in force before", n)
			}
			other.mustWait()
		})
	}
}

func TestAnAddressIsProbedEverMoreRarely(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.closeGate(unreachable())
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		if pause := d.untilProbe(); !within(pause, want*time.Second) {
			t.Errorf("probe after %s, want about %d s", pause, want)
		}
		d.begin(d.line()).ends(unreachable())
	}
	d.gate.Arrived(d.now)
	d.begin(d.line()).ends(abandoned())
	d.begin(d.line()).ends(served())
	d.wantLimit(4, false)
}

func TestACapIsSharedByAllGatesOfAnAddressEvenByProbes(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	other, closed := d.beside(8), d.beside(8)
	closed.closeGate(broken())
	closed.pass(time.Minute)
	d.beginMany(5)
	last := other.beginMany(3)
	if d.address.InFlight() != 8 || d.address.Cap() != 8 {
		t.Errorf("%d in flight of %d, want 8 of 8", d.address.InFlight(), d.address.Cap())
	}
	for _, gate := range []*desk{d, other, closed} {
		if wait := gate.mustWait(); wait.Reason != limit.ReasonConcurrency {
			t.Errorf("the wait's reason is %s", wait.Reason)
		}
	}
	if _, ok := closed.gate.TakeProven(closed.now); ok {
		t.Error("a proven line goes beyond the cap")
	}
	last[0].ends(served())
	closed.begin(closed.line())
}

func TestAClosedGateOfAnUnreachableAddressNeedsBothToOpen(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.closeGate(broken())
	d.untilProbe()
	d.begin(d.line()).ends(unreachable())
	d.begin(d.line()).ends(unreachable()) // a probe that reached nothing says nothing of the gate
	if wait := d.mustWait(); wait.Reason != limit.ReasonUnreachable {
		t.Errorf("the wait's reason is %s", wait.Reason)
	}
	d.untilProbe()
	probe := d.begin(d.line())
	probe.ends(broken())
	if wait := d.mustWait(); wait.Reason != limit.ReasonFailing {
		t.Errorf("the wait's reason is %s, want the gate's own", wait.Reason)
	}
	if pause := d.untilProbe(); !within(pause, 2*time.Second) {
		t.Errorf("the gate's next pause is %s, want about 2 s", pause)
	}
	d.begin(d.line()).ends(served())
	d.wantLimit(4, false)
}

func TestACapOfOneStaysOneAfterAnOutage(t *testing.T) {
	t.Parallel()
	d := openGate(t, 1).beside(8)
	d.closeGate(unreachable())
	d.untilProbe()
	d.send(d.line(), served())
	d.begin(d.line())
	d.mustWait()
}

func TestAFullGateWaitsForTheEndOfACallAndNoTime(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*desk{"by itself": openGate(t, 8), "by its address": openGate(t, 8).beside(64)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.t = t
			d.beginMany(8)
			if wait := d.mustWait(); wait.Reason != limit.ReasonConcurrency || !wait.Next.IsZero() {
				t.Errorf("told to wait for %+v", wait)
			}
		})
	}
}
