package httpapi

import (
	"slices"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// watches reports whether the call's dialect shows how the upstreams stand, and the server knows it.
func (c *Call) watches(string) bool {
	_, shows := c.Dialect.(dialect.Watcher)
	return shows && c.Upstreams != nil
}

func (c *Call) listUpstreams() error {
	d := c.Dialect.(dialect.Watcher) //nolint:errcheck // the route is offered only where it is one
	if c.Who.Operator {
		return c.JSON(d.Upstreams(c.Upstreams()))
	}
	return c.JSON(d.TenantUpstreams(c.Upstreams(), c.Who.Tenant))
}

// waitingFor returns what a running batch waits for, as far as the caller may know: an upstream's own words are for the
// operator, and for the batch whose line got them.
func (c *Call) waitingFor(b batch.Batch) []batch.Waiting {
	if c.WaitingFor == nil || !c.Dialect.Extensions() || b.Status != batch.InProgress || b.Stop != batch.StopNone {
		return nil
	}
	all := c.WaitingFor(b.ID)
	if c.Who.Operator {
		return all
	}
	all = slices.Clone(all)
	for i := range all {
		if !all[i].Own {
			all[i].Message = ""
		}
	}
	return all
}
