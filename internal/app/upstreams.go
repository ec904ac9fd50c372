package app

import (
	"fmt"
	"net/http"
	"sync"

	"batchd/internal/config"
	"batchd/internal/dispatch"
	"batchd/internal/sim"
	"batchd/internal/upstream"
)

// upstreams are the inference servers of the node, with the built-in simulator where it was asked for.
type upstreams struct {
	set     *upstream.Set
	monitor *upstream.Monitor
	targets []dispatch.Target
	// servers are the simulators' HTTP servers; served counts their goroutines, for which close waits.
	servers []*http.Server
	served  sync.WaitGroup
}

// openUpstreams makes a client for each upstream of the settings, with the options that all of them have in common.
func openUpstreams(cfg config.Config, options upstream.Options) (*upstreams, error) {
	u := &upstreams{}
	var all []*upstream.Upstream
	for _, c := range cfg.Upstreams {
		options.Timeouts = upstream.Timeouts(c.Timeouts.Over(cfg.UpstreamTimeouts))
		o, err := u.open(c, options)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
		u.targets = append(u.targets, dispatch.Target{Upstream: o, Concurrency: c.Concurrency, Shared: c.Shared, Load: o.EngineLoad})
	}
	u.set = upstream.NewSet(all...)
	u.monitor = upstream.NewMonitor(u.set, options.Logger)
	return u, nil
}

// userAgent is the User-Agent of calls to upstreams.
const userAgent = "batchd"

// open makes the client of one upstream, and the simulator behind it if that is what was asked for.
func (u *upstreams) open(c config.Upstream, options upstream.Options) (*upstream.Upstream, error) {
	url := c.URL
	if url == config.Simulator {
		network, err := u.simulate()
		if err != nil {
			return nil, err
		}
		url, options.DialContext, options.Connections = "http://sim/v1", network.DialContext, nil // they are none of the system's
	}
	var key func() (string, error)
	switch {
	case c.APIKeyFile != "":
		key = upstream.KeyFromFile(c.APIKeyFile)
	case c.APIKeyEnv != "":
		key = upstream.KeyFromEnv(c.APIKeyEnv)
	}
	o, err := upstream.New(upstream.Config{
		URL: url, Models: c.Models, APIKey: key, Headers: c.Headers, Concurrency: c.Concurrency,
		RequestIDHeader: c.RequestIDHeader, IdempotencyKeyHeader: c.IdempotencyKeyHeader,
	}, options)
	if err != nil {
		return nil, fmt.Errorf("open upstream: %w", err)
	}
	return o, nil
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
