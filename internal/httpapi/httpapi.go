// Package httpapi is the transport of the HTTP API: who calls and in which dialect, how fast bodies must come and how often
// calls may, gzip, the log and the metrics of requests, and the one place where an error becomes an HTTP status. What a
// call does is for the routes that a mount brings; those of OpenAI's API are the packages below this one. It knows no
// vendor's name, and what a call may see is decided by its tenant alone.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"batchd/internal/batch"
	"batchd/internal/clock"
	"batchd/internal/dialect"
	"batchd/internal/store"
	"batchd/internal/tenant"
)

// Node is what every call needs to know of the server behind the API. Its methods may be called concurrently and must not
// block, but for Freeing.
type Node interface {
	// Ready returns whether the server takes work, and if not, why.
	Ready() Readiness
	// Upstreams returns the state of the upstreams.
	Upstreams() []batch.Upstream
	// StorageFull returns an error while calls that store bytes must be refused for lack of space. A *batch.Error is what
	// the client is told; any other is for the operator.
	StorageFull() error
	// Freeing looks up which bytes of what a tenant has deleted are stored still, and when they go.
	Freeing(ctx context.Context, tenant string) (store.Freeing, error)
	// Rate counts a request against its tenant's limit of requests per minute.
	Rate(who tenant.Identity) tenant.Rate
}

// Options configures the API. Node, Auth, Tenants and at least one mount are required; the rest may be left at zero.
type Options struct {
	Node Node
	Auth tenant.Authenticator
	// Tenants finds those that admins act for.
	Tenants tenant.Finder
	// Mounts are the APIs by path prefix. The first one also words the errors of paths under no prefix.
	Mounts []Mount

	// Local authenticates those who, beside the operator, may know where the upstreams are; nil for nobody.
	Local tenant.Authenticator
	// MinUploadRate is how many bytes a second an upload must come to, over UploadPatience; a slower one is cut off. Zeros
	// stand for 1 KiB/s over 30 s.
	MinUploadRate  int64
	UploadPatience time.Duration
	// SendTimeout is how long a client may take for the next 64 KiB of an answer; a slower one is cut off. Zero stands for five
	// minutes.
	SendTimeout time.Duration
	// Crowded reports whether a request came over one of the last connections, which are for those that take no time: calls are
	// told to come back then. Nil means that none does.
	Crowded func(ctx context.Context) bool
	// Metrics serves /metrics; nil leaves the route out.
	Metrics http.Handler

	// Now is the wall clock, whose time is shown and stored. Time is what it shows beside the one that decides what has
	// expired; nil stands for a wall clock that nobody sets.
	Now        func() time.Time
	Time       func() clock.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Readiness is whether a server takes work.
type Readiness struct {
	// Problems keep it from taking any, as sentences for its operator.
	Problems []string
	// Reasons hold up some of it, beside what the upstreams do.
	Reasons []string
	// Private are reasons that name tenants, batches or files. They are for operators only.
	Private []string
}

// Mount is the API under a path prefix like "/v1".
type Mount struct {
	Prefix string
	// Profile is that of the dialect which is spoken there if nothing else about a call chooses one.
	dialect.Profile
	// Choose returns the profile of a call whose key, host or query have one of their own, and false where they do not. It reads
	// no more of the request than host and query. Nil means that none has. The identity is zero for a call that was refused.
	Choose func(r *http.Request, who tenant.Identity) (dialect.Profile, bool)
	// Routes are what is served there, beside the description of the dialect.
	Routes []Route
}

// routes returns everything that the mount serves: what it brings, and the OpenAPI document of the dialect that calls
// without a key speak there. That is for anybody, and changes with the server's version only.
func (m *Mount) routes() []Route {
	describe := func(c *Call) error {
		c.Header().Set("Cache-Control", "public, max-age=300")
		return c.JSON(c.Dialect.Description())
	}
	return append(slices.Clone(m.Routes), Route{Path: "/openapi.json", Open: true, Methods: map[string]Handler{"GET": describe}})
}

// profileFor returns the profile of a call; who is zero as long as that is not known, for the errors before it is.
func (m *Mount) profileFor(r *http.Request, who tenant.Identity) dialect.Profile {
	if m.Choose != nil {
		if p, ok := m.Choose(r, who); ok {
			return p
		}
	}
	return m.Profile
}
