package dispatchbench

import (
	"math/rand/v2"
	"time"

	"batchd/internal/sim/batching"
)

const (
	// refusalTakes is how long it takes to be told that there is no room.
	refusalTakes = 20 * time.Millisecond
	// scrapeEvery is how often a limiter that reads the engine's metrics gets them.
	scrapeEvery = 2 * time.Second
)

type gauges = batching.Gauges

// engine is what batching.Engine and batching.Seats have in common.
type engine interface {
	Submit(now time.Duration, r batching.Request) (batching.ID, error)
	Step(now time.Duration) batching.Iteration
	Gauges(now time.Duration) gauges
	FirstTokens(interactive bool) *batching.Durations
}

// world is an engine, those who send it batches, and interactive traffic that nobody limits.
type world struct {
	engine  engine
	clients []*client
	online  *batching.Arrivals // nil: none
	calls   map[batching.ID]*call
	now     time.Duration
	scraped time.Duration
	steps   int
	meter   meter
}

// run lets the world live until a time.
func (w *world) run(until time.Duration) {
	for w.now < until {
		w.arrive()
		w.scrape()
		w.send()
		it := w.engine.Step(w.now)
		begin := w.now
		w.now += it.Took
		for i := range it.Finished {
			w.finish(&it.Finished[i])
		}
		w.meter.step(w, begin, it.Took)
		w.steps++
	}
}

// arrive submits what others send. A user who is refused goes away.
func (w *world) arrive() {
	for w.online != nil {
		at, r, ok := w.online.Due(w.now)
		if !ok {
			return
		}
		_, _ = w.engine.Submit(at, r)
	}
}

// scrape shows the engine's gauges to those who want them.
func (w *world) scrape() {
	if w.now < w.scraped {
		return
	}
	w.scraped = w.now + scrapeEvery
	for _, c := range w.clients {
		if l, ok := c.limiter.(loadReader); ok {
			l.read(w.now, w.engine.Gauges(w.now))
		}
	}
}

// send has clients send one call in turn until none may send another; who begins changes each time.
func (w *world) send() {
	for _, c := range w.clients {
		c.wake(w)
	}
	for sent := true; sent; {
		sent = false
		for i := range w.clients {
			if w.clients[(i+w.steps)%len(w.clients)].send(w) {
				sent = true
			}
		}
	}
}

// finish hands an answer to whom it is for.
func (w *world) finish(f *batching.Call) {
	c := w.calls[f.ID]
	if c == nil {
		return // interactive
	}
	delete(w.calls, f.ID)
	c.client.served(w, c)
}

// newRand returns the source of what happens for one purpose in a run.
func newRand(seed, purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, purpose)) }
