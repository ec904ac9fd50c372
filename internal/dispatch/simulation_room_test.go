package dispatch

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Why bars are missed that cannot be met, or that no rule was found for.
const (
	bucketWhy = "two of three seeds, by 0.3 min at most: the large lines come last, each takes three quarters of the bucket, and they rest up to 33 s between tries"
	turnsWhy  = "batches take turns call by call: 5,000 bad calls of 20 ms are 1.6 s at 64 in flight, beside 7.8 s"
)

// seated is a world of an engine with seats and a queue, at 64 in flight, with work for a minute (of 100-ms calls).
func seated(seats, queue, lines int, full answer) world {
	w := at(64, good(lines))
	w.upstreams[0].seats, w.upstreams[0].queue, w.upstreams[0].full = seats, queue, full
	return w
}

// perThousandAfter: refusals per 1,000 calls that began after a time.
func perThousandAfter(from time.Duration, most float64) bar {
	return inNumber("settled: refusals per 1,000", most, func(r *runs) float64 {
		sum := func(s []int32) (n float64) {
			for i := int(from / sec); i < len(s); i++ {
				n += float64(s[i])
			}
			return n
		}
		return 1000 * sum(r.refusedIn) / max(1, sum(r.begunIn))
	})
}

// speedBy: how long after a time so many lines a second are served.
func speedBy(what string, from time.Duration, speed float64, stretch, most time.Duration) bar {
	return inTime(what, most, func(r *runs) time.Duration { return speedAfter(r.servedIn, from, speed, stretch) })
}

func casesOfRoom() []worldCase {
	cases := []worldCase{}
	add := func(group, name string, w world, bars ...bar) {
		cases = append(cases, worldCase{group: group, name: name, world: w, bars: with(bars...)})
	}
	for _, told := range []bool{true, false} {
		for _, burst := range []struct {
			burst time.Duration
			end   float64
		}{{60 * sec, 25.3}, {5 * sec, 26.2}, {sec, 27.4}} {
			w := at(64, good(100_000))
			w.upstreams[0].bucket = &bucketSpec{requests: 10_000, tokens: 2e6, burst: burst.burst, told: told}
			end := burst.end
			words := "with Retry-After"
			if !told {
				end, words = end+0.6, "without"
			}
			add("9", fmt.Sprintf("10,000 requests and 2 M tokens a minute, burst of %s, %s; 100,000 lines", burst.burst, words), w, ends(mins(1.1*end)), refusals(35))
			if told && burst.burst == sec {
				cases[len(cases)-1].why = bucketWhy
			}
		}
	}
	for _, r := range []struct {
		seats, queue int
		end, refused float64
	}{{48, 8, 61, 1.5}, {48, 0, 60.5, 1.9}, {12, 0, 60.6, 14}, {12, 12, 60.1, 9}} {
		for _, wait := range []time.Duration{0, sec} {
			add("10", fmt.Sprintf("%d seats and %d places, Retry-After %s", r.seats, r.queue, wait),
				seated(r.seats, r.queue, r.seats*600, later(status(429), wait)), ends(mins(1.1)), idleShare(0.02), refusals(1.1*r.refused))
		}
	}
	// At least 0.97 of the seats are taken, to two figures.
	for _, r := range []struct {
		seats, queue int
		refused      float64
	}{{48, 8, 3}, {12, 0, 50}, {12, 12, 37}} {
		add("10", fmt.Sprintf("%d seats and %d places, calls of 5 s", r.seats, r.queue),
			seated(r.seats, r.queue, r.seats*120, status(429)).taking(5*sec), idleShare(0.035), refusals(1.1*r.refused))
		for _, takes := range []time.Duration{100 * ms, sec, 5 * sec} {
			lines := min(40_000, int(mins(30).Seconds()*float64(r.seats)/takes.Seconds()))
			add("10", fmt.Sprintf("%d seats and %d places, calls of %s, %d lines", r.seats, r.queue, takes, lines),
				seated(r.seats, r.queue, lines, status(429)).taking(takes).keeping(), idleShare(0.035), perThousandAfter(max(20*sec, 60*takes), 6.05))
		}
	}
	for _, r := range []struct {
		queue         int
		rise, refused float64
	}{{32, 88, 3.5}, {8, 60, 2.3}} {
		w := seated(48, r.queue, 5760+23040+3840+11520, status(429)).taking(5 * sec).keeping()
		w.upstreams[0].concurrency = 512
		w.upstreams[0].seatsAt = []seatsAt{{10 * min1, 192}, {20 * min1, 64}, {25 * min1, 192}}
		add("room", fmt.Sprintf("48 seats × 4 after 10 min, a third after 20, back after 25; %d places, calls of 5 s", r.queue), w,
			speedBy("80 % of 4 × after", 10*min1, 0.8*192/5, 10*sec, secs(1.1*r.rise)), speedBy("80 % again after", 25*min1, 0.8*192/5, 10*sec, secs(1.1*r.rise)),
			perThousandAfter(2*min1, 1.1*r.refused))
	}
	for _, r := range []struct {
		bad         int
		takes       time.Duration
		wait        time.Duration
		most, whole time.Duration
	}{
		{20, 100 * ms, 0, secs(8.58), mins(11.7)},
		{100, 100 * ms, 0, secs(10.1), mins(11.9)},
		{1000, 100 * ms, 0, secs(7.6), mins(14.3)},
		{20, 100 * ms, 20 * sec, secs(9.9), mins(15)},
		{100, 100 * ms, 20 * sec, secs(28.6), mins(15)},
		{1000, 100 * ms, 20 * sec, mins(3.3), mins(20)},
		{20, 5 * sec, 0, mins(7.26), 0},
		{100, 5 * sec, 0, mins(8.8), 0},
		{1000, 5 * sec, 0, mins(8.69), 0},
		{20, 30 * sec, 0, mins(61.6), 0},
		{100, 30 * sec, 0, mins(73.7), 0},
		{1000, 30 * sec, 0, mins(74.8), 0},
	} {
		bars := []bar{mostBy(r.most)}
		if r.whole > 0 {
			bars = append(bars, ends(r.whole))
		}
		add("17", fmt.Sprintf("%d of 5,000 429, Retry-After %s, calls of %s", r.bad, r.wait, r.takes),
			at(64, having(5000, scattered(uint64(r.bad/5)), later(status(429), r.wait))).taking(r.takes), bars...)
	}
	for _, r := range []struct {
		code  int
		takes time.Duration
		wait  time.Duration
		lost  float64
		end   time.Duration
	}{
		{401, 100 * ms, 0, 0, mins(3.5)},
		{403, 100 * ms, 0, 1, mins(3.5)},
		{500, 100 * ms, 0, 0, mins(3.5)},
		{429, 100 * ms, 0, 0, 44 * sec},
		{429, 5 * sec, 0, 0, mins(12.65)},
		{429, 100 * ms, 500 * ms, 0, 98 * sec},
		{429, 5 * sec, 500 * ms, 0, mins(13.2)},
	} {
		cases = append(cases, worldCase{
			group: "replica", name: fmt.Sprintf("one of four says %d, Retry-After %s, calls of %s; 5,000 lines", r.code, r.wait, r.takes),
			world: at(64, good(5000)).taking(r.takes).withChance(0.25, later(status(r.code), r.wait)), bars: []bar{lost(r.lost), notEnded(0), ends(r.end)},
		})
	}
	return cases
}

