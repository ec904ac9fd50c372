package batching_test

import (
	"testing"
	"time"

	"batchd/internal/sim/batching"
)

// An engine is what Engine and Seats have in common, as a scenario needs it.
type engine interface {
	Submit(now time.Duration, r batching.Request) (batching.ID, error)
	Step(now time.Duration) batching.Iteration
	Cancel(id batching.ID) bool
	Gauges(now time.Duration) batching.Gauges
	FirstTokens(interactive bool) *batching.Durations
}

var _, _ engine = (*batching.Engine)(nil), (*batching.Seats)(nil)

// submit submits a request that must be accepted, at time 0.
func submit(t testing.TB, e engine, r batching.Request) batching.ID {
	t.Helper()
	id, err := e.Submit(0, r)
	if err != nil {
		t.Fatalf("Submit(%+v) = %v", r, err)
	}
	return id
}

func ids(calls []batching.Call) []batching.ID {
	var out []batching.ID
	for _, c := range calls {
		out = append(out, c.ID)
	}
	return out
}

// finish steps until nothing is left and returns the order in which requests finished, and when the last one did.
func finish(t testing.TB, e engine, now time.Duration) (order []batching.ID, end time.Duration) {
	t.Helper()
	for range 10_000 {
		g := e.Gauges(now)
		if g.Running+g.Waiting == 0 {
			return order, now
		}
		it := e.Step(now)
		now += it.Took
		order = append(order, ids(it.Finished)...)
	}
	t.Fatalf("requests are left after 10,000 steps: %+v", e.Gauges(now))
	return nil, 0
}
