package limit_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"batchd/internal/limit"
	"batchd/internal/sim/batching"
)

// replica is an engine that batches continuously, kept as full as a gate allows with requests without end. Its steps
// take the longer the more sequences run, so all calls become slower long before one has to wait: seats are not so.
type replica struct {
	t      *testing.T
	engine *batching.Engine
	gate   *limit.Gate // nil: fixed calls are kept in flight
	fixed  int
	mix    batching.Mix
	rand   *rand.Rand
	calls  map[batching.ID]*replied
	now    time.Duration
	tokens float64 // of all that was served
	flight float64 // calls × seconds
}

type replied struct {
	permit  limit.Permit
	history limit.History
}

// newReplica returns a replica before a gate of its own, or with so many calls in flight if fixed is not 0.
func newReplica(t *testing.T, o *batching.Options, mix *batching.Mix, fixed int, seed uint64) *replica {
	t.Helper()
	e, err := batching.New(*o)
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{
		t: t, engine: e, fixed: fixed, mix: *mix, rand: rand.New(rand.NewPCG(seed, 1)), calls: map[batching.ID]*replied{},
	}
	if fixed == 0 {
		random := rand.New(rand.NewPCG(seed, 2))
		r.gate = limit.NewGate(limit.NewAddress(limit.AutoMost, random.Float64), limit.Options{Rand: random})
	}
	return r
}

// run lets time pass until end, and returns the tokens a second and the calls in flight.
func (r *replica) run(end time.Duration) (rate, inFlight float64) {
	r.t.Helper()
	began := r.now
	r.tokens, r.flight = 0, 0
	for r.now < end {
		for r.send() {
		}
		r.step()
	}
	passed := (r.now - began).Seconds()
	return r.tokens / passed, r.flight / passed
}

// until lets time pass until ten seconds in a row have brought so many tokens a second, and returns how long it took.
func (r *replica) until(rate float64) time.Duration {
	r.t.Helper()
	began := r.now
	for r.now-began < 10*time.Minute {
		if got, _ := r.run(r.now + 10*time.Second); got >= rate {
			break
		}
	}
	return r.now - began
}

// step lets the engine make a step.
func (r *replica) step() {
	it := r.engine.Step(r.now)
	r.flight += it.Took.Seconds() * float64(len(r.calls))
	r.now += it.Took
	for i := range it.Finished {
		f := &it.Finished[i]
		r.tokens += float64(f.Request.OutputTokens)
		if c := r.calls[f.ID]; r.gate != nil {
			s := limit.Signal{Kind: limit.Served, Status: 200, OutputTokens: int64(f.Request.OutputTokens)}
			c.permit.Done(start.Add(r.now), &c.history, &s, nil)
		}
		delete(r.calls, f.ID)
	}
}

// send starts a call if there is room for it.
func (r *replica) send() bool {
	r.t.Helper()
	c := &replied{history: limit.History{Batch: "batch"}}
	if r.gate != nil {
		p, _, ok := r.gate.Take(start.Add(r.now))
		if !ok {
			return false
		}
		c.permit = p
		c.permit.Start(start.Add(r.now), &c.history)
	} else if len(r.calls) >= r.fixed {
		return false
	}
	id, err := r.engine.Submit(r.now, r.mix.Draw(r.rand))
	if err != nil {
		r.t.Fatal(err)
	}
	r.calls[id] = c
	return true
}

func TestAnEngineWhoseStepsBecomeSlowerIsFilled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mix   batching.Mix
		best  int
		share float64
		soon  time.Duration // 90 s, or 30 calls of the best limit if that is more
	}{
		"as many sequences as it has":    {batching.Chat(), 256, 0.96, 169 * time.Second},
		"as many as its memory can hold": {batching.Documents(), 60, 0.92, 267 * time.Second},
	} {
		inWorlds(t, name, func(t *testing.T, seed uint64) {
			o := batching.Reference()
			fixed := newReplica(t, &o, &c.mix, c.best, seed)
			fixed.run(time.Minute)
			best, _ := fixed.run(10 * time.Minute)
			r := newReplica(t, &o, &c.mix, 0, seed)
			atMost(t, "seconds to 80%", r.until(0.8*best).Seconds(), c.soon.Seconds())
			r.run(8 * time.Minute)
			rate, flight := r.run(20 * time.Minute)
			atLeast(t, "share of the best fixed limit", rate/best, c.share)
			atMost(t, "mean in flight, times the best", flight/float64(c.best), 1.3)
		})
	}
}

func TestAnEngineThatLosesTwoThirdsOfItsRoomForFiveMinutesIsFollowed(t *testing.T) {
	t.Parallel()
	inWorlds(t, "256 sequences", func(t *testing.T, seed uint64) {
		o, mix := batching.Reference(), batching.Chat()
		o.Room = []batching.Level{{At: 10 * time.Minute, Factor: 1.0 / 3}, {At: 15 * time.Minute, Factor: 1}}
		fixed, r := newReplica(t, &o, &mix, 256, seed), newReplica(t, &o, &mix, 0, seed)
		fixed.run(8 * time.Minute)
		best, _ := fixed.run(20 * time.Minute)
		whole, _ := fixed.run(24 * time.Minute)
		r.run(8 * time.Minute)
		rate, flight := r.run(20 * time.Minute)
		atLeast(t, "share of the best fixed limit", rate/best, 0.92)
		atMost(t, "mean in flight, times the sequences", flight/256, 1.3)
		again := newReplica(t, &o, &mix, 0, seed)
		again.run(15 * time.Minute)
		atMost(t, "seconds back to 80%", again.until(0.8*whole).Seconds(), 195)
	})
}
