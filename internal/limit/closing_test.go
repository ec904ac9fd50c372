package limit_test

import (
	"testing"
	"time"

	"batchd/internal/limit"
)

// within reports whether a pause is as long as wanted, give or take the tenth of jitter.
func within(got, want time.Duration) bool {
	return got >= want-want/10 && got <= want+want/10
}

func TestAGateThatServesNobodyClosesAndIsProbedEverMoreRarely(t *testing.T) {
	t.Parallel()
	d := openGate(t, 64)
	calls := d.beginMany(64)
	endAll(calls[:63], broken())
	if d.gate.Closed() {
		t.Fatal("closed while a call is in flight that may yet be served")
	}
	calls[63].ends(broken())
	for i, want := range []int{1, 2, 4, 8, 16, 30, 30} {
		if pause := d.untilProbe(); !within(pause, time.Duration(want)*time.Second) {
			t.Errorf("probe %d after %s, want about %d s", i, pause, want)
		}
		probe := d.begin(d.line())
		if wait := d.mustWait(); !wait.Next.IsZero() || wait.Reason != limit.ReasonProbing {
			t.Errorf("beside a probe: %+v, want to wait for its end", wait)
		}
		probe.ends(broken())
	}
}

func TestOnlyTheTwentyFirstLineOfARunLowersTheLimit(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*limit.Signal{"broken": broken(), "denied": denied(401)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 64)
			calls := d.beginMany(64)
			endAll(calls[:20], s)
			d.wantLimit(64, false)
			calls[20].ends(s)
			d.wantLimit(43, false)
			calls[21].ends(s)
			d.wantLimit(42, false)
		})
	}
}

func TestAServedCallThatBeganWithinARunEndsIt(t *testing.T) {
	t.Parallel()
	d := openGate(t, 64)
	old := d.begin(d.line())
	endAll(d.beginMany(19), broken())
	d.send(d.line(), served())
	endAll(d.beginMany(20), broken())
	d.wantLimit(64, false)

	d.pass(time.Millisecond)
	old.ends(served()) // it began before the run: the upstream may have died since
	d.begin(d.line()).ends(broken())
	d.wantLimit(1, true)
}

func TestARunThatManyCallsMayYetDisproveLowersNothing(t *testing.T) {
	t.Parallel()
	d := openGate(t, 200)
	slow := d.beginMany(100)
	d.send(d.line(), broken())
	slow = append(slow, d.beginMany(50)...) // half of all lines break, and quickly
	for range 48 {
		d.send(d.line(), broken())
	}
	d.wantLimit(200, false)
	slow[0].ends(served()) // it began before the run, of which nothing is known yet
	d.wantLimit(200, false)
	d.send(d.line(), broken())
	if d.gate.Limit() == 200 {
		t.Error("nothing lowered by more failures than calls that began since are in flight")
	}
	slow[149].ends(served())
	before := d.gate.Limit()
	d.send(d.line(), broken())
	if d.gate.Limit() < before {
		t.Error("lowered by a run that is over")
	}
}

func TestACallThatBeganAfterTheFirstThatFailedEndsTheRunThoughItWasNotKnownThen(t *testing.T) {
	t.Parallel()
	d := openGate(t, 200)
	calls := d.beginMany(200)
	d.pass(time.Millisecond)
	endAll(calls[1:20], broken())
	calls[100].ends(served())
	endAll(calls[20:39], broken())
	d.wantLimit(200, false)
	calls[0].ends(served())
	d.wantLimit(200, false)
}

func TestOneLineCountsOnceInARunAndClosesNoGateAlone(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*limit.Signal{"broken": broken(), "no room": noRoom(429, 0), "unreachable": unreachable()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 64)
			line := d.line()
			for range 30 {
				d.send(line, s)
				d.pass(time.Minute)
			}
			if d.gate.Closed() {
				t.Error("closed by one line")
			}
			if _, told := d.address.Condition(); told {
				t.Error("one line's trouble is told as the upstream's")
			}
		})
	}
}

func TestOnlyACallBegunAfterTheClosingOpensAGate(t *testing.T) {
	t.Parallel()
	d := openGate(t, 64)
	d.closeGate(broken())
	d.pass(time.Millisecond)
	proven, ok := d.gate.TakeProven(d.now)
	if !ok {
		t.Fatal("no permit for a proven line")
	}
	d.start(proven, d.line()).ends(served())
	d.wantLimit(32, false)
}

func TestAGateOpensAtHalfOfWhatWasInForceBeforeTheRun(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*limit.Signal{"broken": broken(), "no room": noRoom(503, 0), "unreachable": unreachable()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 64)
			d.closeGate(s)
			d.untilProbe()
			d.send(d.line(), served())
			d.wantLimit(32, false)
			d.beginMany(32)
			d.mustWait()
			d.pass(100 * time.Millisecond)
			d.mustWait()
		})
	}
}

func TestAGateFoundByItselfOpensAtHalfOfWhatWasReallyInForce(t *testing.T) {
	t.Parallel()
	d := openGate(t, 0)
	before := d.gate.Limit()
	d.closeGate(broken())
	d.untilProbe()
	d.send(d.line(), served())
	d.wantLimit(before/2, false)
}

