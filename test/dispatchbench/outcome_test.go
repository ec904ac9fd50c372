package dispatchbench

import (
	"slices"
	"testing"
	"time"
)

// seeds is how many runs each contender has in a scenario.
const seeds = 5

// outcome is what a contender's runs in a scenario came to.
type outcome struct {
	contender
	runs []*result
	// share is of the best fixed limit's throughput with the same seed, in percent; slow is the time to 80% of what that
	// limit reaches at the end, in seconds, infinite if that is never served.
	share, slow figure
	// inFlight and peak are multiples of the seats, or of the best fixed limit where seats depend on the calls.
	inFlight, peak figure
	queue, refused figure
	firstToken     figure
	smaller        figure
}

// comparison is a scenario with the outcomes of all.
type comparison struct {
	scenario
	outcomes []outcome
	// call is how long a call takes at the best fixed limit, in seconds.
	call float64
}

// compare runs all contenders in a scenario. It must be called in a bubble.
func compare(t testing.TB, s *scenario, seeds int) *comparison {
	best := bestFixed(func(limit int) float64 { return s.run(t, 1, fixedAt(limit)).rate })
	unit := s.seats
	if unit == 0 {
		unit = best
	}
	c := &comparison{scenario: *s}
	runs := func(limiter func(uint64) limiter) (list []*result) {
		for seed := range seeds {
			list = append(list, s.run(t, uint64(seed+1), limiter))
		}
		return list
	}
	ideal := runs(fixedAt(best))
	c.call = ideal[0].took.Seconds()
	for _, contender := range contenders(s, best) {
		o := outcome{contender: contender, runs: runs(contender.limiter)}
		o.measure(ideal, float64(unit), s.change)
		c.outcomes = append(c.outcomes, o)
	}
	return c
}

// measure fills the figures; ideal are the runs at the best fixed limit.
func (o *outcome) measure(ideal []*result, unit float64, change time.Duration) {
	o.share, o.smaller = figure{worst: slices.Min[[]float64]}, figure{worst: slices.Min[[]float64]}
	for _, f := range []*figure{&o.slow, &o.inFlight, &o.peak, &o.queue, &o.refused, &o.firstToken} {
		f.worst = slices.Max[[]float64]
	}
	for i, r := range o.runs {
		o.share.add(100 * r.rate / ideal[i].rate)
		o.slow.add(r.reaches(0.8*ideal[i].last(), change))
		o.inFlight.add(r.inFlight / unit)
		o.peak.add(float64(r.peak) / unit)
		o.queue.add(r.queue)
		o.refused.add(r.refused)
		o.firstToken.add(r.firstToken.Seconds())
		o.smaller.add(r.smaller)
	}
}

// figure is one measure of several runs.
type figure struct {
	values []float64
	worst  func([]float64) float64
}

func (f *figure) add(v float64) { f.values = append(f.values, v) }

func (f *figure) median() float64 { return slices.Sorted(slices.Values(f.values))[len(f.values)/2] }
