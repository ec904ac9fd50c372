package httpapi

import "net/http"

// Routes returns the routes of OpenAI's Batch API and of what batchd adds to it.
func Routes() []Route {
	return []Route{
		{Path: "/batches", Methods: map[string]Handler{"POST": (*Call).createBatch, "GET": (*Call).listBatches}},
		{
			Path:    "/batches/{id}",
			Methods: map[string]Handler{"GET": (*Call).retrieveBatch, "PATCH": (*Call).editBatch},
			Offered: func(c *Call, method string) bool { return method != http.MethodPatch || c.edits() },
		},
		{Path: "/batches/{id}/cancel", Methods: map[string]Handler{"POST": (*Call).cancelBatch}},
		{
			Path: "/batches/{id}/retry", Methods: map[string]Handler{"POST": (*Call).retryBatch},
			Offered: func(c *Call, _ string) bool { return c.retries() },
		},
		{Path: "/upstreams", Methods: map[string]Handler{"GET": (*Call).listUpstreams}, Offered: (*Call).watches},
	}
}
