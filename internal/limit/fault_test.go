package limit_test

import (
	"testing"
	"time"

	"batchd/internal/limit"
)

// among sends a line again and again, others being served before each try, until it is given up; it returns the pauses
// between. It fails the test if that takes more than most tries.
func (d *desk) among(h *limit.History, s *limit.Signal, most int) (pauses []time.Duration) {
	d.t.Helper()
	for range most {
		d.serve(1)
		v := d.send(h, s)
		if v.Final {
			return pauses
		}
		pauses = append(pauses, v.Pause)
		d.pass(v.Pause)
	}
	d.t.Fatalf("not given up after %d tries", most)
	return nil
}

func seconds(ns ...int) []time.Duration {
	var all []time.Duration
	for _, n := range ns {
		all = append(all, time.Duration(n)*time.Second)
	}
	return all
}

func TestALineThatFailsAmongOthersThatAreServedIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer *limit.Signal
		pauses []time.Duration
	}{
		"403":    {denied(403), seconds(1, 5)},
		"401":    {denied(401), seconds(1, 5, 15, 45)},
		"402":    {denied(402), seconds(1, 5, 15, 45)},
		"broken": {broken(), seconds(1, 5, 15, 45)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 8)
			line := d.line()
			pauses := d.among(line, c.answer, 20)
			if len(pauses) != len(c.pauses) {
				t.Fatalf("given up after pauses of %v, want %v", pauses, c.pauses)
			}
			for i, want := range c.pauses {
				if pauses[i] != want {
					t.Errorf("pause %d is %s, want %s", i, pauses[i], want)
				}
			}
			if last, ok := line.Last(); !ok || last.Status != c.answer.Status || line.Tries() != len(pauses)+1 || !line.Proven() {
				t.Errorf("last %+v, %d tries, proven %v", last, line.Tries(), line.Proven())
			}
		})
	}
}

func TestALineIsGivenUpOnlyAfterOthersWereServedBetweenItsTries(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(d *desk, long *call){
		"nothing":                  func(*desk, *call) {},
		"one that began earlier":   func(_ *desk, long *call) { long.ends(served()) },
		"one that was answered":    func(d *desk, _ *call) { d.send(d.line(), answered()) },
		"one that was given up":    func(d *desk, _ *call) { d.send(d.line(), abandoned()) },
		"one that failed likewise": func(d *desk, _ *call) { d.send(d.line(), denied(403)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 64)
			line := d.line()
			long := d.begin(d.line())
			for n := range 20 {
				d.pass(time.Millisecond)
				if v := d.send(line, denied(403)); v.Final {
					t.Fatal("given up")
				}
				d.pass(time.Millisecond)
				if n == 0 || name != "one that began earlier" {
					between(d, long)
				}
				d.pass(time.Minute)
			}
			if line.Proven() {
				t.Error("proven")
			}
		})
	}
}

func TestACallServedBesideAFailedOneProvesNothingUnlessItEndedLater(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		later time.Duration
		want  bool
	}{"ended before": {-time.Millisecond, false}, "ended next, at the same time": {0, true}, "ended after": {time.Millisecond, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 64)
			line := d.line()
			failing := d.begin(line)
			other := d.begin(d.line())
			d.pass(time.Second)
			if c.later < 0 {
				other.ends(served())
			}
			d.pass(time.Millisecond)
			failing.ends(broken())
			if c.later >= 0 {
				d.pass(c.later)
				other.ends(served())
			}
			d.pass(time.Second)
			d.send(line, broken())
			if line.Proven() != c.want {
				t.Errorf("proven %v, want %v", line.Proven(), c.want)
			}
		})
	}
}

func TestAnOutageCostsALineOneStrike(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	line := d.line()
	for outage := 1; ; outage++ {
		v := d.send(line, denied(403))
		if v.Final != (outage == 3) || line.Proven() != (outage > 1) {
			t.Errorf("outage %d: %+v, proven %v", outage, v, line.Proven())
		}
		if v.Final {
			return
		}
		d.closeGate(denied(403))
		for range 10 {
			d.untilProbe()
			if v := d.send(line, denied(403)); v.Final {
				t.Errorf("given up within outage %d", outage)
			}
		}
		d.untilProbe()
		d.serve(1)
	}
}

func TestFailuresOfOtherKindsAreCountedByThemselves(t *testing.T) {
	t.Parallel()
	d := openGate(t, 64)
	line := d.line()
	for _, s := range []*limit.Signal{denied(403), broken(), denied(403)} {
		if v := d.send(line, s); v.Final {
			t.Fatalf("given up after %+v", s)
		}
		d.serve(1)
	}
	if v := d.send(line, denied(403)); !v.Final {
		t.Error("not given up by the third 403 of its own")
	}

	line = d.line()
	for range 9 {
		d.send(line, noRoom(429, 0))
		d.pass(2 * time.Minute)
		d.serve(1)
	}
	if v := d.send(line, denied(401)); v.Final || line.Proven() {
		t.Errorf("verdict %+v, proven %v after the first 401", v, line.Proven())
	}
}

