package dispatch

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// worldCase is a row of the table: a world, how often it is run, and what must come out.
type worldCase struct {
	group, name string
	world       world
	bars        []bar
	// seeds is how many runs there are if not as many as usual; the worst counts.
	seeds int
	// why is set for a row that misses a bar, and says why that cannot be mended.
	why string
}

// bar is a figure that must not be exceeded.
type bar struct {
	what string
	most float64
	// measure takes the figure from a run; r.honest is the same world without bad lines.
	measure func(r *runs) float64
	seconds bool
	// mean makes the mean of all runs count, not the worst.
	mean bool
}

// runs is one run of a world, and what it is compared with.
type runs struct {
	*simulation
	world *world
	seed  uint64
}

// honest runs the same world without bad lines.
func (r *runs) honest() *simulation {
	w := *r.world
	w.batches = make([]batchSpec, len(r.world.batches))
	for i, b := range r.world.batches {
		b.bad = nil
		w.batches[i] = b
	}
	return simulate(&w, r.seed).run()
}

// The figures.

func inTime(what string, most time.Duration, of func(r *runs) time.Duration) bar {
	return bar{what, most.Seconds(), func(r *runs) float64 { return of(r).Seconds() }, true, false}
}

func inNumber(what string, most float64, of func(r *runs) float64) bar {
	return bar{what: what, most: most, measure: of}
}

// ends: all batches have ended.
func ends(most time.Duration) bar {
	return inTime("end", most, func(r *runs) time.Duration {
		var last time.Duration
		for _, b := range r.batches {
			last = max(last, b.ended)
		}
		return last
	})
}

// batchTakes: batch i has ended so long after it came.
func batchTakes(i int, most time.Duration) bar {
	return inTime(fmt.Sprintf("batch %c takes", 'a'+i), most, func(r *runs) time.Duration {
		return r.batches[i].ended - r.batches[i].spec.at
	})
}

// goodBy: the last good line of batch 0 is served.
func goodBy(most time.Duration) bar {
	return inTime("last good", most, func(r *runs) time.Duration { return r.batches[0].lastGood })
}

// mostBy: 99 % of the good lines of batch 0 are served.
func mostBy(most time.Duration) bar {
	return inTime("99 % of good", most, func(r *runs) time.Duration { return r.batches[0].most })
}

// goodLate: the last good line comes later than without bad lines by 5 % and one mean call at most. The figure is what is over.
func goodLate() bar {
	return inTime("good later than 5 % + a call", 0, func(r *runs) time.Duration {
		alone := r.honest().batches[0].lastGood
		return max(0, r.batches[0].lastGood-alone*105/100-r.upstreams[0].spec.takes)
	})
}

// neighbour: the good batch 1 is at most 5 % slower beside a bad one than beside an honest one. The figure is the ratio.
func neighbour() bar {
	return inNumber("good ÷ beside honest", 1.05, func(r *runs) float64 {
		h := r.honest()
		return float64(r.batches[1].ended-r.batches[1].spec.at) / float64(h.batches[1].ended-h.batches[1].spec.at)
	})
}

func lost(most float64) bar {
	return inNumber("LOST", most, func(r *runs) float64 {
		n := 0
		for _, b := range r.batches {
			n += b.lost
		}
		return float64(n)
	})
}

func lostMean(most float64) bar {
	b := lost(most)
	b.mean = true
	return b
}

// notEnded: lines without an outcome at the end of the window.
func notEnded(most float64) bar {
	return inNumber("lines open", most, func(r *runs) float64 {
		n := 0
		for _, b := range r.batches {
			n += b.openGood + b.openBad
		}
		return float64(n)
	})
}

// wasted: calls without a result.
func wasted(most float64) bar {
	return inNumber("calls without result", most, func(r *runs) float64 { return float64(r.failed) })
}

