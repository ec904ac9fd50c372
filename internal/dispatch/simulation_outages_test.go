package dispatch

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// withChance adds answers that come by chance to the first upstream.
func (w world) withChance(share float64, wrong answer) world {
	w.upstreams[0].chances = append(w.upstreams[0].chances, chanceOf{share, wrong})
	return w
}

// keeping keeps what happens in each second.
func (w world) keeping() world {
	w.keepSeconds = true
	return w
}

func casesOfOutages() []worldCase {
	cases := []worldCase{}
	add := func(group, name string, w world, bars ...bar) {
		cases = append(cases, worldCase{group: group, name: name, world: w, bars: bars})
	}
	for _, left := range []int{60, 12, 3, 1} {
		for _, concurrency := range []int{64, 16} {
			add("5", fmt.Sprintf("401 for 1 h with %d of 200 left, %d in flight", left, concurrency),
				at(concurrency, good(200)).during(outage{afterCalls: 200 - left, lasts: time.Hour, wrong: status(401)}), with(ends(mins(66.9)), wasted(1611))...)
		}
	}
	add("5", "401 for 1 h in mid-batch, 2,000 lines", at(64, good(2000)).during(outage{afterCalls: 1000, lasts: time.Hour, wrong: status(401)}), with(ends(mins(66.9)), wasted(1611))...)
	for _, r := range []struct {
		name               string
		wrong              answer
		tenMinutes, sixHrs float64
	}{{"refused", refused, 161, 932}, {"500", status(500), 152, 921}, {"503", status(503), 97, 867}} {
		add("6", r.name+" to all for 10 min", at(64, good(2000)).during(outage{lasts: 10 * min1, wrong: r.wrong}), with(ends(mins(11.66)), wasted(r.tenMinutes))...)
		add("6", r.name+" to all for 6 h", at(64, good(2000)).during(outage{lasts: 6 * time.Hour, wrong: r.wrong}), with(ends(mins(6.61*60)), wasted(r.sixHrs))...)
		add("6", "flapping each second: "+r.name, at(64, good(5000)).during(outage{up: sec, every: 2 * sec, lasts: 24 * time.Hour, wrong: r.wrong}), with(ends(secs(23.1)))...)
	}
	add("6", "flapping each 10 s: 500, 20,000 lines", at(64, good(20000)).during(outage{up: 10 * sec, every: 20 * sec, lasts: 24 * time.Hour, wrong: status(500)}), with(ends(mins(1.98)))...)
	add("6", "503 while loading, 1 h from the start", at(64, good(2000)).during(outage{lasts: time.Hour, wrong: status(503)}), with(ends(mins(66.5)))...)
	for _, left := range []int{1, 10, 60} {
		add("6", fmt.Sprintf("500 for 10 min with %d of 200 left", left), at(64, good(200)).during(outage{afterCalls: 200 - left, lasts: 10 * min1, wrong: status(500)}), with(ends(mins(12.1)))...)
		allowed := 0.0
		if left < 20 {
			allowed = float64(left)
		}
		add("6", fmt.Sprintf("500 for 6 h with %d of 200 left", left), at(64, good(200)).during(outage{afterCalls: 200 - left, lasts: 6 * time.Hour, wrong: status(500)}), lost(allowed), notEnded(0))
	}
	add("8", "alpha's upstream refused for 1 h, beta's fails once each", world{
		upstreams: []upstreamSpec{{name: "a", concurrency: 64, models: []string{"alpha"}, outages: []outage{{lasts: time.Hour, wrong: refused}}}, {name: "b", concurrency: 64, models: []string{"beta"}}},
		batches:   []batchSpec{{lines: 400, models: []string{"alpha", "beta"}, once: &answer{status(500).signal, failureTakes}}},
	}, with(ends(mins(66.4)), modelBy("beta", 15*sec))...)
	add("8", "one upstream, alpha 503 for 1 h, beta good", world{
		upstreams: []upstreamSpec{{name: "a", concurrency: 64, outages: []outage{{model: "alpha", lasts: time.Hour, wrong: status(503)}}}},
		batches:   []batchSpec{{lines: 4000, models: []string{"alpha", "beta"}}},
	}, with(ends(mins(66.4)), modelBy("beta", 15*sec))...)
	for _, r := range []struct {
		name  string
		wrong answer
	}{{"403", status(403)}, {"503", status(503)}, {"500", status(500)}, {"404", status(404)}, {"refused", refused}} {
		two := []upstreamSpec{{name: "bad", concurrency: 16, outages: []outage{{lasts: 24 * time.Hour, wrong: r.wrong}}}, {name: "good", concurrency: 16}}
		add("8", "two upstreams, one says "+r.name+", 10 lines", world{upstreams: two, batches: []batchSpec{good(10)}}, with(ends(secs(1.32)), wasted(6))...)
		add("8", "two upstreams, one says "+r.name+", 2,000 lines", world{upstreams: two, batches: []batchSpec{good(2000)}}, with(ends(secs(14.1)), wasted(39))...)
	}
	add("11", "402 for all, topped up after 1 h", at(64, good(2000)).during(outage{lasts: time.Hour, wrong: status(402)}), with(ends(mins(66.7)))...)
	add("14", "401 after 5 s for 1 h, calls of 10 s", at(64, good(2000)).taking(10*sec).during(outage{from: 5 * sec, lasts: time.Hour, wrong: status(401)}), with(ends(mins(72.5)))...)
	add("14", "500 after 5 s for 10 min, calls of 10 s", at(64, good(2000)).taking(10*sec).during(outage{from: 5 * sec, lasts: 10 * min1, wrong: status(500)}), with(ends(mins(17.7)))...)
	front := at(64, batchSpec{lines: 2000}).during(outage{from: sec, lasts: time.Hour, wrong: status(500)})
	front.upstreams[0].front = 3
	add("15", "engine dead for 1 h behind a front that answers 400 to every third line", front, lostBeside(667, 0), notEnded(0))
	for _, r := range []struct {
		left int
		most float64
	}{{10, 6}, {2, 2.5}} {
		cases = append(cases, worldCase{
			group: "16", name: fmt.Sprintf("10 %% random 500, then 500 for 10 min with %d of 400 left", r.left), seeds: 300,
			world: at(64, good(400)).withChance(0.1, status(500)).during(outage{afterLines: 400 - r.left, lasts: 10 * min1, wrong: status(500)}), bars: []bar{lostMean(r.most), notEnded(0)},
		})
	}
	for _, n := range []int{1, 19} {
		for _, code := range []int{500, 429} {
			add("12", fmt.Sprintf("%d for 50 min from the start, %d lines", code, n), at(64, good(n)).during(outage{lasts: 50 * min1, wrong: status(code)}), lost(float64(n)), notEnded(0))
		}
	}
	return cases
}

