package dispatch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The worlds of docs/adr/0015-whose-fault.md. Where nothing else is said an upstream serves any call in 100 ms.

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
	wrong.signal.Message = "what is wrong with the line" // upstreams say that, and an outage says something else
	return batchSpec{lines: n, bad: bad, wrong: wrong}
}

// Which lines are bad.

func line(n int) func(int, int) bool { return func(i, _ int) bool { return i == n } }

// middleLine is not quite in the middle: where a line stands decides when its pauses are over.
func middleLine(i, total int) bool { return i == total*2/5 }

func lastLine(i, total int) bool { return i == total-1 }

func all(int, int) bool { return true }

func block(from, to int) func(int, int) bool {
	return func(i, _ int) bool { return i >= from && i < to }
}

func every(n int) func(int, int) bool { return func(i, _ int) bool { return i%n == n-1 } }

// scattered makes about so many of each thousand lines bad, the same ones each time.
func scattered(perMille uint64) func(int, int) bool { return scatteredFrom(0, perMille) }

func scatteredFrom(seed, perMille uint64) func(int, int) bool {
	return func(i, _ int) bool {
		return rand.New(rand.NewPCG(seed, uint64(i))).Uint64N(1000) < perMille
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
	cases := []worldCase{}
	add := func(name string, w world, bars ...bar) {
		cases = append(cases, worldCase{group: "1", name: name, world: w, bars: with(bars...)})
	}
	for _, r := range []struct {
		concurrency, lines int
		end                float64
	}{{64, 200, 6.4}, {64, 1000, 6.9}, {64, 2000, 7.5}, {16, 200, 7}, {16, 1000, 8}, {16, 2000, 13}, {4, 200, 8.5}, {4, 1000, 25.5}, {4, 2000, 51}} {
		add(fmt.Sprintf("one 403 of %d, %d in flight", r.lines, r.concurrency),
			at(r.concurrency, having(r.lines, middleLine, status(403))), ends(secs(1.1*r.end)), wasted(3), goodLate())
	}
	for _, code := range []int{401, 402, 404} {
		add(fmt.Sprintf("one %d of 1,000, 64 in flight", code), at(64, having(1000, middleLine, status(code))), ends(70*sec), wasted(5), goodLate())
		add(fmt.Sprintf("one %d of 1,000, 4 in flight", code), at(4, having(1000, middleLine, status(code))), ends(80*sec), wasted(5), goodLate())
	}
	for _, wait := range []time.Duration{0, 500 * ms, 20 * sec} {
		for _, concurrency := range []int{64, 4} {
			add(fmt.Sprintf("one 429 of 1,000, Retry-After %s, %d in flight", wait, concurrency),
				at(concurrency, having(1000, middleLine, later(status(429), wait))), ends(mins(11)), wasted(27), goodLate())
		}
	}
	add("one 429 of 3,000, Retry-After 20 s", at(64, having(3000, middleLine, later(status(429), 20*sec))), goodBy(secs(5.28)), goodLate())
	add("one 503 of 1,000", at(64, having(1000, middleLine, status(503))), ends(mins(66.5)), wasted(137), goodLate())
	add("one 500 of 1,000, 64 in flight", at(64, having(1000, middleLine, status(500))), ends(secs(72.6)), wasted(5), goodLate())
	add("one 500 of 1,000, 4 in flight", at(4, having(1000, middleLine, status(500))), ends(secs(85.8)), wasted(5), goodLate())
	for name, bad := range map[string]func(int, int) bool{"first": line(0), "last": lastLine} {
		for _, concurrency := range []int{64, 4} {
			end403 := 7.26
			if concurrency == 4 {
				end403 = 12.1
			}
			name := fmt.Sprintf("the %s of 200, %d in flight: ", name, concurrency)
			add(name+"403", at(concurrency, having(200, bad, status(403))), ends(secs(end403)), goodLate())
			add(name+"500", at(concurrency, having(200, bad, status(500))), ends(secs(81)), goodLate())
			add(name+"429", at(concurrency, having(200, bad, status(429))), ends(mins(11.4)), goodLate())
		}
	}
	for _, r := range []struct {
		code int
		of   time.Duration
		last time.Duration
	}{{403, 5 * sec, secs(95.7)}, {429, 5 * sec, secs(99)}, {500, 5 * sec, secs(95.7)}, {403, 30 * sec, mins(9.57)}, {429, 30 * sec, mins(9.9)}, {500, 30 * sec, mins(9.46)}} {
		add(fmt.Sprintf("one %d of 1,000, calls of %s", r.code, r.of), at(64, having(1000, middleLine, status(r.code))).taking(r.of), goodBy(r.last), goodLate())
	}
	add("one 429 of 3,000, Retry-After 20 s, calls of 5 s", at(64, having(3000, middleLine, later(status(429), 20*sec))).taking(5*sec), goodBy(mins(4.5)), goodLate())
	return cases
}

func casesOfManyBadLines() []worldCase {
	cases := []worldCase{}
	add := func(group, name string, w world, bars ...bar) {
		cases = append(cases, worldCase{group: group, name: name, world: w, bars: with(bars...)})
	}
	add("2", "10 of 200 401, 64 in flight", at(64, having(200, every(20), status(401))), ends(75*sec), wasted(55))
	add("2", "10 of 200 401, 4 in flight", at(4, having(200, every(20), status(401))), ends(75*sec), wasted(55))
	half := func(i, _ int) bool { return i%2 == 0 }
	add("2", "half of 200 403, by chance, 64 in flight", at(64, having(200, scattered(500), status(403))), ends(mins(17.6)))
	add("2", "half of 200 403, mixed, 64 in flight", at(64, having(200, half, status(403))), ends(secs(14.3)))
	add("2", "half of 2,000 403, mixed, 64 in flight", at(64, having(2000, half, status(403))), ends(secs(16.5)))
	add("2", "half of 200 403, mixed, 4 in flight", at(4, having(200, half, status(403))), ends(mins(17.6)))
	add("2", "half of 2,000 403, mixed, 4 in flight", at(4, having(2000, half, status(403))), ends(secs(60.5)))
	add("2", "half of 200 403, mixed, 64 in flight, calls of 2 s", at(64, having(200, half, status(403))).taking(2*sec), ends(mins(18.7)))
	add("2", "half of 200 403, mixed, 4 in flight, calls of 2 s", at(4, having(200, half, status(403))).taking(2*sec), ends(mins(28.6)))
	add("2", "first half of 200 403, 64 in flight", at(64, having(200, block(0, 100), status(403))), ends(secs(56.1)))
	add("2", "last half of 200 403, 64 in flight", at(64, having(200, block(100, 200), status(403))), ends(secs(14.3)))
	cases[len(cases)-1].why = "the last control is bad and has nobody served after it, so the lines behind it need three tries with the words that others were given up with; the gate was closed for 7 s before"
	for _, c := range []struct{ from, to, inFlight int }{{90, 100, 8}, {85, 100, 8}, {0, 10, 8}, {45, 55, 8}, {90, 100, 64}, {180, 200, 64}, {80, 100, 4}} {
		n := (c.to + 99) / 100 * 100
		add("2", fmt.Sprintf("%d to %d of %d 500, %d in flight", c.from+1, c.to, n, c.inFlight), at(c.inFlight, having(n, block(c.from, c.to), status(500))), ends(secs(80)), lost(0), notEnded(0))
	}
	add("2", "first half of 200 403, 4 in flight", at(4, having(200, block(0, 100), status(403))), ends(mins(2.31)))
	add("2", "last half of 200 403, 4 in flight", at(4, having(200, block(100, 200), status(403))), ends(mins(17.6)))
	first30 := having(3000, block(0, 30), status(500))
	add("3", "first 30 of 3,000 500, 16 in flight", at(16, first30), ends(secs(79.2)), wasted(165), goodBy(secs(22)))
	add("3", "first 30 of 3,000 500, 64 in flight", at(64, first30), ends(secs(79.2)), wasted(165))
	first1000 := having(3000, block(0, 1000), status(500))
	add("3", "first 1,000 of 3,000 500", at(64, first1000), ends(mins(2.97)))
	add("3", "middle 1,000 of 3,000 500", at(64, having(3000, block(1000, 2000), status(500))), ends(mins(3.63)))
	add("3", "first 2,500 of 5,000 500", at(64, having(5000, block(0, 2500), status(500))), ends(mins(5.28)))
	last300 := having(3000, block(2700, 3000), status(500))
	add("3", "last 300 of 3,000 500, 16 in flight", at(16, last300), ends(mins(20.9)))
	add("3", "last 300 of 3,000 500, 64 in flight", at(64, last300), ends(mins(20.9)))
	add("3", "every 10th of 300 500", at(64, having(300, every(10), status(500))), ends(mins(2.64)))
	add("3", "first 30 of 3,000 500, calls of 5 s", at(64, first30).taking(5*sec), ends(mins(4.51)))
	add("3", "first 1,000 of 3,000 500, calls of 5 s", at(64, first1000).taking(5*sec), ends(mins(7.59)))
	add("3", "last 300 of 3,000 500, calls of 5 s", at(64, last300).taking(5*sec), ends(mins(23.43)))
	failsOnce := status(500)
	add("4", "each of 400 fails once, 16 in flight", at(16, batchSpec{lines: 400, once: &failsOnce}), ends(secs(15.4)), wasted(440))
	cases[len(cases)-1].why = "one of three seeds, by 1.7 s: a last control that fails once rests a second more"
	add("4", "each of 400 fails once, 64 in flight", at(64, batchSpec{lines: 400, once: &failsOnce}), ends(secs(11)), wasted(440))
	for _, r := range []struct {
		share float64
		end   time.Duration
		lost  float64
	}{{0.01, 11 * sec, 0}, {0.1, mins(2.5), 1}, {0.3, mins(5), 1}} {
		w := at(64, good(5000))
		w.upstreams[0].chances = []chanceOf{{r.share, status(500)}}
		cases = append(cases, worldCase{group: "4", name: fmt.Sprintf("random 500, %.0f %% of 5,000", 100*r.share), world: w, bars: []bar{ends(r.end), lost(r.lost), notEnded(0)}})
	}
	for _, r := range []struct {
		share uint64
		wrong answer
	}{{100, status(403)}, {100, status(500)}, {20, status(429)}, {100, status(429)}} {
		add("18", fmt.Sprintf("%d of each 1,000 of 20,000 %d, 1,000 in flight, calls of 5 s", r.share, r.wrong.signal.Status),
			at(1000, having(20_000, scattered(r.share), r.wrong)).taking(5*sec), mostBy(105*sec))
	}
	add("11", "403 for the first 25 of 2,000, 64 in flight", at(64, having(2000, block(0, 25), status(403))), ends(secs(7.37)), wasted(82))
	add("11", "403 for the first 25 of 2,000, 4 in flight", at(4, having(2000, block(0, 25), status(403))), ends(secs(56.1)), wasted(82))
	add("11", "400 for all of 2,000", at(64, having(2000, all, status(400))), ends(secs(0.22)), wasted(0))
	for _, code := range []int{402, 404} {
		cases = append(cases, worldCase{group: "11", name: fmt.Sprintf("%d for all of 2,000", code), world: at(64, having(2000, all, status(code))), bars: []bar{lost(0), notEnded(2000), wasted(3240)}, seeds: 1})
	}
	return cases
}

func casesOfSmallBatches() []worldCase {
	cases := []worldCase{}
	add := func(name string, w world, bars ...bar) {
		cases = append(cases, worldCase{group: "12", name: name, world: w, bars: with(bars...)})
	}
	add("last of 200 429", at(64, having(200, lastLine, status(429))), ends(mins(11.8)))
	add("503 for 30 min with 1 of 200 left", at(64, good(200)).during(outage{afterCalls: 199, lasts: 30 * min1, wrong: status(503)}), ends(mins(33.9)))
	for code, end := range map[int]time.Duration{401: mins(16), 403: mins(16), 500: mins(16), 429: mins(11), 503: mins(61)} {
		add(fmt.Sprintf("one line, %d for ever", code), at(64, having(1, all, status(code))), ends(end))
	}
	add("12 lines, one 403", at(64, having(12, middleLine, status(403))), ends(secs(6.27)))
	add("12 lines, one 500", at(64, having(12, middleLine, status(500))), ends(secs(74.8)))
	add("12 lines, one 429", at(64, having(12, middleLine, status(429))), ends(mins(11)))
	add("12 lines, all 429", at(64, having(12, all, status(429))), ends(mins(17.6)))
	add("19 lines, all 429", at(64, having(19, all, status(429))), ends(mins(20.9)))
	for _, n := range []int{1, 19} {
		for name, wrong := range map[string]answer{"503": status(503), "refused": refused, "500": status(500), "429": status(429), "401": status(401)} {
			bars := []bar{ends(mins(12.1))}
			if n == 1 {
				bars = append(bars, wasted(27))
			}
			add(fmt.Sprintf("%s for 10 min from the start, %d lines", name, n), at(64, good(n)).during(outage{lasts: 10 * min1, wrong: wrong}), bars...)
		}
	}
	return cases
}

func TestWhoseFaultBadLines(t *testing.T) {
	testCases(t, slices.Concat(casesOfOneBadLine(), casesOfManyBadLines(), casesOfSmallBatches()))
}
