package batching_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/sim/batching"
)

// small is an engine with a step of 10 ms whatever it does, two sequences and no limits but those.
func small() batching.Options {
	return batching.Options{Base: 10 * time.Millisecond, MaxSequences: 2, StepTokens: 100, Queue: -1}
}

func newEngine(t testing.TB, opts batching.Options) *batching.Engine {
	t.Helper()
	e, err := batching.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func ask(prompt, output int) batching.Request {
	return batching.Request{PromptTokens: prompt, OutputTokens: output}
}

func TestAStepTakesWhatItsPartsCost(t *testing.T) {
	t.Parallel()
	e := newEngine(t, batching.Reference())
	submit(t, e, ask(100, 3))
	var took []time.Duration
	var first, finished []batching.ID
	now := time.Second
	for range 4 {
		it := e.Step(now)
		now += it.Took
		took = append(took, it.Took)
		first, finished = append(first, ids(it.First)...), append(finished, ids(it.Finished)...)
	}
	want := []time.Duration{
		6*time.Millisecond + 100*20*time.Microsecond + 100*10*time.Nanosecond,
		6*time.Millisecond + 30*time.Microsecond + 101*10*time.Nanosecond,
		6*time.Millisecond + 30*time.Microsecond + 102*10*time.Nanosecond,
		6 * time.Millisecond,
	}
	if d := cmp.Diff(want, took); d != "" {
		t.Errorf("steps took (-want +got):\n%s", d)
	}
	if len(first) != 1 || len(finished) != 1 {
		t.Errorf("first tokens %v, finished %v, want one of each", first, finished)
	}
	if got, want := e.FirstTokens(false).Max(), time.Second+took[0]; got != want {
		t.Errorf("first token after %v, want %v", got, want)
	}
	if n := e.FirstTokens(true).Count(); n != 0 {
		t.Errorf("%d interactive first tokens, want none", n)
	}
}

func TestALongPromptIsReadInPieces(t *testing.T) {
	t.Parallel()
	e := newEngine(t, small())
	submit(t, e, ask(1, 9))
	e.Step(0)
	long := submit(t, e, ask(250, 1))
	var read []int64
	for range 3 {
		before := e.Gauges(0).PrefillTokens
		it := e.Step(0)
		read = append(read, e.Gauges(0).PrefillTokens-before)
		if done := len(ids(it.Finished)) == 1; done != (len(read) == 3) {
			t.Errorf("step %d finished %v, want %d in the third", len(read), ids(it.Finished), long)
		}
	}
	// The other sequence has one of the budget's hundred.
	if d := cmp.Diff([]int64{99, 99, 52}, read); d != "" {
		t.Errorf("tokens read (-want +got):\n%s", d)
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	opts := small()
	opts.Queue, opts.KVTokens = 3, 100
	for _, c := range []struct {
		name          string
		prompt, first int // accepted before the first step, and more after it
		more          int
	}{
		{"seats are short", 10, 5, 0},
		{"memory is short", 60, 5, 0},
	} {
		e := newEngine(t, opts)
		accepted := func() (n int) {
			for range 20 {
				switch _, err := e.Submit(0, ask(c.prompt, 20)); {
				case err == nil:
					n++
				case !errors.Is(err, batching.ErrQueueFull):
					t.Fatalf("%s: Submit = %v", c.name, err)
				}
			}
			return n
		}
		if got := accepted(); got != c.first {
			t.Errorf("%s: %d accepted at first, want %d", c.name, got, c.first)
		}
		e.Step(0)
		if got := accepted(); got != c.more {
			t.Errorf("%s: %d accepted after a step, want %d", c.name, got, c.more)
		}
		if got := e.Gauges(0).Refused; got != int64(40-c.first-c.more) {
			t.Errorf("%s: %d refused", c.name, got)
		}
	}
}

func TestPriorityOrdersTheQueueWhereItIsOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		byPriority bool
		want       []batching.ID
	}{
		{false, []batching.ID{1, 2, 3, 4, 5}},
		{true, []batching.ID{4, 2, 5, 1, 3}},
	} {
		opts := small()
		opts.MaxSequences, opts.ByPriority = 1, c.byPriority
		e := newEngine(t, opts)
		for _, p := range []int{7, 1, 7, -3, 1} {
			submit(t, e, batching.Request{PromptTokens: 5, OutputTokens: 2, Priority: p})
		}
		if order, _ := finish(t, e, 0); !cmp.Equal(order, c.want) {
			t.Errorf("by priority %v: finished in the order %v, want %v", c.byPriority, order, c.want)
		}
	}
}

func TestFullMemoryPreemptsTheLastOfTheQueuesOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		priorities [2]int
		want       []batching.ID
	}{
		{"by arrival", [2]int{0, 0}, []batching.ID{1, 2}},
		{"by priority", [2]int{9, 1}, []batching.ID{2, 1}},
	} {
		opts := small()
		opts.KVTokens, opts.ByPriority = 60, true
		e := newEngine(t, opts)
		for _, p := range c.priorities {
			submit(t, e, batching.Request{PromptTokens: 20, OutputTokens: 30, Priority: p})
		}
		order, _ := finish(t, e, 0)
		if !cmp.Equal(order, c.want) {
			t.Errorf("%s: finished in the order %v, want %v", c.name, order, c.want)
		}
		// Both have ten tokens when memory is full: 20+10 are read once more, and no token is generated twice.
		want := batching.Gauges{Preemptions: 1, OutputTokens: 60, PrefillTokens: 70, Finished: 2}
		if d := cmp.Diff(want, e.Gauges(0)); d != "" {
			t.Errorf("%s: gauges (-want +got):\n%s", c.name, d)
		}
	}
}