func TestWhoseFaultRoom(t *testing.T) {
	t.Parallel()
	testCases(t, casesOfRoom())
}

// casesOfNeighbours have a good batch, number 1, beside a bad one, number 0.
func casesOfNeighbours() []worldCase {
	cases := []worldCase{}
	add := func(group, name string, w world, bars ...bar) {
		cases = append(cases, worldCase{group: group, name: name, world: w, bars: bars})
	}
	for _, code := range []int{403, 429, 500} {
		add("7", fmt.Sprintf("one bad line (%d) beside 3,000 good ones", code), at(64, having(1, all, status(code))).beside(good(3000)), lost(0), notEnded(0), batchTakes(1, secs(5.28)))
	}
	bad := []struct {
		name      string
		wrong     answer
		all, half float64
	}{
		{"403", status(403), 8.4, 10.6},
		{"401", status(401), 8.4, 10.6},
		{"500", status(500), 8.4, 10.6},
		{"slow 500", slow(status(500)), 15.7, 15.7},
		{"429", status(429), 9.4, 10.6},
		{"429, Retry-After 0.5 s", later(status(429), 500*ms), 9.3, 10.6},
		{"429, Retry-After 20 s", later(status(429), 20*sec), 9.3, 12.3},
		{"503", status(503), 9.4, 10.6},
	}
	for _, r := range bad {
		for _, half := range []bool{false, true} {
			which, words, most := all, "all", r.all
			if half {
				which, words, most = scattered(500), "half", r.half
			}
			for _, takes := range []time.Duration{100 * ms, 5 * sec, 30 * sec} {
				bars := []bar{lost(0), neighbour()}
				switch takes {
				case 100 * ms:
					bars = append(bars, batchTakes(1, secs(1.1*most)))
				case 5 * sec:
					if r.wrong.takes > 0 {
						bars = append(bars, batchTakes(1, mins(9.46)))
					}
				}
				if takes == 30*sec && usualSeeds() == 1 {
					continue
				}
				add("13", fmt.Sprintf("5,000 good beside 5,000 of which %s are %s, calls of %s", words, r.name, takes),
					at(64, having(5000, which, r.wrong)).beside(good(5000)).taking(takes), bars...)
				if r.name == "500" && takes == 100*ms {
					cases[len(cases)-1].why = turnsWhy
				}
			}
		}
	}
	for _, code := range []int{403, 500, 429} {
		later := good(5000)
		later.at = 5 * min1
		add("13", fmt.Sprintf("5,000 good, 5 min after 5,000 bad (%d)", code), at(64, having(5000, all, status(code))).beside(later), lost(0), batchTakes(1, secs(1.1*12)))
	}
	return cases
}

func TestWhoseFaultNeighbours(t *testing.T) {
	t.Parallel()
	testCases(t, slices.Concat(casesOfNeighbours()))
}
