package app

import (
	"batchd/internal/batch"
	"batchd/internal/upstream"
)

// waitingFor returns why lines of a running batch are not in flight, what concerns most of them first.
func (e *Engine) waitingFor(batchID string) []batch.Waiting {
	return e.waitingAt(batchID, upstream.PublicName)
}

// waitingAt is waitingFor with upstreams called as name says, by their place among the settings, counted from 1; 0 stands
// for none.
func (e *Engine) waitingAt(batchID string, name func(place int) string) []batch.Waiting {
	var all []batch.Waiting
	for _, w := range e.dispatcher.WaitingFor(batchID) {
		all = append(all, batch.Waiting{
			Reason: upstream.Reason(w.Condition), Lines: int64(w.Lines), Upstream: name(w.Target), Model: w.Model, Own: w.Own,
		})
	}
	return all
}

// upstreams returns how the upstreams stand, in the order of the settings.
func (e *Engine) upstreams() []batch.Upstream {
	return e.ups.monitor.Describe(e.dispatcher.Upstreams())
}
