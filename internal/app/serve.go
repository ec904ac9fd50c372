package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"batchd/internal/admin"
	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/datadir"
	"batchd/internal/httpserver"
	"batchd/internal/tenant"
)

// bootstrapVariable is the environment variable that may hold the first key.
const bootstrapVariable = "BATCHD_BOOTSTRAP_KEY"

// Serve runs the server until ctx ends and then stops it within the shutdown grace. listening is called with the
// address once calls are taken; by then everything that an earlier process left behind has been taken over.
func Serve(ctx context.Context, cfg config.Config, logger *slog.Logger, listening func(net.Addr)) (err error) {
	if err := checkGuarded(cfg); err != nil {
		return err
	}
	e, err := Open(ctx, cfg, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	auth, err := e.authenticator(ctx)
	if err != nil {
		return err
	}
	secure, err := httpserver.Certificate(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		return err
	}
	connections := e.connections()
	api, err := httpserver.Listen(ctx, cfg.Listen, httpserver.Options{Handler: e.handler(auth), Secure: secure, Connections: connections})
	if err != nil {
		return err
	}
	servers := []*httpserver.Server{api}
	if cfg.Metrics.Listen != "" {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", e.metrics.handler())
		metrics, err := httpserver.Listen(ctx, cfg.Metrics.Listen, httpserver.Options{Handler: mux, Connections: connections})
		if err != nil {
			return errors.Join(err, api.Close())
		}
		servers = append(servers, metrics)
	}
	e.storage.reserve.Keep()
	listening(api.Addr())
	return e.serve(ctx, servers)
}

// connections returns the bounds of what clients may have open, all listeners together.
func (e *Engine) connections() *httpserver.Connections {
	most := e.shares.Clients
	if e.cfg.HTTP.MaxConnections > 0 {
		most = min(e.cfg.HTTP.MaxConnections, most)
	}
	all := httpserver.NewConnections(httpserver.Limits{
		Max: most, PerAddress: e.cfg.HTTP.MaxConnectionsPerAddress, Closed: e.metrics.crowdedOut.Inc, Logger: e.log, Now: time.Now,
	})
	e.metrics.connections(all.Open)
	return all
}

// serve runs the engine and the listeners side by side. The first that ends ends the others.
func (e *Engine) serve(ctx context.Context, servers []*httpserver.Server) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	errs := make([]error, len(servers)+1)
	running.Go(func() {
		errs[0] = e.Run(ctx)
		stop(errs[0])
	})
	// Inspect ends by itself once every upstream has been called, and never fails the server.
	running.Go(func() { e.ups.monitor.Inspect(ctx, e.dispatcher.Upstreams) })
	running.Go(func() { e.ups.monitor.KeepSoleModels(ctx) })
	for i, s := range servers {
		running.Go(func() {
			errs[i+1] = s.Run(ctx, e.cfg.ShutdownDelay, e.cfg.ShutdownGrace-drainReserve)
			stop(errs[i+1])
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// invalid returns a fault of the settings or the command line: a *batch.Error of class batch.Invalid.
func invalid(format string, args ...any) error {
	return batch.Invalidf("", "invalid_value", format, args...)
}

// authenticator returns who decides on whose behalf a call is made. Without auth, everybody is let in. With keys, a
// server that only this machine can reach is open until there is one; any other is not served without one, which is a
// *batch.Error of class batch.Invalid.
func (e *Engine) authenticator(ctx context.Context) (tenant.Authenticator, error) {
	anyone := e.anyone()
	anyone.Admin = httpserver.Loopback(e.cfg.Listen)
	if e.cfg.Auth.Mode == "none" {
		e.log.Info("no API key is asked for: everybody is let in who can reach the address")
		return anyone, nil
	}
	if err := e.bootstrap(ctx); err != nil {
		return nil, err
	}
	exist, err := e.storage.store.HasKeys(ctx)
	if err != nil {
		return nil, err
	}
	keys := tenant.NewKeys(e.storage.store, e.clock.Now)
	keys.RevokeBy(e.clock.Wall)
	switch {
	case exist:
		return keys, nil
	case httpserver.Loopback(e.cfg.Listen):
		e.log.Info("no API keys exist: every program on this machine is let in, whatever key it sends")
		return tenant.NewOpenUntilKeys(anyone, keys, e.log), nil
	default:
		return nil, errUnguarded(e.cfg)
	}
}

// anyone lets in every caller that addresses the server by one of its names: a web page of another site, which a browser on
// this machine may have open, cannot. Hosts that have a dialect are names that the operator has given, too.
func (e *Engine) anyone() tenant.Open {
	names := slices.Collect(maps.Keys(e.cfg.Dialect.Hosts))
	for i, name := range names {
		if host, _, err := net.SplitHostPort(name); err == nil {
			names[i] = host
		}
	}
	return tenant.Open{Tenant: e.tenant, Hosts: tenant.NewHosts(e.cfg.Listen, append(names, e.cfg.AllowedHosts...)...)}
}

// checkGuarded refuses early what authenticator would refuse, as far as that can be said before a data directory is made: a
// server that does not start leaves no directory behind.
func checkGuarded(cfg config.Config) error {
	if cfg.Auth.Mode == "none" {
		return nil
	}
	if text := string(cfg.Auth.BootstrapKey); text != "" {
		if err := tenant.CheckChosen(text); err != nil {
			return invalid("%s %v", bootstrapVariable, err)
		}
		return nil
	}
	if httpserver.Loopback(cfg.Listen) {
		return nil
	}
	if found, err := datadir.HasDatabase(cfg.DataDir); !found && err == nil {
		return errUnguarded(cfg)
	}
	return nil // the database knows
}

// errUnguarded refuses to open the API to a network by accident.
func errUnguarded(cfg config.Config) error {
	return invalid("%s can be reached from other machines, and there are no API keys: make one with "+
		"`batchd keys create --tenant NAME --data-dir %s`, listen on 127.0.0.1, or add --no-auth to let everybody in",
		cfg.Listen, cfg.DataDir)
}

// bootstrap creates the key that the environment asks for, unless it exists. One that was revoked stays revoked.
func (e *Engine) bootstrap(ctx context.Context) error {
	text := string(e.cfg.Auth.BootstrapKey)
	if text == "" {
		return nil
	}
	k, created, err := newAdmin(e.cfg, e.storage.store, userAgent, nil).EnsureKey(ctx, e.tenant, text)
	var fault *batch.Error
	switch {
	case errors.As(err, &fault):
		return invalid("%s %v", bootstrapVariable, err)
	case err != nil:
		return fmt.Errorf("make the key of %s: %w", bootstrapVariable, err)
	case created:
		e.log.Info("API key created from the environment", "variable", bootstrapVariable, "key", k.ID)
	case k.State == admin.KeyExpired || k.State == admin.KeyRevoked:
		e.log.Warn("the API key in the environment has ended and opens nothing", "variable", bootstrapVariable, "key", k.ID)
	}
	return nil
}
