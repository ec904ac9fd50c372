package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/httpapi"
	"batchd/internal/tenant"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// headerTimeout is how long a client may take to send its request's headers.
const headerTimeout = 30 * time.Second

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
	api, err := listen(ctx, cfg.Listen, e.handler(auth), cfg.TLS)
	if err != nil {
		return err
	}
	open := []*server{api}
	if cfg.Metrics.Listen != "" {
		metrics, err := listen(ctx, cfg.Metrics.Listen, e.metricsOnly(), config.TLS{})
		if err != nil {
			return errors.Join(err, api.listener.Close())
		}
		open = append(open, metrics)
	}
	listening(api.listener.Addr())
	return e.serve(ctx, open)
}

// serve runs the engine and the listeners side by side. The first that ends ends the others.
func (e *Engine) serve(ctx context.Context, servers []*server) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	errs := make([]error, len(servers)+1)
	running.Go(func() {
		errs[0] = e.Run(ctx)
		stop(errs[0])
	})
	running.Go(func() { e.ups.inspect(ctx, e.dispatcher.Upstreams) })
	for i, s := range servers {
		running.Go(func() {
			errs[i+1] = s.run(ctx, e.cfg.ShutdownDelay, e.cfg.ShutdownGrace-drainReserve)
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

// handler returns the HTTP API over the engine, for those that auth lets in.
func (e *Engine) handler(auth tenant.Authenticator) http.Handler {
	return httpapi.New(httpapi.Options{
		Store: e.storage.store, Blobs: e.storage.blobs, Auth: auth, Mounts: e.mounts(),
		Limits: e.cfg.Limits, CreateRules: e.createRules(),
		InputLife: e.cfg.Retention.Input, OutputLife: e.cfg.Retention.Output,
		Rate: e.rate, CheckCallback: e.checkCallback, Retry: e.retrier,
		Progress: e.progress.Counts, WaitingFor: e.waitingFor, Upstreams: e.upstreams, Created: e.Created, Cancelled: e.Cancelled, Ended: e.sender.Wake,
		StorageFull: e.storageFull, Ready: e.Ready, Local: e.local(), Metrics: e.metricsOnAPI(auth),
		Now: time.Now, Logger: e.log, Registerer: e.meters.registry,
	})
}

// local lets in whoever may know where the upstreams are since only this machine can ask; nil if others can.
func (e *Engine) local() tenant.Authenticator {
	if !Loopback(e.cfg.Listen) {
		return nil
	}
	return e.anyone()
}

// rate counts a request against its tenant's limit.
func (e *Engine) rate(who tenant.Identity) tenant.Rate { return e.buckets.Take(who, time.Now()) }

// storageFull is what uploads are asked about first.
func (e *Engine) storageFull() error {
	if !e.space.Low() {
		return nil
	}
	return &batch.Error{
		Class: batch.StorageFull, Code: "storage_full",
		Message: "The server's disk is nearly full, so it takes no uploads. Delete files that are not needed, or try again later.",
	}
}

// metricsOnAPI returns the metrics handler for the API's own address, nil if they have one of their own. On loopback
// everybody is local who calls the server by its name; elsewhere a key is needed.
func (e *Engine) metricsOnAPI(auth tenant.Authenticator) http.Handler {
	switch {
	case e.cfg.Metrics.Listen != "":
		return nil
	case Loopback(e.cfg.Listen):
		return withKey(e.anyone(), e.metricsHandler())
	default:
		return withKey(auth, e.metricsHandler())
	}
}

// withKey lets only those through that auth lets in.
func withKey(auth tenant.Authenticator, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var refused *batch.Error
		switch _, err := auth.Authenticate(r); {
		case err == nil:
			next.ServeHTTP(w, r)
		case errors.As(err, &refused) && refused.Class == batch.Misdirected:
			http.Error(w, refused.Message, http.StatusMisdirectedRequest)
		case errors.As(err, &refused) && refused.Class == batch.Forbidden:
			http.Error(w, refused.Message, http.StatusForbidden)
		case errors.As(err, &refused):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, refused.Message, http.StatusUnauthorized)
		default:
			http.Error(w, "The key could not be checked. Try again.", http.StatusServiceUnavailable)
		}
	})
}

func (e *Engine) metricsHandler() http.Handler {
	return promhttp.HandlerFor(e.meters.registry, promhttp.HandlerOpts{})
}

// metricsOnly returns what is served at the metrics address.
func (e *Engine) metricsOnly() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", e.metricsHandler())
	return mux
}

// Loopback reports whether an address to listen on can be reached from this machine only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// server is a handler on a listener.
type server struct {
	http     *http.Server
	listener net.Listener
}

// listen reads the certificate and takes the address, so that a fault in either shows before anything is started.
func listen(ctx context.Context, address string, handler http.Handler, files config.TLS) (*server, error) {
	var secure *tls.Config
	if files.Cert != "" {
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			return nil, fmt.Errorf("load certificate: %w", err)
		}
		secure = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return &server{
		http: &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: 2 * time.Minute, TLSConfig: secure,
		},
		listener: l,
	}, nil
}

// run serves until ctx ends, and on for the delay, so that load balancers can see that the server is not ready before
// they find it gone. Then it lets calls under way finish within what is left of the grace and cuts off the rest. After a
// failure, which is the cause of ctx's end then, nothing is waited for.
func (s *server) run(ctx context.Context, delay, grace time.Duration) error {
	var stopping sync.WaitGroup
	stopping.Add(1)
	halt := context.AfterFunc(ctx, func() {
		defer stopping.Done()
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if errors.Is(context.Cause(ctx), context.Canceled) {
			<-time.After(delay)
		}
		if s.http.Shutdown(limited) != nil {
			_ = s.http.Close() // what is still open has had its time
		}
	})
	var err error
	if s.http.TLSConfig != nil {
		err = s.http.ServeTLS(s.listener, "", "")
	} else {
		err = s.http.Serve(s.listener)
	}
	if halt() {
		stopping.Done() // ctx is still running: serving failed by itself
	}
	stopping.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", s.listener.Addr(), err)
}
