package dispatchbench

import (
	"testing"
	"time"

	"batchd/internal/sim/batching"
)

const (
	// whole is how long most scenarios last, settled from when on they are measured.
	whole   = 20 * time.Minute
	settled = 8 * time.Minute
)

// scenario is an engine and what it is asked to do.
type scenario struct {
	name, title string
	// what says in a sentence what happens.
	what string
	// engine returns a new one; seats is how many calls it can work on at a time, 0 if that depends on the calls.
	engine func(t testing.TB) engine
	seats  int
	mix    batching.Mix
	// come is when each client comes.
	come   []time.Duration
	online bool
	// whole, settled and change are the end, when measuring begins, and when the way to 80% of the best begins.
	whole, settled, change time.Duration
	// bounded is set if the engine refuses.
	bounded bool
	// bars are what batchd is held to, by the kind of contender.
	bars map[kind]bars
}

// run has clients with a limiter each in the scenario.
func (s *scenario) run(t testing.TB, seed uint64, limiters func(seed uint64) limiter) *result {
	w := &world{engine: s.engine(t), calls: make(map[batching.ID]*call)}
	w.meter = meter{from: s.settled, clients: make([]tally, len(s.come))}
	for i, from := range s.come {
		own := seed + uint64(100*i)
		w.clients = append(w.clients, &client{index: i, limiter: limiters(own), mix: s.mix, rand: newRand(own, 1), from: from})
	}
	if s.online {
		w.online = batching.Online().Arrivals(newRand(seed, 4))
	}
	w.run(s.whole)
	return newResult(s, w)
}

// scenarios lists all of them in the order of the document.
func scenarios() []scenario {
	all := []scenario{seatBound(), memoryBound(), gateway(), moreRoom(), sharedEngine(), priorities(), third(), strangers(), lateStranger()}
	all = append(all, boundedSeats(48, 8), boundedSeats(12, 0), boundedSeats(12, 12))
	for i := range all {
		s := &all[i]
		if s.whole == 0 {
			s.whole, s.settled = whole, settled
		}
		if s.come == nil {
			s.come = []time.Duration{0}
		}
	}
	return all
}

// reference returns engines as batching.Reference has them, but for a change.
func reference(change func(*batching.Options)) func(testing.TB) engine {
	return func(t testing.TB) engine {
		o := batching.Reference()
		if change != nil {
			change(&o)
		}
		e, err := batching.New(o)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

// seats returns engines of so many seats.
func seats(o batching.SeatOptions) func(testing.TB) engine {
	return func(t testing.TB) engine {
		e, err := batching.NewSeats(o)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

// calls are requests that hold a seat for so many seconds in the mean.
func calls(mean float64) batching.Mix {
	return batching.Mix{
		Prompt: batching.LogNormal{Mean: 1}, Output: batching.LogNormal{Mean: 100},
		Service: batching.LogNormal{Mean: mean, Sigma: 0.5, Max: 20 * mean},
	}
}