// modelBy: the last line of a model in batch 0 is served.
func modelBy(model string, most time.Duration) bar {
	return inTime(model+" done", most, func(r *runs) time.Duration { return r.batches[0].lastOf[model] })
}

// lostBeside: good lines given up beside those that the front answers for good.
func lostBeside(answered, most float64) bar {
	b := lost(most)
	all := b.measure
	b.measure = func(r *runs) float64 { return all(r) - answered }
	return b
}

func TestWhoseFaultOutages(t *testing.T) {
	t.Parallel()
	testCases(t, casesOfOutages())
}

// casesOfBudgets are what an outage may cost: calls while it lasts, lines, and time after it.
func casesOfBudgets() []worldCase {
	var cases []worldCase
	for _, takes := range []time.Duration{100 * ms, sec, 5 * sec, 30 * sec} {
		for _, o := range []struct {
			name  string
			lasts time.Duration
			wrong answer
		}{
			{"refused for 5 min", 5 * min1, refused},
			{"500 for 5 min", 5 * min1, status(500)},
			{"503 for 5 min", 5 * min1, status(503)},
			{"500 for 6 h", 6 * time.Hour, status(500)},
			{"401 for 1 h", time.Hour, status(401)},
		} {
			const concurrency = 64
			from := 20*sec + 2*takes
			lines := int((from + 150*sec + 8*takes).Seconds() * concurrency / takes.Seconds())
			cases = append(cases, worldCase{
				group: "budget", name: fmt.Sprintf("%s in mid-batch, calls of %s, %d lines", o.name, takes, lines),
				world: at(concurrency, good(lines)).taking(takes).during(outage{from: from, lasts: o.lasts, wrong: o.wrong}).keeping(),
				bars:  with(callsAnHour(from, o.lasts, concurrency, takes), fullSpeed(from+o.lasts, concurrency, takes)),
			})
		}
	}
	for _, n := range []int{1, 5, 19} {
		for _, wrong := range []answer{refused, status(500), status(503)} {
			lasts := time.Hour
			if wrong.signal.Status == 500 {
				lasts = 14 * min1
			}
			cases = append(cases, worldCase{
				group: "budget", name: fmt.Sprintf("%d lines, %s for %s", n, string(wrong.signal.Reason), lasts),
				world: at(64, good(n)).during(outage{lasts: lasts, wrong: wrong}).keeping(),
				bars:  with(inNumber("calls an hour", max(130, 70*float64(n)), func(r *runs) float64 { return float64(busiest(r.begunIn, 0, lasts)) })),
			})
		}
	}
	return cases
}

// busiest is how many calls began in the busiest hour of a time.
func busiest(begun []int32, from, lasts time.Duration) int {
	most := 0
	for hour := from; hour < from+lasts; hour += time.Hour {
		n := 0
		for i := int(hour / sec); i < int(min(hour+time.Hour, from+lasts)/sec) && i < len(begun); i++ {
			n += int(begun[i])
		}
		most = max(most, n)
	}
	return most
}

// callsAnHour: calls in the busiest hour of an outage, but for the 21 lines in its first hour that it takes to find out.
func callsAnHour(from, lasts time.Duration, concurrency int, takes time.Duration) bar {
	most := max(130, 0.01*3600*float64(concurrency)/takes.Seconds())
	return inNumber("calls an hour after the first 21", most, func(r *runs) float64 {
		first := busiest(r.begunIn, from, min(lasts, time.Hour)) - 21
		return float64(max(first, busiest(r.begunIn, from+time.Hour, lasts-time.Hour)))
	})
}

// fullSpeed: how long after an outage lines are served at 80 % of the speed again.
func fullSpeed(over time.Duration, concurrency int, takes time.Duration) bar {
	return inTime("80 % of the speed after", 60*sec+2*takes, func(r *runs) time.Duration {
		return speedAfter(r.servedIn, over, 0.8*float64(concurrency)/takes.Seconds(), max(5*sec, 2*takes))
	})
}

// speedAfter is how long after a time so many lines a second are served, seen over a stretch.
func speedAfter(served []int32, from time.Duration, speed float64, stretch time.Duration) time.Duration {
	n := int(stretch / sec)
	for i := int(from / sec); i+n <= len(served); i++ {
		sum := 0
		for _, k := range served[i : i+n] {
			sum += int(k)
		}
		if float64(sum) >= speed*float64(n) {
			return time.Duration(i)*sec - from
		}
	}
	return 24 * time.Hour
}

func TestOutageBudgets(t *testing.T) {
	t.Parallel()
	testCases(t, slices.Concat(casesOfBudgets()))
}