// refusals: refused calls per 1,000 lines.
func refusals(most float64) bar {
	return inNumber("refusals per 1,000", most, func(r *runs) float64 {
		n := 0
		for _, b := range r.batches {
			n += len(b.lines)
		}
		return 1000 * float64(r.refused) / float64(n)
	})
}

// idleShare: what part of an upstream's seats stood empty until the last call began.
func idleShare(most float64) bar {
	return inNumber("seats idle", most, func(r *runs) float64 {
		u := r.upstreams[0]
		return 1 - u.busyAtLast/(float64(u.seats)*u.lastBegan.Seconds())
	})
}

// safe are the bars of every world unless said.
var safe = []bar{lost(0), notEnded(0)}

// with adds bars to those of every world.
func with(bars ...bar) []bar { return append(append([]bar{}, safe...), bars...) }

// result is what came out of a row.
type result struct {
	*worldCase
	got []float64
}

// usualSeeds is how often a row is run: once, but three times where all worlds are asked for.
func usualSeeds() int {
	if os.Getenv("BATCHD_WORLDS") == "" {
		return 1
	}
	return 3
}

// runCase runs a row's world with its seeds.
func runCase(c *worldCase, firstSeed uint64) result {
	seeds := c.seeds
	if seeds == 0 {
		seeds = usualSeeds()
	}
	got := make([]float64, len(c.bars))
	for i := range seeds {
		r := &runs{world: &c.world, seed: firstSeed + uint64(i)}
		r.simulation = simulate(r.world, r.seed).run()
		for k, b := range c.bars {
			if v := b.measure(r); b.mean {
				got[k] += v / float64(seeds)
			} else {
				got[k] = max(got[k], v)
			}
		}
	}
	return result{c, got}
}

// missed lists the bars that are.
func (r *result) missed() []string {
	var missed []string
	for i, b := range r.bars {
		if r.got[i] > b.most*(1+1e-9) {
			missed = append(missed, fmt.Sprintf("%s is %s, want at most %s", b.what, b.show(r.got[i]), b.show(b.most)))
		}
	}
	return missed
}

func (b *bar) show(v float64) string {
	switch {
	case !b.seconds && v == float64(int(v)):
		return fmt.Sprintf("%d", int(v))
	case !b.seconds:
		return fmt.Sprintf("%.3g", v)
	case v >= 7200:
		return fmt.Sprintf("%.2f h", v/3600)
	case v >= 120:
		return fmt.Sprintf("%.2f min", v/60)
	default:
		return fmt.Sprintf("%.2f s", v)
	}
}

// row is the result as a row of a Markdown table.
func (r *result) row() string {
	var cells []string
	for i, b := range r.bars {
		if b.most == 0 && r.got[i] == 0 {
			continue // nothing lost, nothing left open, nothing late
		}
		cells = append(cells, fmt.Sprintf("%s %s (%s)", b.what, b.show(r.got[i]), b.show(b.most)))
	}
	if len(r.missed()) > 0 {
		cells = append(cells, "**missed**")
	}
	if len(r.missed()) > 0 && r.why != "" {
		cells = append(cells, r.why)
	}
	return fmt.Sprintf("| %s | %s | %s |", r.group, r.name, strings.Join(cells, "; "))
}

// testCases runs rows as subtests and prints the table.
func testCases(t *testing.T, cases []worldCase) {
	rows := make([]string, len(cases))
	t.Run("rows", func(t *testing.T) {
		for i := range cases {
			t.Run(cases[i].group+" "+cases[i].name, func(t *testing.T) {
				t.Parallel()
				r := runCase(&cases[i], 1)
				rows[i] = r.row()
				for _, m := range r.missed() {
					if r.why == "" {
						t.Error(m)
					}
				}
			})
		}
	})
	t.Logf("figures are the worst of the runs, bars in parentheses\n| case | world | figures |\n| --- | --- | --- |\n%s", strings.Join(rows, "\n"))
}
