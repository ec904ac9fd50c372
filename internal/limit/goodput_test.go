package limit_test

import (
	"fmt"
	"testing"
	"time"

	"batchd/internal/limit"
)

// The worlds of this file are simulated: an engine of so many seats in virtual time, and a gate that must find out how
// many calls are worth having in flight. Run with -v for what was measured.

var worldSeeds = []uint64{1001, 1002, 1003}

// endless are engines that queue for ever.
var endless = []struct {
	seats int
	call  time.Duration
}{
	{12, 100 * time.Millisecond},
	{12, time.Second},
	{12, 5 * time.Second},
	{48, 100 * time.Millisecond},
	{48, time.Second},
	{48, 5 * time.Second},
	{200, 100 * time.Millisecond},
	{200, time.Second},
	{200, 5 * time.Second},
	{1000, 2 * time.Second},
}

// inWorlds runs a test for each seed.
func inWorlds(t *testing.T, name string, test func(*testing.T, uint64)) {
	for _, seed := range worldSeeds {
		t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
			t.Parallel()
			test(t, seed)
		})
	}
}

// atMost and atLeast are the bars of the tests below.
func atMost(t *testing.T, what string, got, most float64) {
	t.Helper()
	t.Logf("%s %.3f (at most %v)", what, got, most)
	if got > most {
		t.Errorf("%s %.3f, want at most %v", what, got, most)
	}
}

func atLeast(t *testing.T, what string, got, least float64) {
	t.Helper()
	t.Logf("%s %.3f (at least %v)", what, got, least)
	if got < least {
		t.Errorf("%s %.3f, want at least %v", what, got, least)
	}
}

func TestAnEndlessQueueIsKeptBusyButNotFilled(t *testing.T) {
	t.Parallel()
	for _, c := range endless {
		inWorlds(t, fmt.Sprintf("%d seats, %s", c.seats, c.call), func(t *testing.T, seed uint64) {
			s, seats := newSeats(c.seats, -1, c.call, seed), float64(c.seats)
			s.dispatch(0)
			soon := max(90*time.Second, 30*c.call)
			atMost(t, "seconds to 80%", s.until(0.8, 10*time.Minute).Seconds(), soon.Seconds())
			s.run(max(0, start.Add(max(2*time.Minute, 60*c.call)).Sub(s.now)))
			atMost(t, "peak in flight, times the seats", float64(s.peak)/seats, 3)
			share, flight := s.run(max(time.Minute, 120*c.call))
			atLeast(t, "share", share, 0.95)
			atMost(t, "mean in flight, times the seats", flight/seats, 1.3)
		})
	}
}

func TestAConfiguredLimitFiveTimesTooHighComesDown(t *testing.T) {
	t.Parallel()
	for _, c := range endless[:9] {
		switch {
		case c.seats == 12 && c.call == 5*time.Second:
			continue // 2.4 answers a second: five minutes are not enough to tell
		case c.seats == 200 && c.call < time.Second:
			continue // a million answers show nothing that fewer do not
		}
		inWorlds(t, fmt.Sprintf("%d seats, %s", c.seats, c.call), func(t *testing.T, seed uint64) {
			s := newSeats(c.seats, -1, c.call, seed)
			s.dispatch(5 * c.seats)
			share, _ := s.run(5 * time.Minute)
			atLeast(t, "share", share, 0.95)
			_, flight := s.run(time.Minute)
			atMost(t, "in flight after 5 min, times the seats", flight/float64(c.seats), 2.5)
			atMost(t, "peak", float64(s.peak), float64(5*c.seats))
		})
	}
}

func TestTheRightConfiguredLimitCostsAtMostTwoPercent(t *testing.T) {
	t.Parallel()
	for _, call := range []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second} {
		inWorlds(t, call.String(), func(t *testing.T, seed uint64) {
			s := newSeats(64, -1, call, seed)
			s.dispatch(64)
			share, _ := s.run(max(2*time.Minute, 240*call))
			atLeast(t, "share", share, 0.98)
		})
	}
}

func TestRoomThatIsLostAndComesBackIsFollowed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		seats int
		call  time.Duration
		share float64
	}{
		{48, time.Second, 0.92},
		{240, time.Second, 0.92},
		{240, 5 * time.Second, 0.92},
		{48, 5 * time.Second, 0.80}, // 3 answers a second while room is lost
	} {
		inWorlds(t, fmt.Sprintf("%d seats, %s", c.seats, c.call), func(t *testing.T, seed uint64) {
			s := newSeats(c.seats, -1, c.call, seed)
			s.dispatch(0)
			s.run(8 * time.Minute)
			s.after(2*time.Minute, func() { s.n = c.seats / 3 })
			s.after(7*time.Minute, func() { s.n = c.seats })
			share, _ := s.run(12 * time.Minute)
			atLeast(t, "share", share, c.share)
		})
	}
}

func TestFourTimesTheRoomIsFoundWithinThreeMinutes(t *testing.T) {
	t.Parallel()
	for _, call := range []time.Duration{time.Second, 5 * time.Second} {
		inWorlds(t, call.String(), func(t *testing.T, seed uint64) {
			s := newSeats(48, -1, call, seed)
			s.dispatch(0)
			s.run(10 * time.Minute)
			s.after(0, func() { s.n = 192 })
			atMost(t, "seconds to 80%", s.until(0.8, 10*time.Minute).Seconds(), 180)
		})
	}
}

