package dispatchbench

// kind tells contenders apart that are held to different bars.
type kind int

// The kinds: batchd that is told nothing, and batchd that reads the engine's metrics, are held to bars; no other is.
const (
	other kind = iota
	auto
	metrics
)

// contender is a way of limiting that takes part.
type contender struct {
	name string
	kind kind
	// limit is the number that a contender named without one has in this scenario.
	limit int
	// limiter returns a new one for a client.
	limiter func(seed uint64) limiter
}

// contenders returns those of a scenario whose best fixed limit is known.
func contenders(s *scenario, best int) []contender {
	large := 5 * best // what a user might guess
	if s.seats > 0 {
		large = 5 * s.seats
	}
	list := []contender{
		{"fixed 64", other, 0, fixedAt(64)},
		{"fixed 256", other, 0, fixedAt(256)},
		{"fixed 1,024", other, 0, fixedAt(1024)},
		{"best fixed", other, best, fixedAt(best)},
		{"failsafe-go", other, 0, func(seed uint64) limiter { return newFailsafe(seed) }},
		{"batchd, set too high", other, large, func(seed uint64) limiter { return newGate(large, seed) }},
		{"batchd", auto, 0, func(seed uint64) limiter { return newGate(0, seed) }},
	}
	if _, ok := newGateWithMetrics(0); ok {
		list = append(list, contender{"batchd, metrics", metrics, 0, func(seed uint64) limiter {
			g, _ := newGateWithMetrics(seed)
			return g
		}})
	}
	return list
}

func fixedAt(limit int) func(uint64) limiter {
	return func(seed uint64) limiter { return newFixed(limit, seed) }
}

const (
	// leastFixed and mostFixed bound the search for the best fixed limit, which is the least that comes goodEnough to the
	// best of all: more in flight than needed is no merit.
	leastFixed, mostFixed = 4, 2048
	goodEnough            = 0.995
)

// bestFixed searches for the best fixed limit: in doublings, then in sixteenths between the best doubling and the one
// below.
func bestFixed(rate func(limit int) float64) int {
	rates := make(map[int]float64)
	for l := leastFixed; l <= mostFixed; l *= 2 {
		rates[l] = rate(l)
	}
	top := leastGood(rates)
	for i := range 8 {
		l := top/2 + i*top/16
		rates[l] = rate(l)
	}
	return leastGood(rates)
}

// leastGood returns the least limit that is good enough.
func leastGood(rates map[int]float64) int {
	most, least := 0.0, mostFixed
	for _, r := range rates {
		most = max(most, r)
	}
	for l, r := range rates {
		if l > 0 && r >= goodEnough*most {
			least = min(least, l)
		}
	}
	return least
}
