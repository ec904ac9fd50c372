package limit_test

import (
	"testing"
	"time"

	"batchd/internal/limit"
)

// crash has a line break its server, which takes all others along: before it, or after it.
func (d *desk) crash(poison *limit.History, others []*limit.History, first bool) (verdict limit.Verdict, beside []limit.Verdict) {
	d.t.Helper()
	calls := []*call{}
	for _, h := range others {
		calls = append(calls, d.begin(h))
	}
	d.pass(time.Millisecond)
	p := d.begin(poison)
	d.pass(time.Millisecond)
	if first {
		verdict = p.ends(lost())
	}
	for _, c := range calls {
		beside = append(beside, c.ends(lost()))
	}
	if !first {
		verdict = p.ends(lost())
	}
	return verdict, beside
}

// several returns so many fresh lines.
func (d *desk) several(n int) []*limit.History {
	lines := make([]*limit.History, n)
	for i := range lines {
		lines[i] = d.line()
	}
	return lines
}

func TestALineThatCrashesItsServerIsPoisonAfterItsFifthCrash(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]bool{"it breaks before the others": true, "it breaks after the others": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 16)
			poison := d.line()
			for n := 1; n <= 5; n++ {
				if poison.Suspect() != (n > 2) {
					t.Errorf("suspect %v before crash %d", poison.Suspect(), n)
				}
				others := d.several(10)
				v, _ := d.crash(poison, others, first)
				if v.Final != (n == 5) || v.Poison != (n == 5) {
					t.Errorf("crash %d: %+v", n, v)
				}
				for _, h := range others {
					d.send(h, served()) // which shows chance, but not the poison's
				}
				d.pass(2 * time.Minute)
			}
		})
	}
}

func TestACallThatBreaksBesideASuspectLosesNothing(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]bool{"after it": true, "before it": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 64)
			poison, victims := d.line(), d.several(30)
			d.send(poison, lost())
			d.serve(1)
			d.send(poison, lost())
			for range 10 {
				_, verdicts := d.crash(poison, victims, first)
				d.serve(1)
				for _, v := range verdicts {
					if v.Final || v.Pause < time.Second || v.Pause > 2*time.Second {
						t.Fatalf("verdict %+v for what breaks beside a suspect", v)
					}
				}
			}
			for _, h := range victims {
				if h.Suspect() || h.Tries() > 0 || h.Proven() {
					t.Fatalf("suspect %v, %d tries, proven %v", h.Suspect(), h.Tries(), h.Proven())
				}
			}
			d.wantLimit(64, false)
		})
	}
}

func TestACallBegunAfterASuspectsCrashIsJudgedByItself(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	poison, line := d.line(), d.line()
	for range 3 {
		d.send(poison, lost())
		d.serve(1)
	}
	d.send(line, lost())
	if line.Tries() != 1 {
		t.Errorf("%d tries, want the one that broke with no suspect about", line.Tries())
	}
}

func TestOneSuspectIsInFlightAtAnAddress(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	other := d.beside(8)
	one, two, innocent := d.line(), d.line(), d.line()
	for range 2 {
		d.send(one, lost())
		d.send(two, lost())
	}
	if !d.gate.MayCarry(one) || !d.gate.MayCarry(innocent) {
		t.Fatal("no suspect is in flight, and none may be sent")
	}
	c := d.begin(one)
	if d.gate.MayCarry(two) || other.gate.MayCarry(two) {
		t.Error("a second suspect may be sent beside the first")
	}
	if !d.gate.MayCarry(innocent) || !other.gate.MayCarry(innocent) {
		t.Error("a line that is no suspect is kept back")
	}
	c.ends(abandoned())
	if !other.gate.MayCarry(two) {
		t.Error("kept back though the suspect has ended")
	}
}

func TestLinesThatBrokeTogetherAreNotTriedTogether(t *testing.T) {
	t.Parallel()
	d := openGate(t, 64)
	pauses := map[time.Duration]bool{}
	for _, c := range d.beginMany(20) {
		v := c.ends(lost())
		if v.Pause < time.Second || v.Pause > 2*time.Second {
			t.Errorf("pause of %s, want one to two seconds", v.Pause)
		}
		pauses[v.Pause] = true
	}
	if len(pauses) < 15 {
		t.Errorf("%d different pauses of 20 lines", len(pauses))
	}
}

func TestALineThatBreaksWithAnAnswerIsNoPoison(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	line := d.line()
	for n := 1; n <= 5; n++ {
		v := d.send(line, broken())
		if v.Final != (n == 5) || v.Poison || line.Suspect() {
			t.Errorf("try %d: %+v, suspect %v", n, v, line.Suspect())
		}
		d.serve(1)
	}
}

func TestAProbeThatBreaksBesideASuspectLeavesThePauseAsItWas(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	other := d.beside(8)
	suspect := other.line()
	for range 2 {
		other.send(suspect, lost())
	}
	d.now = other.now
	d.closeGate(broken())
	other.now = d.now
	other.begin(suspect)
	d.untilProbe()
	d.begin(d.line()).ends(lost())
	if pause := d.untilProbe(); !within(pause, time.Second) {
		t.Errorf("the next probe goes after %s, want about 1 s", pause)
	}
}
