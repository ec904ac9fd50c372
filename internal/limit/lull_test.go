package limit_test

import (
	"testing"
	"time"

	"batchd/internal/limit"
)

// crowd has others served without a break for so long.
func (d *desk) crowd(passed time.Duration) {
	d.t.Helper()
	for end := d.now.Add(passed); d.now.Before(end); d.pass(time.Second) {
		d.serve(1)
	}
}

// refusedInACrowd has a line refused ten times in ten minutes while others are served, and returns its last verdict.
func (d *desk) refusedInACrowd(h *limit.History, s *limit.Signal) (v limit.Verdict) {
	d.t.Helper()
	for range 11 {
		v = d.send(h, s)
		d.crowd(time.Minute)
	}
	return v
}

func TestALineIsGivenUpForWantOfRoomOnlyWhenNobodyElseAsksForIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ retryAfter, quiet time.Duration }{
		"10 s":                     {0, 10 * time.Second},
		"10 s at least":            {5 * time.Second, 10 * time.Second},
		"as long as Retry-After":   {20 * time.Second, 20 * time.Second},
		"a minute and not an hour": {time.Hour, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 8)
			line := d.line()
			refused := noRoom(429, c.retryAfter)
			if v := d.refusedInACrowd(line, refused); v.Final || v.Lull != c.quiet {
				t.Fatalf("verdict %+v, want to wait for a lull of %s", v, c.quiet)
			}
			d.gate.Hold(d.now, c.quiet)
			held := d.now
			if wait := d.mustWait(); wait.Reason != limit.ReasonNoRoom {
				t.Errorf("the wait's reason is %s", wait.Reason)
			}
			if pause := d.untilProbe(); pause != c.quiet {
				t.Errorf("the lull lasts %s, want %s", pause, c.quiet)
			}
			p, _, _ := d.gate.Take(d.now)
			if p.Turn() != limit.TurnLull {
				t.Errorf("the turn is %d, want the line's that the lull is for", p.Turn())
			}
			last := d.start(p, line)
			if wait := d.mustWait(); !wait.Next.IsZero() {
				t.Errorf("beside it: %+v, want to wait for its end", wait)
			}
			if v := last.ends(refused); !v.Final {
				t.Errorf("verdict %+v, want it given up", v)
			}
			d.serve(1)
			d.mayHoldOnlyAfter(20*d.now.Sub(held) - time.Second)
		})
	}
}

// mayHoldOnlyAfter checks that the gate cannot be held before, and can be held a little later.
func (d *desk) mayHoldOnlyAfter(passed time.Duration) {
	d.t.Helper()
	d.pass(passed)
	d.gate.Hold(d.now, 10*time.Second)
	d.serve(1)
	d.pass(2 * time.Second)
	d.gate.Hold(d.now, 10*time.Second)
	d.mustWait()
}

func TestALullIsAsLongAfterTheLastServedCall(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	calls := d.beginMany(2)
	d.gate.Hold(d.now, 10*time.Second)
	d.pass(5 * time.Second)
	calls[0].ends(served())
	if wait := d.mustWait(); !wait.Next.IsZero() {
		t.Errorf("named %s while a call is in flight", wait.Next)
	}
	d.pass(time.Second)
	calls[1].ends(served())
	if pause := d.untilProbe(); pause != 10*time.Second {
		t.Errorf("the lull lasts another %s, want 10 s after the last served call", pause)
	}
}

func TestALullThatNobodyNeedsIsLetGo(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.serve(1)
	d.gate.Hold(d.now, 10*time.Second)
	d.pass(5 * time.Second)
	d.gate.Hold(d.now, time.Minute) // it is being held already
	if _, ok := d.gate.TakeProven(d.now); ok {
		t.Error("a proven line goes out in a lull")
	}
	d.gate.Unhold(d.now)
	d.gate.Unhold(d.now)
	d.serve(1)
	d.mayHoldOnlyAfter(99 * time.Second)
}

func TestACallInALullThatIsAbandonedEndsTheLull(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.gate.Hold(d.now, 10*time.Second)
	d.untilProbe()
	d.begin(d.line()).ends(abandoned())
	d.gate.Unhold(d.now) // nobody else needs it
	d.beginMany(8)
}

func TestALineThatFindsAQuietGateNeedsNoLull(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	line := d.line()
	d.refusedInACrowd(line, noRoom(429, 0))
	d.pass(9 * time.Second)
	if v := d.send(line, noRoom(429, 0)); !v.Final {
		t.Errorf("verdict %+v, want it given up", v)
	}
}

func TestAGateIsNotQuietWhileAnotherCallMayBeServed(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	line := d.line()
	d.refusedInACrowd(line, noRoom(429, 0))
	d.pass(9 * time.Second)
	d.begin(d.line())
	d.pass(time.Second)
	if v := d.send(line, noRoom(429, 0)); v.Final || v.Lull == 0 {
		t.Errorf("verdict %+v, want another try: the other call may have the room", v)
	}
}

func TestACallThatTakesItsTimeIsTakenForOneThatIsServed(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	line := d.line()
	d.refusedInACrowd(line, noRoom(429, 0))
	long := d.begin(d.line())
	d.pass(time.Second)
	d.send(d.line(), answered()) // another may come and go
	d.pass(29 * time.Second)
	if v := d.send(line, noRoom(429, 0)); v.Final || v.Lull == 0 {
		t.Errorf("verdict %+v, want to wait for a lull", v)
	}
	long.ends(served())
}
