package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/httpserver"
)

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
	api, err := httpserver.Listen(ctx, cfg.Listen, e.handler(auth), secure)
	if err != nil {
		return err
	}
	servers := []*httpserver.Server{api}
	if cfg.Metrics.Listen != "" {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", e.metrics.handler())
		metrics, err := httpserver.Listen(ctx, cfg.Metrics.Listen, mux, nil)
		if err != nil {
			return errors.Join(err, api.Close())
		}
		servers = append(servers, metrics)
	}
	listening(api.Addr())
	return e.serve(ctx, servers)
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
	running.Go(func() { e.ups.monitor.Inspect(ctx, e.dispatcher.Upstreams) })
	for i, s := range servers {
		running.Go(func() {
			errs[i+1] = s.Run(ctx, e.cfg.ShutdownDelay, e.cfg.ShutdownGrace-drainReserve)
			stop(errs[i+1])
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// invalid says why something cannot be done as it was asked for.
func invalid(format string, args ...any) error {
	return batch.Invalidf("", "invalid_value", format, args...)
}