func TestCapacityFollowsItsTimetable(t *testing.T) {
	t.Parallel()
	opts := small()
	opts.MaxSequences, opts.KVTokens = 4, 1000
	opts.Room = []batching.Level{{At: time.Second, Factor: 0.5}, {At: 2 * time.Second}, {At: 3 * time.Second, Factor: 1.5}}
	opts.Speed = []batching.Level{{At: 2 * time.Second, Factor: 0.5}, {At: 3 * time.Second, Factor: 1}}
	e := newEngine(t, opts)
	for range 8 {
		submit(t, e, ask(10, 50))
	}
	for _, c := range []struct {
		at                          time.Duration
		running, waiting, preempted int
		took                        time.Duration
	}{
		{0, 4, 4, 0, 10 * time.Millisecond},
		{time.Second - 1, 4, 4, 0, 10 * time.Millisecond},
		{time.Second, 2, 6, 2, 10 * time.Millisecond},
		{2 * time.Second, 0, 8, 4, 20 * time.Millisecond},
		{3 * time.Second, 6, 2, 4, 10 * time.Millisecond},
	} {
		it := e.Step(c.at)
		g := e.Gauges(c.at)
		if g.Running != c.running || g.Waiting != c.waiting || int(g.Preemptions) != c.preempted || it.Took != c.took {
			t.Errorf("at %v: %+v in %v, want %+v", c.at, g, it.Took, c)
		}
	}
	if usage := e.Gauges(time.Second).KVUsage; usage < 0.12 || usage > 0.16 {
		t.Errorf("usage of half the memory = %v, want 6 x 11 and a few of 500", usage)
	}
}

func TestACancelledRequestIsForgotten(t *testing.T) {
	t.Parallel()
	e := newEngine(t, small())
	for range 4 {
		submit(t, e, ask(10, 10))
	}
	e.Step(0)
	for _, id := range []batching.ID{2, 3} {
		if !e.Cancel(id) || e.Cancel(id) {
			t.Errorf("Cancel(%d) is not true once and then false", id)
		}
	}
	if g := e.Gauges(0); g.Running != 1 || g.Waiting != 1 || g.KVTokens != 11 {
		t.Errorf("gauges after = %+v, want one running with 11 tokens and one waiting", g)
	}
	if order, _ := finish(t, e, 0); !cmp.Equal(order, []batching.ID{1, 4}) {
		t.Errorf("finished %v, want 1 and 4", order)
	}
}

func TestRequestsThatNeverFitAreRefused(t *testing.T) {
	t.Parallel()
	opts := small()
	opts.KVTokens = 100
	e := newEngine(t, opts)
	for _, r := range []batching.Request{{}, ask(0, 1), ask(1, 0), ask(60, 41)} {
		if _, err := e.Submit(0, r); !errors.Is(err, batching.ErrNeverFits) {
			t.Errorf("Submit(%+v) = %v, want ErrNeverFits", r, err)
		}
	}
	submit(t, e, ask(60, 40))
	finish(t, e, 0)
}

func TestWrongOptionsAreNamed(t *testing.T) {
	t.Parallel()
	late := batching.Level{At: time.Second, Factor: 1}
	for want, spoil := range map[string]func(*batching.Options){
		"Base":         func(o *batching.Options) { o.Base = 0 },
		"PerSequence":  func(o *batching.Options) { o.PerSequence = -1 },
		"MaxSequences": func(o *batching.Options) { o.MaxSequences = 0 },
		"StepTokens":   func(o *batching.Options) { o.StepTokens = 2 },
		"KVTokens":     func(o *batching.Options) { o.KVTokens = -1 },
		"stands still": func(o *batching.Options) { o.Speed = []batching.Level{{}} },
		"Speed is not": func(o *batching.Options) { o.Speed = []batching.Level{late, {At: 0, Factor: 1}} },
		"Room is not":  func(o *batching.Options) { o.Room = []batching.Level{late, {}} },
		"Room has":     func(o *batching.Options) { o.Room = []batching.Level{{Factor: math.NaN()}} },
	} {
		opts := small()
		spoil(&opts)
		if _, err := batching.New(opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want %q in it", err, want)
		}
	}
}

func TestCachedTokensAreReadAgainOnlyAfterAPreemption(t *testing.T) {
	t.Parallel()
	opts := small()
	opts.KVTokens = 60
	e := newEngine(t, opts)
	for range 2 {
		submit(t, e, batching.Request{PromptTokens: 20, CachedTokens: 15, OutputTokens: 30})
	}
	submit(t, e, batching.Request{PromptTokens: 5, CachedTokens: 9, OutputTokens: 1})
	finish(t, e, 0)
	// 5 and 5 at first, one of the third, and 20+10 by the one that was put back when memory was full.
	if g := e.Gauges(0); g.PrefillTokens != 41 || g.Preemptions != 1 {
		t.Errorf("gauges = %+v, want 41 tokens read and one preemption", g)
	}
}
