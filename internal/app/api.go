package app

import (
	"net/http"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/httpapi"
	"batchd/internal/httpapi/batches"
	"batchd/internal/httpapi/files"
	"batchd/internal/httpapi/form"
	"batchd/internal/httpapi/uploads"
	upstreamsapi "batchd/internal/httpapi/upstreams"
	"batchd/internal/tenant"
)

// handler returns the HTTP API over the engine, for those that auth lets in.
func (e *Engine) handler(auth tenant.Authenticator) http.Handler {
	return httpapi.New(httpapi.Options{
		Node: node{e}, Auth: auth, Mounts: e.mounts(e.routes()), Local: e.local(), Metrics: e.metricsOnAPI(auth),
		Now: time.Now, Logger: e.log, Registerer: e.metrics.registry,
	})
}

// routes returns OpenAI's API and what batchd adds to it. What a dialect lacks of it is left out where it is spoken.
func (e *Engine) routes() []httpapi.Route {
	st, blobs := e.storage.store, e.storage.blobs
	forms := form.NewReceiver(st, blobs)
	return slices.Concat(
		files.New(st, blobs, forms).Routes(),
		uploads.New(st, blobs, forms).Routes(),
		batches.New(st, executor{e}, e.retrier).Routes(),
		upstreamsapi.Routes(e.upstreams),
	)
}

// node is the engine as the transport of the API sees it.
type node struct{ *Engine }

var _ httpapi.Node = node{}

// Upstreams returns how the upstreams stand, in the order of the settings.
func (n node) Upstreams() []batch.Upstream { return n.upstreams() }

// StorageFull is what calls that store bytes are refused with while the disk is nearly full.
func (n node) StorageFull() error {
	if !n.space.Low() {
		return nil
	}
	return &batch.Error{
		Class: batch.StorageFull, Code: "storage_full",
		Message: "The server's disk is nearly full, so it takes no uploads. Delete files that are not needed, or try again later.",
	}
}

// Rate counts a request against its tenant's limit.
func (n node) Rate(who tenant.Identity) tenant.Rate { return n.buckets.Take(who, time.Now()) }

// executor is the engine as the API on batches sees it.
type executor struct{ *Engine }

var _ batches.Executor = executor{}

// Counts returns the live counts of a running batch.
func (x executor) Counts(batchID string) (batch.Counts, bool) { return x.progress.Counts(batchID) }

// WaitingFor returns why lines of a running batch are not in flight.
func (x executor) WaitingFor(batchID string) []batch.Waiting { return x.waitingFor(batchID) }

// Ended wakes the sender of webhooks.
func (x executor) Ended() { x.sender.Wake() }

// CheckCallback refuses an address that may not be told of a batch's end.
func (x executor) CheckCallback(url string) error { return x.checkCallback(url) }
