package batching_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"batchd/internal/sim/batching"
)

func newSeats(t testing.TB, opts batching.SeatOptions) *batching.Seats {
	t.Helper()
	s, err := batching.NewSeats(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func call(service time.Duration) batching.Request {
	return batching.Request{Service: service, OutputTokens: 7}
}

func TestACallHoldsItsSeatForItsService(t *testing.T) {
	t.Parallel()
	s := newSeats(t, batching.SeatOptions{Seats: 2, Queue: -1})
	for _, service := range []time.Duration{35 * time.Millisecond, 20 * time.Millisecond, 15 * time.Millisecond} {
		submit(t, s, call(service))
	}
	order, end := finish(t, s, 0)
	if !cmp.Equal(order, []batching.ID{2, 1, 3}) || end != 35*time.Millisecond {
		t.Errorf("finished %v by %v, want 2, 1 and 3 by 35ms", order, end)
	}
	if d := s.FirstTokens(false); d.Count() != 3 || d.Max() != 20*time.Millisecond {
		t.Errorf("%d seats were given, the last after %v", d.Count(), d.Max())
	}
	want := batching.Gauges{Finished: 3, OutputTokens: 21}
	if d := cmp.Diff(want, s.Gauges(end)); d != "" {
		t.Errorf("gauges (-want +got):\n%s", d)
	}
}

func TestSeatsHaveABoundedQueueInOrderOfPriority(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opts     batching.SeatOptions
		accepted int
		want     []batching.ID
	}{
		{batching.SeatOptions{Seats: 2}, 2, []batching.ID{1, 2}},
		{batching.SeatOptions{Seats: 2, Queue: 1}, 3, []batching.ID{1, 2, 3}},
		{batching.SeatOptions{Seats: 1, Queue: -1}, 4, []batching.ID{1, 2, 3, 4}},
		{batching.SeatOptions{Seats: 1, Queue: -1, ByPriority: true}, 4, []batching.ID{4, 3, 2, 1}},
	} {
		s := newSeats(t, c.opts)
		accepted := 0
		for i := range 4 {
			r := call(time.Second)
			r.Priority = -i
			switch _, err := s.Submit(0, r); {
			case err == nil:
				accepted++
			case !errors.Is(err, batching.ErrQueueFull):
				t.Errorf("%+v: Submit = %v", c.opts, err)
			}
		}
		if order, _ := finish(t, s, 0); accepted != c.accepted || !cmp.Equal(order, c.want) {
			t.Errorf("%+v: %d accepted, finished %v; want %d, %v", c.opts, accepted, order, c.accepted, c.want)
		}
		if got := s.Gauges(0).Refused; got != int64(4-accepted) {
			t.Errorf("%+v: %d refused", c.opts, got)
		}
	}
}

func TestSeatsFollowATimetable(t *testing.T) {
	t.Parallel()
	s := newSeats(t, batching.SeatOptions{Seats: 4, Queue: -1, Room: []batching.Level{
		{At: time.Second, Factor: 0.25}, {At: 3 * time.Second, Factor: 2},
	}})
	for range 20 {
		submit(t, s, call(time.Second))
	}
	now := time.Duration(0)
	for _, c := range []struct {
		at      time.Duration
		running int
	}{{900 * time.Millisecond, 4}, {1500 * time.Millisecond, 1}, {2500 * time.Millisecond, 1}, {3500 * time.Millisecond, 8}} {
		for now < c.at {
			now += s.Step(now).Took
		}
		if g := s.Gauges(now); g.Running != c.running || g.KVUsage != 1 {
			t.Errorf("at %v: %+v, want %d running on all seats", now, g, c.running)
		}
	}
}

func TestSeatsForgetACancelledCall(t *testing.T) {
	t.Parallel()
	s := newSeats(t, batching.SeatOptions{Seats: 1, Queue: -1})
	for range 3 {
		submit(t, s, call(time.Second))
	}
	s.Step(0)
	for _, id := range []batching.ID{1, 2} {
		if !s.Cancel(id) || s.Cancel(id) {
			t.Errorf("Cancel(%d) is not true once and then false", id)
		}
	}
	if order, end := finish(t, s, tickLength); !cmp.Equal(order, []batching.ID{3}) || end != tickLength+time.Second {
		t.Errorf("finished %v by %v", order, end)
	}
}

// tickLength is how long an iteration of Seats lasts at most.
const tickLength = 10 * time.Millisecond

func TestWrongSeatsAreNamed(t *testing.T) {
	t.Parallel()
	for _, opts := range []batching.SeatOptions{{}, {Seats: 1, Room: []batching.Level{{Factor: math.Inf(1)}}}} {
		if _, err := batching.NewSeats(opts); err == nil {
			t.Errorf("NewSeats(%+v) succeeded", opts)
		}
	}
	s := newSeats(t, batching.SeatOptions{Seats: 1})
	if _, err := s.Submit(0, call(0)); !errors.Is(err, batching.ErrNeverFits) {
		t.Errorf("a call of no time: %v, want ErrNeverFits", err)
	}
}

// With one seat, each call ends when those before it have ended and its own time has passed, as a queue on paper says.
func TestOneSeatIsAQueueOnPaper(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, err := batching.NewSeats(batching.SeatOptions{Seats: 1, Queue: -1})
		if err != nil {
			t.Fatal(err)
		}
		services := rapid.SliceOfN(rapid.Int64Range(1, int64(50*time.Millisecond)), 1, 40).Draw(t, "services")
		var due, got []time.Duration
		sum := time.Duration(0)
		for _, service := range services {
			sum += time.Duration(service)
			due = append(due, sum)
			if _, err := s.Submit(0, call(time.Duration(service))); err != nil {
				t.Fatal(err)
			}
		}
		for now := time.Duration(0); len(got) < len(due); {
			it := s.Step(now)
			if now += it.Took; now > sum {
				t.Fatalf("%d of %d by %v", len(got), len(due), now)
			}
			for range it.Finished {
				got = append(got, now)
			}
		}
		if d := cmp.Diff(due, got); d != "" {
			t.Fatalf("ends (-want +got):\n%s", d)
		}
	})
}
