package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"batchd/internal/config"
	"batchd/internal/dispatch"
	"batchd/internal/limit"
	"batchd/internal/sim"
	"batchd/internal/upstream"
)

// upstreams are the inference servers of the node, with the built-in simulator where it was asked for.
type upstreams struct {
	log     *slog.Logger
	set     *upstream.Set
	targets []dispatch.Target
	checks  checks
	// servers are the simulators' HTTP servers; served waits for them.
	servers []*http.Server
	served  sync.WaitGroup
}

func openUpstreams(cfg config.Config, spoolDir string, m *meters, logger *slog.Logger) (*upstreams, error) {
	u := &upstreams{log: logger}
	options := upstream.Options{
		MaxResponseBytes: cfg.Limits.MaxResponseBytes, SpoolDir: spoolDir, Overdraft: upstream.NewOverdraft(1),
		UserAgent: userAgent, Logger: logger, Registerer: m.registry,
	}
	var all []*upstream.Upstream
	for _, c := range cfg.Upstreams {
		o, err := u.open(c, options)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
		u.targets = append(u.targets, dispatch.Target{Upstream: o, Concurrency: c.Concurrency, Shared: c.Shared, Load: o.EngineLoad})
	}
	u.set = upstream.NewSet(all...)
	return u, nil
}

// userAgent is what upstreams see.
const userAgent = "batchd"

// open makes the client of one upstream, and the simulator behind it if that is what was asked for.
func (u *upstreams) open(c config.Upstream, options upstream.Options) (*upstream.Upstream, error) {
	url := c.URL
	if url == config.Simulator {
		network, err := u.simulate()
		if err != nil {
			return nil, err
		}
		url, options.DialContext = "http://sim/v1", network.DialContext
	}
	o, err := upstream.New(upstream.Config{
		URL: url, Models: c.Models, APIKey: apiKey(c), Headers: c.Headers, Concurrency: c.Concurrency,
		RequestIDHeader: c.RequestIDHeader, IdempotencyKeyHeader: c.IdempotencyKeyHeader,
	}, options)
	if err != nil {
		return nil, fmt.Errorf("open upstream: %w", err)
	}
	return o, nil
}

func apiKey(c config.Upstream) func() (string, error) {
	switch {
	case c.APIKeyFile != "":
		return upstream.KeyFromFile(c.APIKeyFile)
	case c.APIKeyEnv != "":
		return upstream.KeyFromEnv(c.APIKeyEnv)
	default:
		return nil
	}
}

// simulate starts the built-in engine behind an in-memory network: real HTTP, no port.
func (u *upstreams) simulate() (*sim.Network, error) {
	engine, err := sim.New(sim.Options{})
	if err != nil {
		return nil, fmt.Errorf("start simulator: %w", err)
	}
	network := sim.NewNetwork()
	server := &http.Server{Handler: engine}
	u.servers = append(u.servers, server)
	u.served.Go(func() { _ = server.Serve(network) }) // always returns an error: the one of close
	return network, nil
}

// close ends the simulators and the idle connections.
func (u *upstreams) close() {
	for _, s := range u.servers {
		_ = s.Close() // in-memory connections: nothing to flush
	}
	u.served.Wait()
	u.set.Close()
}

// modelsEvery is how often the upstreams are asked which models they serve, and how long an answer is good for.
const modelsEvery = 30 * time.Second

// keepModels keeps the lists of models fresh until ctx ends. A sole upstream is not asked: it gets every line anyway.
func (u *upstreams) keepModels(ctx context.Context, changed func()) {
	if len(u.targets) < 2 {
		return
	}
	tick := time.NewTicker(modelsEvery)
	defer tick.Stop()
	for {
		u.refresh(ctx)
		changed()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// refresh asks all upstreams. One that cannot be asked keeps the list it had, and takes any model until there is one.
func (u *upstreams) refresh(ctx context.Context) {
	if err := u.set.RefreshModels(ctx); err != nil && ctx.Err() == nil {
		u.log.Debug("list models of upstreams", "error", err)
	}
}

// known returns what validation asks about models, as the upstreams' lists stand now.
func (u *upstreams) known(ctx context.Context) func(model string) bool {
	if len(u.targets) > 1 {
		u.refresh(ctx)
	}
	return u.set.Known
}

// tell says what was found that is news.
func (u *upstreams) tell(name string, f upstream.Finding) {
	switch {
	case !f.V1Missing && f.Reason == "":
		// At the start nothing is no news; later it is that the upstream works.
	case f.V1Missing && f.Reason == "":
		u.log.Warn("upstream has no list of models; is /v1 missing from its url?", "upstream", name)
	case f.V1Missing:
		u.log.Warn("upstream has its models below /v1 only; add /v1 to its url", "upstream", name, "status", f.Status)
	case f.Reason == limit.ReasonUnreachable:
		u.log.Warn("upstream does not answer", "upstream", name, "reason", f.Reason, "detail", f.Detail)
	case f.Reason != "":
		u.log.Warn("upstream refuses the key", "upstream", name, "reason", f.Reason, "status", f.Status, "code", f.Code, "message", f.Message)
	}
}
