package upstream

import (
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/limit"
)

// Describe returns how the upstreams stand, in the order of the set, from what the dispatcher says of them.
func (m *Monitor) Describe(states []dispatch.UpstreamState) []batch.Upstream {
	all := make([]batch.Upstream, len(states))
	for i, s := range states {
		u := batch.Upstream{
			Name: PublicName(i + 1), Host: s.Name, InFlight: s.InFlight, Limit: s.Cap, Reason: Reason(s.Condition),
		}
		if !s.Called {
			u.Reason = Reason(m.Condition(i))
		}
		u.Models, _ = m.set.upstreams[i].Models()
		for _, g := range s.Gates {
			gate := batch.Gate{
				Model: g.Model, InFlight: g.InFlight, Limit: g.Limit, LimitedBy: string(g.LimitedBy), Step: string(g.Step), Closed: g.Closed,
				Reason: Reason(g.Condition), Waiting: int64(g.Waiting), WaitingOf: make(map[string]int64),
			}
			for tenant, n := range g.WaitingOf {
				gate.WaitingOf[tenant] = int64(n)
			}
			u.Gates = append(u.Gates, gate)
		}
		all[i] = u
	}
	return all
}

// PublicName is what an upstream is called by its place among the settings, counted from 1, so that tenants can be told
// which one it is without being told where; "" for 0, which stands for none.
func PublicName(place int) string {
	if place == 0 {
		return ""
	}
	return fmt.Sprintf("upstream-%d", place)
}

// Reason is a condition as it is shown.
func Reason(c limit.Condition) batch.Reason {
	return batch.Reason{
		Kind: string(c.Reason), Detail: c.Detail, Since: c.Since, Status: c.Status, Code: c.Code, Message: c.Message, NextTry: c.Next,
	}
}