func TestTwoDispatchersShareAnEndlessQueue(t *testing.T) {
	t.Parallel()
	for _, call := range []time.Duration{time.Second, 5 * time.Second} {
		for _, later := range []time.Duration{0, 5 * time.Minute} {
			inWorlds(t, fmt.Sprintf("%s, the second %s later", call, later), func(t *testing.T, seed uint64) {
				s := newSeats(48, -1, call, seed)
				first := s.dispatch(0)
				s.run(later)
				second := s.dispatch(0)
				s.run(10 * time.Minute)
				share, flight := s.run(10 * time.Minute)
				atLeast(t, "share", share, 0.95)
				smaller := float64(min(first.served, second.served)) / float64(first.served+second.served)
				atLeast(t, "share of the smaller", smaller, 0.15)
				atMost(t, "in flight, times the seats", flight/48, 3.5)
			})
		}
	}
}

func TestABoundedQueueIsKeptBusyWithFewRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ seats, queue int }{{48, 8}, {12, 0}, {12, 12}} {
		for _, call := range []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second} {
			inWorlds(t, fmt.Sprintf("%d+%d seats, %s", c.seats, c.queue, call), func(t *testing.T, seed uint64) {
				s := newSeats(c.seats, c.queue, call, seed)
				s.dispatch(0)
				s.run(max(2*time.Minute, 60*call))
				share, _ := s.run(max(5*time.Minute, 240*call))
				atLeast(t, "share", share, 0.95)
				atMost(t, "refusals per thousand", 1000*float64(s.refused)/float64(s.refused+s.served), 5.5)
			})
		}
	}
}

func TestUsageTellsLongerAnswersFromWaiting(t *testing.T) {
	t.Parallel()
	inWorlds(t, "200 seats", func(t *testing.T, seed uint64) {
		s := newSeats(48, -1, 200*time.Millisecond, seed)
		s.tokens = true
		s.dispatch(0)
		s.run(5 * time.Minute)
		s.mean, s.sigma, s.n = 10*time.Second, 0.1, 200 // what comes is fifty times as long, and all alike
		s.run(5 * time.Minute)
		share, flight := s.run(10 * time.Minute)
		atLeast(t, "share", share, 0.95)
		atMost(t, "mean in flight, times the seats", flight/200, 1.3)
	})
}

func TestAnEngineThatSlowsDownIsUsedForWhatItIsWorth(t *testing.T) {
	t.Parallel()
	for _, slow := range []float64{64, 256} {
		for _, concurrency := range []int{0, 1024} {
			inWorlds(t, fmt.Sprintf("twice as slow with %v, from %d", slow, concurrency), func(t *testing.T, seed uint64) {
				s := newSeats(256, -1, time.Second, seed)
				s.slow = slow
				s.dispatch(concurrency)
				s.run(5 * time.Minute)
				_, flight := s.run(10 * time.Minute)
				best := 256 / (1 + 256/slow) * 600
				atLeast(t, "share of what all seats serve", float64(s.served)/best, 0.88)
				atMost(t, "mean in flight, times the seats", flight/256, 1.4)
			})
		}
	}
}

func TestEveryChangeOfTheLimitIsTold(t *testing.T) {
	t.Parallel()
	s := newSeats(48, -1, time.Second, 1)
	at, began := 8, start
	why := map[limit.Step]int{}
	d := s.dispatchWith(limit.Options{Changed: func(c limit.Change) {
		if c.From != at || c.To == at || c.At.Before(began) {
			t.Errorf("change %+v after the limit had been %d since %s", c, at, began)
		}
		at, began = c.To, c.At
		why[c.Why]++
	}})
	s.run(10 * time.Minute)
	if d.gate.Limit() != at {
		t.Errorf("limit %d, told of %d", d.gate.Limit(), at)
	}
	for _, step := range []limit.Step{limit.StepRamp, limit.StepUp, limit.StepDown, limit.StepBack} {
		if why[step] == 0 {
			t.Errorf("no change for %q in ten minutes: %v", step, why)
		}
	}
}

func TestWithoutWorkTheLimitStaysWhereItIs(t *testing.T) {
	t.Parallel()
	s := newSeats(1000, -1, time.Second, 1)
	d := s.dispatch(0)
	d.most = 5
	s.run(time.Hour)
	if d.gate.State().Step != limit.StepRamp || d.gate.Limit() != 8 {
		t.Errorf("step %q, limit %d with five calls in flight; want the ramp's start", d.gate.State().Step, d.gate.Limit())
	}
}

func TestFailuresBesideAnswersDoNotStopTheRamp(t *testing.T) {
	t.Parallel()
	s := newSeats(48, -1, time.Second, 1)
	s.broken = 0.25
	s.dispatch(0)
	share, _ := s.run(5 * time.Minute)
	atLeast(t, "share with a quarter of the calls failing", share, 0.85)
}

func BenchmarkTakeStartDone(b *testing.B) {
	s := newSeats(1, -1, time.Second, 1)
	d := s.dispatch(64)
	h, signal := limit.History{Batch: "batch"}, limit.Signal{Kind: limit.Served, Status: 200}
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		p, _, ok := d.gate.Take(now)
		if !ok {
			b.Fatal("no permit")
		}
		p.Start(now, &h)
		p.Done(now.Add(time.Millisecond), &h, &signal, nil)
	}
}