func TestALineWithoutRoomIsGivenUpOnlyAfterTenTriesAndItsTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		after  time.Duration
	}{"429": {429, 10 * time.Minute}, "503": {503, time.Hour}, "529": {529, time.Hour}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 8)
			line := d.line()
			first := d.now.Add(time.Millisecond)
			for n := 1; ; n++ {
				d.pass(time.Minute) // nobody is served then
				v := d.send(line, noRoom(c.status, 0))
				if n == 1 {
					first = d.now
				}
				due := n >= 10 && d.now.Sub(first) >= c.after
				if v.Final != due {
					t.Fatalf("try %d after %s: %+v", n, d.now.Sub(first), v)
				}
				if due {
					break
				}
				d.serve(1)
			}
		})
	}
}

func TestALineWithoutRoomRestsLongerEachTimeAndAsLongAsItIsTold(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	line := d.line()
	for i, want := range seconds(1, 2, 4, 8, 16, 30, 30) {
		if v := d.send(line, noRoom(429, 0)); !about(v.Pause, want) {
			t.Errorf("pause %d is %s, want %s", i, v.Pause, want)
		}
	}
	if v := d.send(line, noRoom(429, 100*time.Second)); !about(v.Pause, 100*time.Second) {
		t.Errorf("pause of %s, want the 100 s that were asked for", v.Pause)
	}
}

// about reports whether a pause is as long as wanted or, where pauses no longer grow, up to a tenth longer.
func about(pause, want time.Duration) bool { return pause >= want && pause <= want+want/10 }

func TestAnUnreachableLineRestsLongerEachTimeAndIsNeverGivenUp(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.queue = limit.Queue{Left: 1}
	line := d.line()
	line.Small = true
	pauses := seconds(1, 2, 4, 8, 16, 30)
	end := d.now.AddDate(1, 0, 0)
	for n := 0; d.now.Before(end); n++ {
		v := d.send(line, unreachable())
		if v.Final || !about(v.Pause, pauses[min(n, 5)]) {
			t.Fatalf("try %d: %+v", n, v)
		}
		d.pass(v.Pause + time.Hour)
	}
}

func TestWhereLinesRecoverOthersHaveEightStrikes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		recovered int
		apart     time.Duration
		later     time.Duration
		tries     int
	}{
		"two lines":                   {2, time.Minute, 0, 3},
		"three lines":                 {3, 9 * time.Minute, 0, 8},
		"four, but not close by":      {4, 11 * time.Minute, 0, 3},
		"three, but too long ago now": {3, time.Minute, 11 * time.Minute, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 8)
			for range c.recovered {
				d.pass(c.apart)
				line := d.line()
				d.send(line, denied(403))
				d.send(line, served())
			}
			d.pass(c.later)
			if got := len(d.among(d.line(), denied(403), 20)) + 1; got != c.tries {
				t.Errorf("given up after %d tries, want %d", got, c.tries)
			}
			if got := len(d.among(d.line(), broken(), 20)) + 1; got != 5 {
				t.Errorf("broken: given up after %d tries, want 5 as ever", got)
			}
		})
	}
}

func TestALineThatFailedOnlyInAnOutageDoesNotShowChance(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.closeGate(denied(403))
	var put []*limit.History
	for range 3 {
		d.untilProbe()
		line := d.line()
		d.send(line, denied(403))
		put = append(put, line)
	}
	d.untilProbe()
	d.serve(1)
	for _, line := range put {
		d.send(line, served())
	}
	if got := len(d.among(d.line(), denied(403), 20)) + 1; got != 3 {
		t.Errorf("given up after %d tries, want 3", got)
	}
}

func TestALineThatIsRefusedAgainLowersTheLimitNoFurther(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	calls := d.beginMany(7)
	h := d.line()
	d.send(h, noRoom(429, 0))
	d.wantLimit(7, false)
	calls[0].ends(served()) // it began before, so whose fault the refusal was is not known
	d.send(h, noRoom(429, 0))
	d.wantLimit(7, false)
	d.send(d.line(), noRoom(429, 0))
	d.wantLimit(6, false)
	calls[1].ends(served())
	d.send(d.line(), served())
	d.send(h, noRoom(429, 0))
	d.pass(time.Second)
	d.begin(d.line())
	d.wantLimit(7, false) // given back, as another was served meanwhile
}

func TestAProvenLineRestsByItsStrikes(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.closeGate(broken())
	h := d.line()
	for range 3 {
		d.untilProbe()
		if v := d.send(h, denied(403)); v.Final {
			t.Fatal("given up in an outage")
		}
	}
	d.untilProbe()
	d.send(d.line(), served())
	if v := d.send(h, denied(403)); v.Final || v.Pause != time.Second {
		t.Errorf("after the first failure of its own: %+v, want to rest for 1 s", v)
	}
	if v := d.send(h, denied(403)); v.Final || v.Pause != 5*time.Second {
		t.Errorf("after the second: %+v, want to rest for 5 s", v)
	}
	if v := d.send(h, denied(403)); !v.Final {
		t.Errorf("after the third: %+v, want to be given up", v)
	}
}
