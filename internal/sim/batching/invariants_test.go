package batching_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"batchd/internal/sim/batching"
)

// A ledger is what a run of an engine owes: every request accepted, until it finished.
type ledger struct {
	open     map[batching.ID]batching.Request
	started  map[batching.ID]bool
	last     batching.ID // of the first tokens so far, in order of arrival
	output   int64       // tokens of what finished
	prompts  int64       // tokens of what was accepted
	finished int64
}

// record checks one iteration against the ledger.
func (l *ledger) record(t *rapid.T, it batching.Iteration, inOrder bool) {
	for _, c := range it.First {
		if _, open := l.open[c.ID]; !open || l.started[c.ID] {
			t.Fatalf("%d got a first token twice, or unasked", c.ID)
		}
		if inOrder && c.ID < l.last {
			t.Fatalf("%d got its first token after %d", c.ID, l.last)
		}
		l.started[c.ID], l.last = true, max(l.last, c.ID)
	}
	for _, c := range it.Finished {
		if l.open[c.ID] != c.Request || !l.started[c.ID] {
			t.Fatalf("%d finished as %+v, but was %+v, started %v", c.ID, c.Request, l.open[c.ID], l.started[c.ID])
		}
		delete(l.open, c.ID)
		l.output += int64(c.Request.OutputTokens)
		l.finished++
	}
}

// drawOptions draws an engine small enough that all its limits are met.
func drawOptions(t *rapid.T) batching.Options {
	o := batching.Options{
		Base:            time.Millisecond,
		PerPrefillToken: 10 * time.Microsecond,
		MaxSequences:    rapid.IntRange(1, 8).Draw(t, "sequences"),
		KVTokens:        rapid.SampledFrom([]int{0, 60, 100, 300}).Draw(t, "memory"),
		Queue:           rapid.SampledFrom([]int{-1, 0, 3}).Draw(t, "queue"),
		ByPriority:      rapid.Bool().Draw(t, "by priority"),
	}
	o.StepTokens = o.MaxSequences + rapid.IntRange(1, 40).Draw(t, "budget")
	if rapid.Bool().Draw(t, "shrinks") {
		o.Room = []batching.Level{{At: 20 * time.Millisecond, Factor: 0.4}, {At: 60 * time.Millisecond, Factor: 1}}
	}
	return o
}

// However requests come, each one accepted is served once and whole, in order where no priority says otherwise; no
// token is lost or made twice; memory and sequences stay within what there is.
func TestInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		opts := drawOptions(t)
		e, err := batching.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		l := ledger{open: map[batching.ID]batching.Request{}, started: map[batching.ID]bool{}}
		now := time.Duration(0)
		step := func() {
			begin := now
			it := e.Step(begin)
			if it.Took <= 0 {
				t.Fatalf("a step took %v", it.Took)
			}
			now += it.Took
			l.record(t, it, !opts.ByPriority)
			checkGauges(t, e.Gauges(begin), opts, &l)
			checkRoom(t, e.Gauges(begin), opts, begin)
		}
		for range rapid.IntRange(1, 60).Draw(t, "rounds") {
			for range rapid.IntRange(0, 4).Draw(t, "arrivals") {
				r := batching.Request{
					PromptTokens: rapid.IntRange(1, 40).Draw(t, "prompt"), OutputTokens: rapid.IntRange(1, 20).Draw(t, "output"),
					Priority: rapid.IntRange(0, 2).Draw(t, "priority"),
				}
				switch id, err := e.Submit(now, r); {
				case err == nil:
					l.open[id] = r
					l.prompts += int64(r.PromptTokens)
				case !errors.Is(err, batching.ErrQueueFull) || opts.Queue < 0:
					t.Fatalf("Submit(%+v) = %v", r, err)
				}
			}
			step()
		}
		for range 100_000 {
			if len(l.open) == 0 {
				break
			}
			step()
		}
		g := e.Gauges(now)
		if len(l.open) > 0 || g.OutputTokens != l.output || g.Running+g.Waiting+g.KVTokens != 0 {
			t.Fatalf("at the end %d are open, %d tokens are owed: %+v", len(l.open), l.output, g)
		}
		if g.PrefillTokens < l.prompts || (g.Preemptions == 0 && g.PrefillTokens != l.prompts) {
			t.Fatalf("%d tokens of prompts were asked: %+v", l.prompts, g)
		}
	})
}

func checkGauges(t *rapid.T, g batching.Gauges, opts batching.Options, l *ledger) {
	if g.Running+g.Waiting != len(l.open) || g.Finished != l.finished {
		t.Fatalf("%d are open, %d finished: %+v", len(l.open), l.finished, g)
	}
	if g.OutputTokens < l.output {
		t.Fatalf("%d tokens were delivered: %+v", l.output, g)
	}
}

func checkRoom(t *rapid.T, g batching.Gauges, opts batching.Options, at time.Duration) {
	factor := 1.0
	if len(opts.Room) > 0 && at >= opts.Room[0].At && at < opts.Room[1].At {
		factor = opts.Room[0].Factor
	}
	room := func(n int) int { return int(math.Round(float64(n) * factor)) }
	if g.KVUsage < 0 || g.KVUsage > 1 || (opts.KVTokens > 0 && g.KVTokens > room(opts.KVTokens)) || g.Running > room(opts.MaxSequences) {
		t.Fatalf("beyond capacity x %v: %+v", factor, g)
	}
}