func TestRetryAfterHoldsOnlyAClosedGate(t *testing.T) {
	t.Parallel()
	d := openGate(t, 64)
	calls := d.beginMany(3)
	if v := calls[0].ends(noRoom(429, 20*time.Second)); v.Pause != 20*time.Second {
		t.Errorf("the line rests %s, want 20 s", v.Pause)
	}
	d.wantLimit(2, false)
	calls[1].ends(served())
	d.begin(d.line()).ends(served()) // a permit at once
	calls[2].ends(noRoom(429, 20*time.Second))
	if d.gate.Closed() {
		t.Fatal("closed by one line")
	}
	d.begin(d.line()).ends(noRoom(429, 20*time.Second))
	if pause := d.untilProbe(); pause != 20*time.Second {
		t.Errorf("shut for %s, want 20 s", pause)
	}
}

func TestPausesGrowThoughTheUpstreamAsksForLess(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.closeGate(noRoom(429, time.Second/2))
	for _, want := range []time.Duration{1, 2, 4} {
		if pause := d.untilProbe(); !within(pause, want*time.Second) {
			t.Errorf("shut for %s, want about %d s", pause, want)
		}
		d.begin(d.line()).ends(noRoom(429, time.Second/2))
	}
}

func TestAProbeWithoutAnAnswerOfTheGateLeavesItClosedAndLetsAnotherGo(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*limit.Signal{"abandoned": abandoned(), "answered": answered()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 8)
			d.closeGate(broken())
			d.untilProbe()
			for range 5 {
				d.begin(d.line()).ends(s)
				if !d.gate.Closed() {
					t.Fatal("open without proof")
				}
			}
			d.begin(d.line()).ends(broken())
			if pause := d.untilProbe(); !within(pause, 2*time.Second) {
				t.Errorf("the next pause is %s, want about 2 s", pause)
			}
		})
	}
}

func TestAbandonedCallsTeachNothing(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	line := d.line()
	if v := d.send(line, abandoned()); v.Final || v.Pause <= 0 {
		t.Errorf("verdict %+v, want a pause", v)
	}
	endAll(d.beginMany(8), abandoned())
	d.wantLimit(8, false)
	if line.Tries() != 0 {
		t.Error("an abandoned call counts as a try")
	}
}

func TestAProbesOwnFailureLeavesThePauseAsItWas(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	bad := d.line()
	d.send(bad, broken())
	d.serve(1)
	d.closeGate(broken())
	d.untilProbe()
	d.send(d.line(), broken())
	d.untilProbe() // two seconds
	d.send(bad, broken())
	if !bad.Proven() {
		t.Error("others were served between two failures, and it is not proven")
	}
	if pause := d.untilProbe(); !within(pause, 2*time.Second) {
		t.Errorf("the next pause is %s, want about 2 s again", pause)
	}
}

func TestProbesCarryEachKindOfLineInTurn(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*limit.Signal{"broken": broken(), "unreachable": unreachable()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 8)
			if p, _, _ := d.gate.Take(d.now); p.Turn() != limit.TurnAny {
				t.Errorf("a call of an open gate has turn %d", p.Turn())
			}
			d.closeGate(s)
			turns := []limit.Turn{limit.TurnFresh, limit.TurnPutOff, limit.TurnControl}
			for i := range 7 {
				d.untilProbe()
				p, _, _ := d.gate.Take(d.now)
				if p.Turn() != turns[i%3] {
					t.Errorf("probe %d has turn %d, want %d", i, p.Turn(), turns[i%3])
				}
				d.start(p, d.line()).ends(s)
			}
			d.gate.Arrived(d.now)
			if p, _, _ := d.gate.Take(d.now); p.Turn() != limit.TurnFresh {
				t.Errorf("a batch that arrives has turn %d, want that of a fresh line", p.Turn())
			}
		})
	}
}

func TestGatesThatCloseTogetherAreNotProbedTogether(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	other := d.beside(8)
	d.closeGate(broken())
	other.closeGate(broken())
	if one, two := d.untilProbe(), other.untilProbe(); one == two {
		t.Errorf("both after %s", one)
	}
}

func TestABatchThatArrivesIsProbedAtOnceUnlessRetryAfterRuns(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.closeGate(broken())
	d.gate.Arrived(d.now)
	p, _, ok := d.gate.Take(d.now)
	if !ok || p.Turn() != limit.TurnFresh {
		t.Errorf("granted %v, turn %d; want a fresh line at once", ok, p.Turn())
	}

	d = openGate(t, 8)
	d.closeGate(noRoom(503, 40*time.Second))
	d.gate.Arrived(d.now)
	if pause := d.untilProbe(); pause != 40*time.Second {
		t.Errorf("probed after %s, want the 40 s that were asked for", pause)
	}
}

func TestABatchThatArrivesBesideAProbeIsProbedAfterItWithoutAPause(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.closeGate(broken())
	d.untilProbe()
	probe := d.begin(d.line())
	d.gate.Arrived(d.now)
	if wait := d.mustWait(); wait.Reason != limit.ReasonProbing {
		t.Errorf("the wait's reason is %s, want one probe at a time", wait.Reason)
	}
	probe.ends(broken())
	p, _, ok := d.gate.Take(d.now)
	if !ok || p.Turn() != limit.TurnFresh {
		t.Fatalf("granted %v, turn %d; want a fresh line at once", ok, p.Turn())
	}
	d.start(p, d.line()).ends(broken())
	if pause := d.untilProbe(); !within(pause, 4*time.Second) {
		t.Errorf("the pause after both is %s, want about 4 s", pause)
	}
}
