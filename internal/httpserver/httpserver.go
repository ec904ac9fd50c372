// Package httpserver runs HTTP handlers on listeners and stops them in order: so that load balancers see it coming, and
// calls under way get their time. It knows no route.
package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// headerTimeout is how long a client may take to send its request's headers: without one, connections that send
	// nothing pile up. Bodies have no such limit here, since an upload of gigabytes takes as long as it takes.
	headerTimeout = 30 * time.Second
	// idleTimeout is how long a connection stays open between two requests. Most load balancers give up theirs after a
	// minute; whoever closes first while the other sends costs that request.
	idleTimeout = 2 * time.Minute
)

// Certificate reads what HTTPS is served with from two files, a chain and its private key. Without a chain it returns nil,
// which stands for plain HTTP.
func Certificate(chain, key string) (*tls.Config, error) {
	if chain == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// Server is a handler on a listener. Run it once, or Close it.
type Server struct {
	http     *http.Server
	listener net.Listener
}

// Options configures a Server. Only Handler is required.
type Options struct {
	Handler http.Handler
	// Secure is nil for plain HTTP.
	Secure *tls.Config
	// Connections bounds the connections, together with those of all servers that have the same; nil does not.
	Connections *Connections
}

// Listen takes a TCP address for a handler, so that a fault in it shows before anything is started.
func Listen(ctx context.Context, address string, o Options) (*Server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return New(l, o), nil
}

// New returns the server of a handler on a listener.
func New(l net.Listener, o Options) *Server {
	s := &Server{
		http: &http.Server{
			Handler: o.Handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, TLSConfig: o.Secure,
		},
		listener: l,
	}
	if o.Connections != nil {
		s.listener = newListener(l, o.Connections)
		watch(s.http)
	}
	return s
}

// Addr is the address that is listened on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close frees the address. It is for a server that does not Run.
func (s *Server) Close() error { return s.listener.Close() }

// Run serves until ctx ends, and on for the delay, so that load balancers can see that the server is not ready before
// they find it gone. Then it lets calls under way finish within what is left of the grace and cuts off the rest. After a
// failure, which is the cause of ctx's end then, nothing is waited for.
func (s *Server) Run(ctx context.Context, delay, grace time.Duration) error {
	// Serve returns as soon as Shutdown begins; stopping waits until that has ended.
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
