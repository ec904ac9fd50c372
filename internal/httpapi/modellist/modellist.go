// Package modellist answers the calls that list the models of the upstreams. Every key may make them: which models there are
// is no tenant's secret.
package modellist

import (
	"slices"

	"batchd/internal/httpapi"
)

// Routes returns the calls' routes. names returns the names of all models in order, those of the upstreams' lists as they
// stand there; it may be called concurrently and must not block.
func Routes(names func() []string) []httpapi.Route {
	list := func(c *httpapi.Call) error { return c.JSON(c.Dialect.ModelList(names())) }
	retrieve := func(c *httpapi.Call) error {
		name := c.Request.PathValue("id")
		if name == "" {
			return httpapi.NoRoute()
		}
		if _, found := slices.BinarySearch(names(), name); !found {
			return c.Dialect.NotFound("model", name)
		}
		return c.JSON(c.Dialect.Model(name))
	}
	get := []string{"GET"}
	return []httpapi.Route{
		{Path: "/models", Methods: map[string]httpapi.Handler{"GET": list}, ActFor: get},
		// The rest of the path, since names have slashes that clients do not always encode.
		{Path: "/models/{id...}", Methods: map[string]httpapi.Handler{"GET": retrieve}, ActFor: get},
	}
}
