package app

import (
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/limit"
)

// waitingFor returns why lines of a running batch are not in flight, what concerns most of them first.
func (e *Engine) waitingFor(batchID string) []batch.Waiting {
	return e.waitingAt(batchID, upstreamName)
}

// waitingAt is waitingFor with upstreams called as name says, by their place among the settings, counted from 1; 0 stands
// for none.
func (e *Engine) waitingAt(batchID string, name func(place int) string) []batch.Waiting {
	var all []batch.Waiting
	for _, w := range e.dispatcher.WaitingFor(batchID) {
		all = append(all, batch.Waiting{
			Reason: reasonOf(w.Condition), Lines: int64(w.Lines), Upstream: name(w.Target), Model: w.Model, Own: w.Own,
		})
	}
	return all
}

// upstreams returns how the upstreams stand, in the order of the settings.
func (e *Engine) upstreams() []batch.Upstream {
	states, known := e.dispatcher.Upstreams(), e.ups.set.Upstreams()
	all := make([]batch.Upstream, len(states))
	for i, s := range states {
		u := batch.Upstream{
			Name: upstreamName(i + 1), Host: s.Name, InFlight: s.InFlight, Limit: s.Cap, Reason: reasonOf(s.Condition),
		}
		if !s.Called {
			u.Reason = reasonOf(e.ups.monitor.Condition(i))
		}
		u.Models, _ = known[i].Models()
		for _, g := range s.Gates {
			u.Gates = append(u.Gates, gateOf(g))
		}
		all[i] = u
	}
	return all
}

func gateOf(g dispatch.GateState) batch.Gate {
	o := batch.Gate{
		Model: g.Model, InFlight: g.InFlight, Limit: g.Limit, LimitedBy: string(g.LimitedBy), Step: string(g.Step), Closed: g.Closed,
		Reason: reasonOf(g.Condition), Waiting: int64(g.Waiting), WaitingOf: make(map[string]int64),
	}
	for tenant, n := range g.WaitingOf {
		o.WaitingOf[tenant] = int64(n)
	}
	return o
}

// upstreamName is what an upstream is called by its place among the settings, counted from 1, so that tenants can be told
// which one it is without being told where; "" for none.
func upstreamName(place int) string {
	if place == 0 {
		return ""
	}
	return fmt.Sprintf("upstream-%d", place)
}

func reasonOf(c limit.Condition) batch.Reason {
	return batch.Reason{
		Kind: string(c.Reason), Detail: c.Detail, Since: c.Since, Status: c.Status, Code: c.Code, Message: c.Message, NextTry: c.Next,
	}
}
