// Package upstreams answers the call that shows the state of the upstreams.
package upstreams

import (
	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
)

// Routes returns the route, for dialects that show upstreams. all returns their state; it may be called concurrently
// and must not block.
func Routes(all func() []batch.Upstream) []httpapi.Route {
	list := func(c *httpapi.Call) error {
		d := c.Dialect.(dialect.Watcher) //nolint:errcheck // the route is offered only where it is one
		if c.Who.Operator {
			return c.JSON(d.Upstreams(all()))
		}
		return c.JSON(d.TenantUpstreams(all(), c.Who.Tenant))
	}
	shown := func(c *httpapi.Call, _ string) bool {
		_, ok := c.Dialect.(dialect.Watcher)
		return ok
	}
	return []httpapi.Route{{Path: "/upstreams", Methods: map[string]httpapi.Handler{"GET": list}, ActFor: []string{"GET"}, Offered: shown}}
}
