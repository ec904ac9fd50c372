package limit_test

import (
	"testing"
	"time"

	"batchd/internal/limit"
)

// failsFor has a line fail every so often, nobody being served, and returns after how many tries and how long it is
// given up; no tries if it is not within a day.
func (d *desk) failsFor(h *limit.History, s *limit.Signal, every time.Duration) (tries int, after time.Duration) {
	d.t.Helper()
	var first time.Time
	for n := 1; n < 2000; n++ {
		if v := d.send(h, s); v.Final {
			return n, d.now.Sub(first).Truncate(time.Second)
		}
		if n == 1 {
			first = d.now
		}
		d.pass(every - time.Millisecond)
	}
	return 0, 0
}

func TestALineAloneIsGivenUpAfterItsTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer *limit.Signal
		left   int
		small  bool
		every  time.Duration
		tries  int
		after  time.Duration
	}{
		"broken":                    {broken(), 19, false, time.Minute, 121, 2 * time.Hour},
		"broken, rarely":            {broken(), 19, false, time.Hour, 10, 9 * time.Hour},
		"denied":                    {denied(401), 1, false, time.Minute, 121, 2 * time.Hour},
		"no room":                   {noRoom(429, 0), 1, false, time.Minute, 121, 2 * time.Hour},
		"with 20 left":              {broken(), 20, false, time.Minute, 0, 0},
		"small, with 20 left":       {broken(), 20, true, time.Minute, 0, 0},
		"small, broken":             {broken(), 1, true, time.Minute, 16, 15 * time.Minute},
		"small, broken, rarely":     {broken(), 1, true, time.Hour, 5, 4 * time.Hour},
		"small, denied":             {denied(403), 19, true, time.Minute, 16, 15 * time.Minute},
		"small, 429":                {noRoom(429, 0), 1, true, time.Minute, 11, 10 * time.Minute},
		"small, 429, rarely":        {noRoom(429, 0), 1, true, time.Hour, 3, 2 * time.Hour},
		"small, 503":                {noRoom(503, 0), 1, true, time.Minute, 61, time.Hour},
		"small, unreachable, never": {unreachable(), 1, true, time.Minute, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 8)
			d.queue = limit.Queue{Left: c.left}
			line := d.line()
			line.Small = c.small
			tries, after := d.failsFor(line, c.answer, c.every)
			if tries != c.tries || after != c.after {
				t.Errorf("given up after %d tries and %s, want %d and %s", tries, after, c.tries, c.after)
			}
		})
	}
}

func TestALineIsNotAloneWhileOthersAreServed(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.queue = limit.Queue{Left: 2}
	line := d.line()
	line.Small = true
	d.failsOnce(line, 14*time.Minute)
	d.serve(1)
	d.failsOnce(line, 14*time.Minute)
	if v := d.send(line, broken()); v.Final {
		t.Error("given up 14 minutes after another was served")
	}
	d.pass(2 * time.Minute)
	if v := d.send(line, broken()); !v.Final {
		t.Error("not given up after more than 15 minutes in which nobody was served")
	}
}

// failsOnce has a line fail, and time pass.
func (d *desk) failsOnce(h *limit.History, then time.Duration) {
	d.send(h, broken())
	d.send(h, broken())
	d.pass(then)
}

func TestAProvenLineHasNoStrikeWhileTheGateIsClosedAndOthersWereNeverTried(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	bad := d.proven() // two strikes
	for range 5 {
		if v := d.mustTakeProven(bad).ends(broken()); v.Final {
			t.Fatal("given up though the upstream may be at fault, and fresh lines can tell")
		}
	}
	d.queue.Fresh = false
	for n := 3; n <= 5; n++ {
		if v := d.mustTakeProven(bad).ends(broken()); v.Final != (n == 5) {
			t.Errorf("strike %d: %+v", n, v)
		}
	}
}

func TestAFailureAtAClosedGateIsNoStrike(t *testing.T) {
	t.Parallel()
	d := openGate(t, 8)
	d.closeGate(denied(403))
	line := d.line()
	d.untilProbe()
	d.send(line, denied(403)) // costs nothing
	d.untilProbe()
	d.serve(1)
	if v := d.send(line, denied(403)); v.Final {
		t.Fatal("given up by the first strike")
	}
	d.serve(1)
	if v := d.send(line, denied(403)); v.Final {
		t.Fatal("given up by the second strike")
	}
	d.serve(1)
	if v := d.send(line, denied(403)); !v.Final {
		t.Fatal("not given up by the third strike")
	}
}

func TestTheLastLinesAreJudgedByWordsThatWereProvenToBeAboutLines(t *testing.T) {
	t.Parallel()
	said := func(words string) *limit.Signal {
		s := broken()
		s.Message = words
		return s
	}
	for name, c := range map[string]struct {
		proven int
		words  string
		tries  int
	}{
		"as three lines were told": {3, "too long", 5},
		"as two lines were told":   {2, "too long", 121},
		"told otherwise":           {3, "out of order", 121},
		"told nothing":             {3, "", 121},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openGate(t, 8)
			d.queue = limit.Queue{Left: 50}
			for range c.proven {
				line := d.line()
				for tries := 1; !d.send(line, said("too long")).Final; tries++ {
					if tries == 5 {
						t.Fatal("not given up by five failures with others served between them")
					}
					d.pass(time.Minute)
					d.serve(1)
				}
			}
			d.queue = limit.Queue{Left: 2}
			if tries, _ := d.failsFor(d.line(), said(c.words), time.Minute); tries != c.tries {
				t.Errorf("given up after %d tries, want %d", tries, c.tries)
			}
		})
	}
}
