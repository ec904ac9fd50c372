package dispatchbench

import (
	"math/rand/v2"
	"time"

	"batchd/internal/limit"
)

// gate is batchd's own: a limit.Gate with what the dispatcher puts around it as far as that matters for lines whose
// failures are all for want of room.
type gate struct {
	gate  *limit.Gate
	start time.Time
	calls map[int]*gateCall
}

// gateCall is a line that was sent and has no answer yet, or was refused.
type gateCall struct {
	permit  limit.Permit
	history limit.History
}

// newGate returns a gate; concurrency 0 is `auto`.
func newGate(concurrency int, seed uint64) *gate {
	r := rand.New(rand.NewPCG(seed, 2))
	o := limit.Options{Concurrency: concurrency, Rand: r}
	return &gate{
		gate:  limit.NewGate(limit.NewAddress(limit.AutoMost, r.Float64), o),
		start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		calls: make(map[int]*gateCall),
	}
}

func (g *gate) take(now time.Duration, line int) bool {
	at := g.start.Add(now)
	permit, _, ok := g.gate.Take(at)
	if !ok {
		return false
	}
	c := g.calls[line]
	if c == nil {
		c = &gateCall{history: limit.History{Batch: "batch", Line: uint32(line)}}
		g.calls[line] = c
	}
	c.permit = permit
	c.permit.Start(at, &c.history)
	return true
}

func (g *gate) done(now time.Duration, line int, a answer) rest {
	s := limit.Signal{Kind: limit.Served, Status: 200, OutputTokens: int64(a.tokens)}
	if a.refused {
		s = limit.Signal{Kind: limit.NoRoom, Status: 429, Reason: limit.ReasonNoRoom}
	}
	c := g.calls[line]
	v := c.permit.Done(g.start.Add(now), &c.history, &s, endless)
	if v.Final {
		delete(g.calls, line)
	}
	return rest{pause: max(v.Pause, v.Lull)}
}

// endless is the queue of a batch that does not end.
func endless() limit.Queue { return limit.Queue{Left: 1_000_000, Fresh: true} }

// loaded is a gate that governs by what its engine says of itself.
type loaded interface {
	Load(now time.Time, load limit.EngineLoad, replicas int)
}

// gateWithMetrics is a gate that is told what the engine shows of itself.
type gateWithMetrics struct {
	*gate
	loaded loaded
}

// newGateWithMetrics returns false as long as gates cannot read engines.
func newGateWithMetrics(seed uint64) (*gateWithMetrics, bool) {
	g := newGate(0, seed)
	l, ok := any(g.gate).(loaded)
	return &gateWithMetrics{g, l}, ok
}

func (g *gateWithMetrics) read(now time.Duration, e gauges) {
	at, usage := g.start.Add(now), e.KVUsage
	if e.KVTokens == 0 {
		usage = -1 // this engine has no such memory, and a real one says nothing of what it has not
	}
	g.loaded.Load(at, limit.EngineLoad{
		Running: e.Running, Waiting: e.Waiting, KVUsage: usage, Preemptions: float64(e.Preemptions), At: at,
	}, 1)
}
