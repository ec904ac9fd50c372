package dispatch

import (
	"context"
	"math/rand/v2"
	"time"

	"batchd/internal/limit"
)

// Target is an upstream with its settings.
type Target struct {
	Upstream Upstream
	// Concurrency is how many calls may be in flight at most, over all models; 0 means that it is found.
	Concurrency int
	// Shared says that others use the upstream too: what is not known to be free there is not taken.
	Shared bool
	// Load reads the metrics of the engine behind the upstream; nil for one that has none to go by.
	Load func(ctx context.Context) (limit.EngineLoads, error)
}

// target is an upstream in the schedule's eyes: its address, and a gate for each model that work is there for.
type target struct {
	upstream    Upstream
	concurrency int
	shared      bool
	load        func(ctx context.Context) (limit.EngineLoads, error)
	address     *limit.Address
	// told is the condition that was logged last.
	told limit.Condition
	// worked is set once a call ended otherwise than denied or unreachable; refused is what all calls were told before.
	worked  bool
	refused limit.Condition
}

// free is how many calls more the target could take, as far as it has gates.
func (t *target) free() int { return t.address.Cap() - t.address.InFlight() }

// gate is a limit.Gate with its place.
type gate struct {
	*limit.Gate
	target *target
	queue  *queue
	// serves is what the upstream said of the model last; a gate that serves no more only ends its calls.
	serves bool
	// refused is the scan in which the gate gave no permit, so that one scan asks it once.
	refused uint64
	// scatter counts lines that are taken from units at random: after a closing, since the next ones may all be bad.
	scatter int
	// told is the condition that was logged last.
	told limit.Condition
}

// scatterFor is how many lines are taken at random after a gate has opened: if the next ones in plan order were all bad,
// they alone would close it again.
const scatterFor = 1000

// queue is what waits for one model, and the gates it may go through.
type queue struct {
	model string
	gates []*gate
	// lanes are the batches with open units of the model, in turn.
	lanes []*lane
	turn  int
	// ask is waiting, made a value once and not for each answer.
	ask func() limit.Queue
	// idleSince is when the last lane went.
	idleSince time.Time
}

// at returns the model's gate at a target; nil if it does not serve the model.
func (q *queue) at(t *target) *gate {
	for _, g := range q.gates {
		if g.target == t {
			if g.serves {
				return g
			}
			return nil
		}
	}
	return nil
}

// openElsewhere reports whether another gate of the model takes calls.
func (q *queue) openElsewhere(than *gate) bool {
	for _, g := range q.gates {
		if g != than && g.serves && !g.Closed() {
			return true
		}
	}
	return false
}

// connect brings the gates up to date with what the upstreams serve.
func (q *queue) connect(targets []*target, rng *rand.Rand, changed func(*gate, limit.Change)) {
	for _, t := range targets {
		serves := t.upstream.Serves(q.model)
		known := false
		for _, g := range q.gates {
			if g.target == t {
				g.serves, known = serves, true
			}
		}
		if serves && !known {
			g := &gate{target: t, queue: q, serves: true}
			g.Gate = limit.NewGate(t.address, limit.Options{
				Concurrency: t.concurrency, Shared: t.shared, Rand: rng, Changed: func(c limit.Change) { changed(g, c) },
			})
			q.gates = append(q.gates, g)
		}
	}
}

// waiting says what the model's lanes hold, for a gate's judgement.
func (q *queue) waiting() limit.Queue {
	var w limit.Queue
	for _, l := range q.lanes {
		w.Left += l.left
		if l.job.mayLease(l.model) {
			w.Left, w.Fresh = w.Left+manyLines, true
		}
		w.Fresh = w.Fresh || len(l.filling) > 0
	}
	return w
}

// manyLines stands for the lines of units that are not leased: more than any rule asks about.
const manyLines = 1000
