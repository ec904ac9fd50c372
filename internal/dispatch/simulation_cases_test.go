package dispatch

import (
	"fmt"
	"testing"
	"time"
)

// The worlds of docs/adr/whose-fault.md. Where nothing else is said an upstream serves any call in 100 ms.

// at is a world of one upstream and one batch.
func at(concurrency int, b batchSpec) world {
	return world{upstreams: []upstreamSpec{{name: "u", concurrency: concurrency}}, batches: []batchSpec{b}}
}

// taking sets the time of a good answer on all upstreams.
func (w world) taking(d time.Duration) world {
	for i := range w.upstreams {
		w.upstreams[i].takes = d
	}
	return w
}

// during adds outages to the first upstream.
func (w world) during(o ...outage) world {
	w.upstreams[0].outages = append(w.upstreams[0].outages, o...)
	return w
}

// beside adds a batch.
func (w world) beside(b batchSpec) world {
	w.batches = append(w.batches, b)
	return w
}

func good(n int) batchSpec { return batchSpec{lines: n} }

// having makes lines of a batch bad.
func having(n int, bad func(line, total int) bool, wrong answer) batchSpec {
	return batchSpec{lines: n, bad: bad, wrong: wrong}
}

// Which lines are bad.

func line(n int) func(int, int) bool { return func(i, _ int) bool { return i == n } }

func middleLine(i, total int) bool { return i == total/2 }

func lastLine(i, total int) bool { return i == total-1 }

func all(int, int) bool { return true }

func block(from, to int) func(int, int) bool {
	return func(i, _ int) bool { return i >= from && i < to }
}

func every(n int) func(int, int) bool { return func(i, _ int) bool { return i%n == n/2 } }

// scattered makes about so many of each thousand lines bad, the same ones each time.
func scattered(perMille uint64) func(int, int) bool {
	return func(i, _ int) bool {
		h := (uint64(i) + 1) * 0x9e3779b97f4a7c15
		h ^= h >> 29
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 32
		return h%1000 < perMille
	}
}

const (
	ms   = time.Millisecond
	sec  = time.Second
	min1 = time.Minute
)

// secs and mins are times with decimals.
func secs(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
func mins(m float64) time.Duration { return time.Duration(m * float64(time.Minute)) }

func casesOfOneBadLine() []worldCase {
	var cases []worldCase
	for _, r := range []struct {
		concurrency, lines int
		end                float64
	}{{64, 200, 6.4}, {64, 1000, 6.9}, {64, 2000, 7.5}, {16, 200, 7}, {16, 1000, 8}, {16, 2000, 13}, {4, 200, 8.5}, {4, 1000, 25.5}, {4, 2000, 51}} {
		cases = append(cases, worldCase{
			group: "1", name: fmt.Sprintf("one 403 of %d, %d in flight", r.lines, r.concurrency),
			world: at(r.concurrency, having(r.lines, middleLine, status(403))),
			bars:  with(ends(secs(1.1*r.end)), wasted(3), goodLate()),
		})
	}
	return cases
}

func TestWhoseFaultItIs(t *testing.T) {
	testCases(t, casesOfOneBadLine())
}
