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
	// idleConnLife is how long an unused connection is kept. It is just below the five seconds after which uvicorn,
	// Node and cpp-httplib close one: a request sent at that moment is lost, and nobody can tell whether it was run.
	idleConnLife = 4 * time.Second
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
		IdleConnTimeout:        idleConnLife,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
		ReadBufferSize:         bufferSize,
		WriteBufferSize:        bufferSize,
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	} else {
		t.DialTLSContext = tlsDialer(base.Hostname(), o)
	}
	return t, nil
}

func dialer(o Options) func(ctx context.Context, network, address string) (net.Conn, error) {
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
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, &dialError{err}
		}
		return &stallConn{Conn: conn, idle: o.Timeouts.Idle}, nil
	}
}

// errHandshake says that a connection came about, but no TLS on it.
var errHandshake = errors.New("TLS handshake")

// tlsDialer makes connections for https without a proxy. net/http would do the same, but its errors do not tell that it
// was the handshake that failed.
func tlsDialer(host string, o Options) func(ctx context.Context, network, address string) (net.Conn, error) {
	dial := dialer(o)
	config := &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, o.Timeouts.TLS)
		defer cancel()
		conn := tls.Client(raw, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			_ = raw.Close() // nothing was sent on it
			return nil, &dialError{fmt.Errorf("%w: %w", errHandshake, err)}
		}
		return conn, nil
	}
}

// dialError says that no connection came about, so that nothing was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// stallConn fails a write when the other side takes nothing for the idle timeout. The deadline of a
// connection would else have to cover the whole request, however long it is and however slow the line.
type stallConn struct {
	net.Conn
	idle time.Duration
}

func (c *stallConn) Write(p []byte) (int, error) {
	written := 0
	for {
		piece := p[written:min(written+writePiece, len(p))]
		if err := c.SetWriteDeadline(time.Now().Add(c.idle)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(piece)
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}
