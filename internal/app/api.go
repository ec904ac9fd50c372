package app

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/dialect"
	"batchd/internal/dialect/own"
	"batchd/internal/dialect/vendors"
	"batchd/internal/httpapi"
	adminapi "batchd/internal/httpapi/admin"
	"batchd/internal/httpapi/batches"
	"batchd/internal/httpapi/files"
	"batchd/internal/httpapi/form"
	"batchd/internal/httpapi/modellist"
	"batchd/internal/httpapi/status"
	"batchd/internal/httpapi/uploads"
	upstreamsapi "batchd/internal/httpapi/upstreams"
	"batchd/internal/httpserver"
	"batchd/internal/limit"
	"batchd/internal/readwait"
	"batchd/internal/store"
	"batchd/internal/tenant"
	"batchd/internal/upstream"
)

// handler returns the HTTP API over the engine, for those that auth lets in. The metrics are part of it unless they have an
// address of their own.
func (e *Engine) handler(auth tenant.Authenticator) http.Handler {
	o := httpapi.Options{
		Node: node{e}, Auth: auth, Tenants: e.storage.store, Mounts: e.mounts(e.routes()), Crowded: httpserver.Crowded,
		MinUploadRate: e.cfg.HTTP.MinUploadRate, UploadPatience: e.cfg.HTTP.UploadTimeout, SendTimeout: e.cfg.HTTP.SendTimeout,
		Now: e.clock.Wall, Time: e.clock.Read, Logger: e.log, Registerer: e.metrics.registry,
	}
	scrapers := auth
	if httpserver.Loopback(e.cfg.Listen) {
		// Only this machine can ask, so whoever calls the server by its name may know where the upstreams are, and read the
		// metrics without a key.
		o.Local = e.anyone()
		scrapers = o.Local
	}
	if e.cfg.Metrics.Listen == "" {
		o.Metrics = tenant.RequireOperator(scrapers, e.metrics.handler())
	}
	return httpapi.New(o)
}

// routes returns OpenAI's API and what batchd adds to it, and the calls of admins, which are under own.Prefix alone. Routes that
// a dialect lacks are left out under its prefix.
func (e *Engine) routes() (all, admins []httpapi.Route) {
	st, blobs := e.storage.store, e.storage.blobs
	forms := form.NewReceiver(st, blobs)
	service, onBatches := newAdmin(e.cfg, st, userAgent, node{e}.Upstreams), batches.New(st, executor{e}, e.retrier)
	return slices.Concat(
		files.New(st, blobs, forms, e.reading).Routes(),
		uploads.New(st, blobs, forms).Routes(),
		status.Routes(e.diskUsage),
		onBatches.Routes(),
		upstreamsapi.Routes(service.Upstreams),
		modellist.Routes(e.ups.set.Models),
	), adminapi.New(service, onBatches).Routes()
}

// defaultPrefix is the prefix that is no vendor's: where nothing else chooses, the settings say which dialect is spoken there.
const defaultPrefix = "/v1"

// mounts returns the API, with the given routes, under each of its prefixes. Under own.Prefix it is always the same,
// whatever the settings say, so that batchd's own client works with every server; admins are the routes that are there alone.
func (e *Engine) mounts(routes, admins []httpapi.Route) []httpapi.Mount {
	all := []httpapi.Mount{
		{Prefix: defaultPrefix, Profile: e.profiles[e.cfg.Dialect.Default], Choose: e.chooseProfile},
		{Prefix: own.Prefix, Profile: own.Profile(serverRules(e.cfg), own.New(nil))},
	}
	for _, v := range vendors.All() {
		if v.Prefix == "" {
			continue
		}
		for _, prefix := range append([]string{v.Prefix}, v.Aliases...) {
			all = append(all, httpapi.Mount{Prefix: prefix, Profile: e.profiles[v.Name], Choose: e.chooseProfile})
		}
	}
	for i := range all {
		all[i].Routes = routes
		if all[i].Prefix == own.Prefix {
			all[i].Routes = slices.Concat(routes, admins)
		}
	}
	return all
}

// serverRules are what holds in every dialect that has no rule of its own.
func serverRules(cfg config.Config) dialect.Server {
	return dialect.Server{
		Limits: cfg.Limits, Endpoints: cfg.Endpoints, Windows: cfg.Windows, AnyWindow: cfg.AnyWindow,
		InputTTL: cfg.Retention.Input, OutputTTL: cfg.Retention.Output,
	}
}

