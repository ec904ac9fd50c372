// Package httpapi is the HTTP side of the server: routes, uploads, downloads, paging, and the one place where an
// error becomes an HTTP status. It speaks through dialects and knows no vendor's name; what a call may see is
// decided by its tenant alone. Nothing is stored before its checks pass, and no byte of a file is sent that has
// not been checked first.
package httpapi

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/retry"
	"batchd/internal/store"
	"batchd/internal/tenant"
)

// Store is the part of the metadata store that the API needs.
type Store interface {
	store.Files
	store.Uploads
	store.Batches
	// StorageLeft is how many bytes more a tenant may store.
	StorageLeft(ctx context.Context, tenant string, now time.Time) (int64, error)
	// Tenant returns a tenant by its id, or store.ErrNotFound.
	Tenant(ctx context.Context, id string) (store.Tenant, error)
}

// Options are what the API is made of. Store, Blobs, Auth and at least one mount are required; the rest may be left
// at zero.
type Options struct {
	Store Store
	Blobs blob.Store
	Auth  tenant.Authenticator
	// Mounts are the dialects by path prefix. The first one also words the errors of paths under no prefix.
	Mounts []Mount

	// Progress returns the live counts of a running batch, which are ahead of the stored ones. A batch has them from
	// before it can be seen as running until after its terminal state is stored. Nil: stored counts are shown.
	Progress func(batchID string) (batch.Counts, bool)
	// WaitingFor returns why lines of a running batch wait, nil for nothing. Nil: nobody is told.
	WaitingFor func(batchID string) []batch.Waiting
	// Upstreams returns how the upstreams stand. Nil leaves the route out.
	Upstreams func() []batch.Upstream
	// Created and Cancelled are told of batches right after the change is stored; they must not block.
	Created func(batchID string)
	// Ended is told that something happened which webhooks may be due for; it must not block.
	Ended     func()
	Cancelled func(batchID string)
	// StorageFull returns an error while uploads must be refused for lack of space.
	StorageFull func() error
	// Ready says whether the server takes work.
	Ready func() Readiness
	// Local lets in who may know where the upstreams are besides the operator. Nil: nobody.
	Local tenant.Authenticator
	// Rate counts a request against its tenant's limit of requests per minute. Nil: there is no limit.
	Rate func(who tenant.Identity) tenant.Rate
	// CheckCallback refuses, with a *batch.Error, an address that may not be told of a batch's end. Nil: all are refused.
	CheckCallback func(url string) error
	// Retry makes batches of what is left of ended ones. Nil: there is no retry.
	Retry *retry.Retrier
	// MinUploadRate is how many bytes a second an upload must come to, over UploadPatience; a slower one is cut off. Zeros
	// stand for 1 KiB/s over 30 s.
	MinUploadRate  int64
	UploadPatience time.Duration
	// Metrics serves /metrics; nil leaves the route out.
	Metrics http.Handler

	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Readiness says whether a server takes work.
type Readiness struct {
	// Problems keep it from taking any, as sentences for its operator.
	Problems []string
	// Reasons hold up some of it, beside what the upstreams do.
	Reasons []string
}

// Mount is the API under a path prefix like "/v1".
type Mount struct {
	Prefix string
	// Profile is that of the dialect which is spoken there.
	dialect.Profile
	// Choose returns the profile of a call where host or key have one of their own, and false where they do not. Nil means
	// that none has. The identity is zero for a call that was refused.
	Choose func(host string, who tenant.Identity) (dialect.Profile, bool)
	// Routes are what is served there, beside the description of the dialect.
	Routes []Route
}

// New returns the handler of the whole API. It may be used concurrently, and holds no goroutines of its own.
func New(o Options) http.Handler {
	s := &server{Options: withDefaults(o), mux: http.NewServeMux()}
	s.metrics = newMetrics(s.Registerer)
	for i := range s.Mounts {
		s.mount(&s.Mounts[i])
	}
	s.mountOperations()
	return s
}

// server is the state shared by all calls.
type server struct {
	Options
	mux     *http.ServeMux
	metrics *metrics
	// compressors keeps *gzip.Writer between answers.
	compressors sync.Pool
}

func withDefaults(o Options) Options {
	if o.Created == nil {
		o.Created = func(string) {}
	}
	if o.Cancelled == nil {
		o.Cancelled = func(string) {}
	}
	if o.StorageFull == nil {
		o.StorageFull = func() error { return nil }
	}
	if o.Ended == nil {
		o.Ended = func() {}
	}
	if o.Rate == nil {
		o.Rate = func(tenant.Identity) tenant.Rate { return tenant.Rate{} }
	}
	o.MinUploadRate = cmp.Or(o.MinUploadRate, batch.KiB)
	o.UploadPatience = cmp.Or(o.UploadPatience, 30*time.Second)
	if o.Ready == nil {
		o.Ready = func() Readiness { return Readiness{} }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return o
}
