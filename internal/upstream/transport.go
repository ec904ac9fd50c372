package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// idleConnTimeout is how long an unused connection is kept. It is just below the five seconds after which uvicorn,
	// Node and cpp-httplib close one: a request sent at that moment is lost, and nobody can tell whether it was run.
	idleConnTimeout = 4 * time.Second
	// maxAnswerHeader is the longest header of an answer.
	maxAnswerHeader = 256 << 10
	// bufferSize of a connection, each way, lets a usual request or answer pass in one system call.
	bufferSize = 16 << 10
	// writePiece is how much of a request must be taken within the idle timeout.
	writePiece = 64 << 10
)

// newTransport returns a transport for one upstream. It speaks HTTP/1.1 only: a call that is given up then closes its
// own connection, which is how engines learn of it, and a dead connection takes one call with it, not all.
func newTransport(base *url.URL, concurrency int, o Options) (*http.Transport, error) {
	// The proxy is that of the environment, as with curl and the SDKs, chosen once since the address never changes.
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: base})
	if err != nil {
		return nil, fmt.Errorf("upstream proxy: %w", err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	t := &http.Transport{
		Protocols:              &protocols,
		DialContext:            dialer(o),
		TLSHandshakeTimeout:    o.Timeouts.TLS,
		MaxIdleConnsPerHost:    concurrency,
		IdleConnTimeout:        idleConnTimeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
		ReadBufferSize:         bufferSize,
		WriteBufferSize:        bufferSize,
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	} else {
		t.DialTLSContext = tlsDialer(&tls.Config{ServerName: base.Hostname(), NextProtos: []string{"http/1.1"}}, o)
	}
	return t, nil
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func dialer(o Options) dialFunc {
	dial := rawDialer(o)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: raw, idle: o.Timeouts.Idle}, nil
	}
}

func rawDialer(o Options) dialFunc {
	dial := o.DialContext
	if dial == nil {
		dial = (&net.Dialer{
			KeepAliveConfig: net.KeepAliveConfig{
				Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 2,
			},
			Control: boundUnacknowledged,
		}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, o.Timeouts.Dial)
		defer cancel()
		return dial(ctx, network, address)
	}
}

// errHandshake says that a connection came about, but no TLS on it.
var errHandshake = errors.New("TLS handshake")

// tlsDialer makes connections for https without a proxy. net/http would do the same, but its errors do not tell that it
// was the handshake that failed, and what it writes below TLS does not tell whether any of it was a request.
func tlsDialer(config *tls.Config, o Options) dialFunc {
	dial := rawDialer(o)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, o.Timeouts.TLS)
		defer cancel()
		secure := tls.Client(raw, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close() // nothing was sent on it
			return nil, fmt.Errorf("%w: %w", errHandshake, err)
		}
		return &conn{Conn: secure, idle: o.Timeouts.Idle}, nil
	}
}