// chooseProfile returns the profile of a call that is not under own.Prefix: that of its key, or else that of the host it was
// sent to, or else that which its query asks for; false where the prefix decides.
func (e *Engine) chooseProfile(r *http.Request, who tenant.Identity) (dialect.Profile, bool) {
	if p, ok := e.profiles[who.Dialect]; ok {
		return p, true
	}
	if p, ok := e.profileOfHost(r.Host); ok {
		return p, true
	}
	name, asked := vendors.ForQuery(r.URL.Query())
	p, ok := e.profiles[name]
	return p, asked && ok
}

// profileOfHost returns the profile that the settings give to a host, with or without a port.
func (e *Engine) profileOfHost(host string) (dialect.Profile, bool) {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host // without a port
	}
	for known, speaks := range e.cfg.Dialect.Hosts {
		if strings.EqualFold(known, name) || strings.EqualFold(known, host) {
			p, ok := e.profiles[speaks]
			return p, ok
		}
	}
	return dialect.Profile{}, false
}

// node is the engine as the transport of the API sees it.
type node struct{ *Engine }

var _ httpapi.Node = node{}

// Upstreams returns how the upstreams stand, in the order of the settings.
func (n node) Upstreams() []batch.Upstream { return n.ups.monitor.Describe(n.dispatcher.Upstreams()) }

// StorageFull returns the error for calls that store bytes while the disk is nearly full or the data directory is gone, nil
// else.
func (n node) StorageFull() error {
	if n.storage.presence.Gone() != nil {
		return &batch.Error{
			Class: batch.Unavailable, Message: "The server can store nothing at the moment. Send the request again later.",
		}
	}
	if !n.space.Low() {
		return nil
	}
	return &batch.Error{
		Class: batch.StorageFull, Code: "storage_full",
		Message: "The server's disk is nearly full, so it takes no uploads. Delete files that are not needed, or try again later.",
	}
}

// Freeing returns what a tenant has deleted and waits to go.
func (n node) Freeing(ctx context.Context, tenant string) (store.Freeing, error) {
	return n.storage.store.Freeing(ctx, tenant, time.Now())
}

// Rate counts a request against its tenant's limit.
func (n node) Rate(who tenant.Identity) tenant.Rate { return n.buckets.Take(who, time.Now()) }

// executor is the engine as the API on batches sees it.
type executor struct{ *Engine }

var _ batches.Executor = executor{}

// Counts returns the live counts of a running batch, which are ahead of the stored ones.
func (x executor) Counts(batchID string) (batch.Counts, bool) { return x.progress.Counts(batchID) }

// WaitingFor returns why lines of a running batch are not in flight, what concerns most of them first. Upstreams go by public
// names, so that a tenant does not learn where they are.
func (x executor) WaitingFor(batchID string) []batch.Waiting {
	return x.waitingAt(batchID, upstream.PublicName)
}

// Damaged returns which files of a batch scrubbing found damaged.
func (x executor) Damaged(b batch.Batch) []batch.DamagedFile {
	var all []batch.DamagedFile
	for _, id := range []string{b.InputFileID, b.OutputFileID, b.ErrorFileID} {
		if d, damaged := x.scrubber.Damage(id); damaged {
			all = append(all, batch.DamagedFile{FileID: id, Problem: string(d.Problem), Since: d.Found})
		}
	}
	return all
}

// Ended wakes the sender of webhooks.
func (x executor) Ended() { x.sender.Wake() }

// CheckCallback refuses a URL that could never be sent the event of a batch's end.
func (x executor) CheckCallback(url string) error {
	return guardOf(x.cfg).CheckURL("callback_url", url)
}

// waitingAt returns why lines of a batch are not in flight, or why a step of it that is about no line waits, with upstreams called as name says, by their place among
// the settings, counted from 1; 0 stands for none.
func (e *Engine) waitingAt(batchID string, name func(place int) string) []batch.Waiting {
	var all []batch.Waiting
	unread, waits := e.unread.Of(batchID)
	for _, w := range e.dispatcher.WaitingFor(batchID) {
		if w.Reason == limit.ReasonBlobUnreadable {
			waits = false // it is told by its lines
		}
		all = append(all, batch.Waiting{
			Reason: upstream.Reason(w.Condition), Lines: int64(w.Lines), Upstream: name(w.Target), Model: w.Model, Own: w.Own,
		})
	}
	if waits {
		reason := batch.Reason{Kind: string(limit.ReasonBlobUnreadable), Since: unread.Since, NextTry: unread.Next, Message: unread.Err.Error()}
		if !readwait.Is(unread.Err) {
			reason.Kind, reason.Detail = string(limit.ReasonDisk), limit.DetailUnwritable
		}
		all = append(all, batch.Waiting{Reason: reason})
	}
	return all
}
