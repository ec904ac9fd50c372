package batching_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"batchd/internal/sim/batching"
)

// A scenario keeps a fixed number of requests in flight for 20 minutes, beside traffic of others. It begins with 5% of
// them a step. The last 12 minutes are measured.
type scenario struct {
	engine   engine
	mix      batching.Mix
	inFlight int
	online   *batching.Arrivals // nil: none
}

const (
	warmUp = 8 * time.Minute
	whole  = 20 * time.Minute
)

// A figure is what a scenario measured.
type figure struct {
	rate    float64 // tokens a second of the requests kept in flight, by what finished
	queue   float64 // mean number waiting
	running float64 // mean number running
	refused int
	online  time.Duration // p99 of the time to the first token of interactive requests
}

// A meter adds up what a scenario measures over time.
type meter struct {
	queued, ran float64 // requests x seconds
	tokens      int     // of requests kept in flight that finished
	refused     int
}

func (s scenario) run(seed uint64) figure {
	r := rand.New(rand.NewPCG(seed, 1))
	var m meter
	own := 0
	for now := time.Duration(0); now < whole; {
		begin := now
		s.arrive(now)
		for pace := max(4, s.inFlight/20); pace > 0 && own < s.inFlight; pace-- {
			if _, err := s.engine.Submit(now, s.mix.Draw(r)); err != nil {
				m.refused++
				break
			}
			own++
		}
		it := s.engine.Step(now)
		now += it.Took
		if begin < warmUp {
			m = meter{}
			s.engine.FirstTokens(true).Reset()
		}
		own -= m.count(it, s.engine.Gauges(now))
	}
	span := (whole - warmUp).Seconds()
	return figure{
		rate: float64(m.tokens) / span, queue: m.queued / span, running: m.ran / span, refused: m.refused,
		online: s.engine.FirstTokens(true).Quantile(0.99),
	}
}

// arrive submits what others send. A user who is refused goes away.
func (s scenario) arrive(now time.Duration) {
	for s.online != nil {
		at, request, ok := s.online.Due(now)
		if !ok {
			return
		}
		_, _ = s.engine.Submit(at, request)
	}
}

// count measures an iteration and returns how many of the requests in flight finished.
func (m *meter) count(it batching.Iteration, g batching.Gauges) (own int) {
	m.queued += float64(g.Waiting) * it.Took.Seconds()
	m.ran += float64(g.Running) * it.Took.Seconds()
	for _, c := range it.Finished {
		if !c.Request.Interactive {
			own++
			m.tokens += c.Request.OutputTokens
		}
	}
	return own
}

// online is the interactive traffic of a scenario: the same in all of them.
func online() *batching.Arrivals { return batching.Online().Arrivals(rand.New(rand.NewPCG(1, 2))) }

// A span is what a figure may be.
type span struct{ from, to float64 }

func (s span) holds(v float64) bool { return s.from <= v && v <= s.to }

// The figures that scheduling was chosen by: how much of the best throughput a fixed number in flight reaches, and how
// long the engine's queue gets.
func TestTheReferenceEngineReachesItsFigures(t *testing.T) {
	t.Parallel()
	options := func(change func(*batching.Options)) func() engine {
		return func() engine {
			opts := batching.Reference()
			change(&opts)
			return newEngine(t, opts)
		}
	}
	plain := options(func(*batching.Options) {})
	gateway := options(func(o *batching.Options) { o.Queue = 32 })
	ordered := options(func(o *batching.Options) { o.ByPriority = true })
	third := options(func(o *batching.Options) {
		o.Room = []batching.Level{{At: 10 * time.Minute, Factor: 1.0 / 3}, {At: 15 * time.Minute, Factor: 1}}
	})
	low := batching.Chat()
	low.Priority = 100
	nobody := func() *batching.Arrivals { return nil }
	none := span{0, 0}
	for _, c := range []struct {
		name     string
		engine   func() engine
		mix      batching.Mix
		online   func() *batching.Arrivals
		best     int // in flight
		inFlight int
		share    span // of the rate of the best
		queue    span // mean
		p99      span // seconds to the first token of interactive requests
	}{
		{"seats", plain, batching.Chat(), nobody, 256, 64, span{0.60, 0.63}, span{0, 1}, none},
		{"seats", plain, batching.Chat(), nobody, 256, 1024, span{0.99, 1.01}, span{766, 770}, none},
		{"memory", plain, batching.Documents(), nobody, 256, 64, span{0.97, 1.03}, span{5, 12}, none},
		{"memory", plain, batching.Documents(), nobody, 256, 1024, span{0.99, 1.01}, span{960, 974}, none},
		{"gateway", gateway, batching.Chat(), nobody, 256, 1024, span{0.98, 1.01}, span{25, 33}, none},
		{"shared", plain, batching.Chat(), online, 1024, 64, span{0.60, 0.68}, span{0, 1}, span{0.05, 0.15}},
		{"shared", plain, batching.Chat(), online, 1024, 256, span{0.97, 1.03}, span{40, 90}, span{3, 6}},
		{"priority", ordered, low, online, 256, 1024, span{0.99, 1.01}, span{780, 860}, span{0.05, 0.25}},
		{"third for 5 min", third, batching.Chat(), nobody, 256, 64, span{0.68, 0.73}, span{0, 1}, none},
		{"third for 5 min", third, batching.Chat(), nobody, 256, 1024, span{0.99, 1.01}, span{825, 855}, none},
	} {
		t.Run(fmt.Sprintf("%s with %d in flight", c.name, c.inFlight), func(t *testing.T) {
			t.Parallel()
			best := scenario{c.engine(), c.mix, c.best, c.online()}.run(7)
			got := scenario{c.engine(), c.mix, c.inFlight, c.online()}.run(7)
			share := got.rate / best.rate
			t.Logf("best %+v, got %+v: %.1f%%", best, got, 100*share)
			if !c.share.holds(share) || !c.queue.holds(got.queue) || !c.p99.holds(got.online.Seconds()) {
				t.Errorf("%.3f of the best with %+v, want %v, a queue of %v and a p99 of %v s", share, got, c.share, c.queue, c.p99)
			}
		})
	}
}

func TestARunIsAFunctionOfItsSeed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) figure {
		return scenario{newEngine(t, batching.Reference()), batching.Documents(), 64, online()}.run(seed)
	}
	first := run(1)
	if again := run(1); again != first {
		t.Errorf("one seed gave %+v and %+v", first, again)
	}
	if other := run(2); other == first {
		t.Errorf("two seeds gave %+v", other)
	}
}

// Not parallel: it counts the allocations of the whole process.
func TestStepsAllocateNothing(t *testing.T) {
	e := newEngine(t, batching.Reference())
	r := rand.New(rand.NewPCG(1, 1))
	mix, now := batching.Chat(), time.Duration(0)
	step := func() {
		for g := e.Gauges(now); g.Running+g.Waiting < 300; g = e.Gauges(now) {
			if _, err := e.Submit(now, mix.Draw(r)); err != nil {
				t.Fatal(err)
			}
		}
		now += e.Step(now).Took
	}
	for range 5000 {
		step()
	}
	if n := testing.AllocsPerRun(5000, step); n > 0 {
		t.Errorf("%v allocations a step", n)
	}
}

func BenchmarkTwentyMinutesWith256InFlight(b *testing.B) {
	for b.Loop() {
		scenario{newEngine(b, batching.Reference()), batching.Chat(), 256, nil}.run(1)
	}
}
