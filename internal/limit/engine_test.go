package limit_test

import (
	"fmt"
	"testing"
	"time"

	"batchd/internal/limit"
)

func always() bool { return true }

func TestReadingsOfTheEngineKeepItsQueueShort(t *testing.T) {
	t.Parallel()
	for _, c := range append(endless, struct {
		seats int
		call  time.Duration
	}{200, 30 * time.Second}) {
		inWorlds(t, fmt.Sprintf("%d seats, %s", c.seats, c.call), func(t *testing.T, seed uint64) {
			s, seats := newSeats(c.seats, -1, c.call, seed), float64(c.seats)
			s.dispatchWith(limit.Options{Shared: seed%2 == 0})
			s.read(always)
			soon := 40 * time.Second
			atMost(t, "seconds to 80%", s.until(0.8, 10*time.Minute).Seconds(), max(soon, 2*c.call).Seconds())
			s.run(max(soon, 10*c.call))
			atMost(t, "peak in flight, times the seats", float64(s.peak)/seats, 3)
			share, flight := s.run(max(time.Minute, 20*c.call))
			atLeast(t, "share", share, 0.97)
			atMost(t, "mean in flight above the seats", flight-seats, max(8, 0.15*seats))
		})
	}
}

func TestReadingsFollowLostRoomAndYieldIt(t *testing.T) {
	t.Parallel()
	inWorlds(t, "48 seats, 5s", func(t *testing.T, seed uint64) {
		s := newSeats(48, -1, 5*time.Second, seed)
		s.dispatchWith(limit.Options{Shared: true})
		s.read(always)
		s.run(3 * time.Minute)
		s.after(0, func() { s.online = 40 })
		s.run(time.Minute)
		_, flight := s.run(5 * time.Minute)
		atMost(t, "in flight where others take 40 of 48 seats", flight, 16)
		s.after(0, func() { s.online = 0 })
		atMost(t, "seconds to 80%", s.until(0.8, 10*time.Minute).Seconds(), 90)
	})
}

func TestReadingsServeTwoDispatchersAndTwoGates(t *testing.T) {
	t.Parallel()
	for _, later := range []time.Duration{0, 5 * time.Minute} {
		for _, gates := range []bool{false, true} {
			inWorlds(t, fmt.Sprintf("one address %v, the second %s later", gates, later), func(t *testing.T, seed uint64) {
				s := newSeats(48, -1, 2*time.Second, seed)
				first := s.dispatch(0)
				s.read(always)
				s.run(later)
				second := s.dispatch(0)
				if gates {
					address := limit.NewAddress(limit.AutoMost, s.rand.Float64)
					first.gate = limit.NewGate(address, limit.Options{Rand: s.rand})
					second.gate = limit.NewGate(address, limit.Options{Rand: s.rand})
				}
				s.run(10 * time.Minute)
				share, flight := s.run(10 * time.Minute)
				atLeast(t, "share", share, 0.95)
				smaller := float64(min(first.served, second.served)) / float64(first.served+second.served)
				atLeast(t, "share of the smaller", smaller, 0.15)
				atMost(t, "in flight", flight, 60)
			})
		}
	}
}

func TestWithoutReadingsASharedEngineGetsFewCalls(t *testing.T) {
	t.Parallel()
	s := newSeats(200, -1, time.Second, 1)
	reads := false
	s.read(func() bool { return reads })
	auto := s.dispatchWith(limit.Options{Shared: true})
	s.run(5 * time.Minute)
	if got := auto.gate.Limit(); got != 8 || auto.gate.State().Step != limit.StepUnknown {
		t.Errorf("limit %d, step %q; want 8 without readings", got, auto.gate.State().Step)
	}
	reads = true
	if share, _ := s.run(2 * time.Minute); share < 0.8 {
		t.Errorf("share %.2f with readings", share)
	}
	reads = false
	s.run(10 * time.Second)
	if got := auto.gate.Limit(); got != 8 {
		t.Errorf("limit %d ten seconds after the last reading, want 8", got)
	}
	if got := newSeats(1, -1, 1, 1).dispatchWith(limit.Options{Shared: true, Concurrency: 64}).gate.Limit(); got != 8 {
		t.Errorf("limit %d at concurrency 64 without readings, want 8", got)
	}
}

func TestWhenReadingsEndGoodputGoesOn(t *testing.T) {
	t.Parallel()
	inWorlds(t, "48 seats, 1s", func(t *testing.T, seed uint64) {
		s := newSeats(48, -1, time.Second, seed)
		reads := true
		s.dispatch(0)
		s.read(func() bool { return reads })
		s.run(2 * time.Minute)
		s.after(0, func() { reads, s.n = false, 96 })
		s.run(3 * time.Minute)
		share, flight := s.run(2 * time.Minute)
		atLeast(t, "share", share, 0.95)
		atMost(t, "mean in flight, times the seats", flight/96, 1.3)
	})
}

func TestReadingsThatDoNotShowTheCallsInFlightDoNotGovern(t *testing.T) {
	t.Parallel()
	inWorlds(t, "48 seats, 1s", func(t *testing.T, seed uint64) {
		s := newSeats(48, -1, time.Second, seed)
		d := s.dispatch(0)
		other := func() bool {
			d.gate.Load(s.now, limit.EngineLoad{Running: 1, At: s.now}, 1) // the queue is in front of this engine
			return false
		}
		s.read(other)
		s.run(3 * time.Minute)
		share, flight := s.run(2 * time.Minute)
		atLeast(t, "share", share, 0.95)
		atMost(t, "mean in flight, times the seats", flight/48, 1.3)
	})
}

func TestEachReadingChangesTheLimitAsItSays(t *testing.T) {
	t.Parallel()
	queued := limit.EngineLoad{Running: 55, Waiting: 5}
	for name, c := range map[string]struct {
		before, load limit.EngineLoad
		age          time.Duration
		replicas     int
		want         int
	}{
		"a queue":                         {load: limit.EngineLoad{Running: 36, Waiting: 24}, want: 50},
		"a queue of four replicas":        {load: limit.EngineLoad{Running: 36, Waiting: 24}, replicas: 4, want: 56},
		"a queue as short as it may be":   {load: limit.EngineLoad{Running: 56, Waiting: 4}, want: 60},
		"requests put back":               {load: limit.EngineLoad{Running: 60, Preemptions: 1}, want: 55},
		"a full cache":                    {load: limit.EngineLoad{Running: 60, KVUsage: 0.95}, want: 60},
		"room before any queue":           {load: limit.EngineLoad{Running: 60, KVUsage: -1}, want: 90},
		"room after a queue":              {before: queued, load: limit.EngineLoad{Running: 60}, want: 64},
		"no word of most calls in flight": {load: limit.EngineLoad{Running: 29}, want: 60},
		"a reading that is too old":       {load: limit.EngineLoad{Running: 36, Waiting: 24}, age: 7 * time.Second, want: 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSeats(1000, -1, 24*time.Hour, 1)
			d := s.dispatch(0)
			for s.run(2 * time.Second); d.gate.Limit() < 60; s.run(2 * time.Second) {
				d.gate.Load(s.now, limit.EngineLoad{Running: s.busy, At: s.now}, 1)
			}
			if c.before.Running > 0 {
				c.before.At = s.now
				d.gate.Load(s.now, c.before, 1)
				s.run(2 * time.Second)
			}
			c.load.At = s.now.Add(-c.age)
			d.gate.Load(s.now, c.load, c.replicas)
			s.run(2 * time.Second)
			if got := d.gate.Limit(); got != c.want {
				t.Errorf("limit %d, want %d", got, c.want)
			}
		})
	}
}
