package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"batchd/internal/descriptors"
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
		DialContext:            dialer(o, nil),
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
		t.DialTLSContext = dialer(o, &tls.Config{ServerName: base.Hostname(), NextProtos: []string{"http/1.1"}})
	}
	return t, nil
}

// errHandshake says that a connection came about, but no TLS on it.
var errHandshake = errors.New("TLS handshake")

// dialer makes connections, with TLS on them if it is given a configuration: for https without a proxy. net/http would do
// the same, but its errors do not tell that it was the handshake that failed, and what it writes below TLS does not tell
// whether any of it was a request.
func dialer(o Options, secure *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	dial := o.DialContext
	if dial == nil {
		dial = (&net.Dialer{
			// With the 15 s before the first probe, a dead idle connection is found after 45 s, as one with bytes under way is.
			KeepAliveConfig: net.KeepAliveConfig{
				Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 2,
			},
			Control: boundUnacknowledged,
		}).DialContext
	}
	dial = counted(dial, o.Connections)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		dialing, cancel := context.WithTimeout(ctx, o.Timeouts.Dial)
		defer cancel()
		raw, err := dial(dialing, network, address)
		if err != nil {
			return nil, err
		}
		if secure == nil {
			return &conn{Conn: raw, idle: o.Timeouts.Idle}, nil
		}
		shaking, cancel := context.WithTimeout(ctx, o.Timeouts.TLS)
		defer cancel()
		over := tls.Client(raw, secure)
		if err := over.HandshakeContext(shaking); err != nil {
			_ = raw.Close() // nothing was sent on it
			return nil, fmt.Errorf("%w: %w", errHandshake, err)
		}
		return &conn{Conn: over, idle: o.Timeouts.Idle}, nil
	}
}

// errNoDescriptor says that all descriptors which connections to upstreams may have are in use.
var errNoDescriptor = fmt.Errorf("all connections that there may be are open: %w", syscall.EMFILE)

// counted makes a dialer keep to a pool of connections; nil is no bound.
func counted(dial func(ctx context.Context, network, address string) (net.Conn, error), pool *descriptors.Pool,
) func(ctx context.Context, network, address string) (net.Conn, error) {
	if pool == nil {
		return dial
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if !pool.Take() {
			return nil, errNoDescriptor
		}
		c, err := dial(ctx, network, address)
		if err != nil {
			pool.Give()
			return nil, err
		}
		return &countedConn{Conn: c, give: sync.OnceFunc(pool.Give)}, nil
	}
}

// countedConn gives its place in the pool back when it is closed.
type countedConn struct {
	net.Conn
	give func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	defer c.give()
	return c.Conn.Close()
}

// conn is a connection that knows whether a request was written to it. Its writes fail when the other side takes nothing
// for the idle timeout: the deadline of a connection would else have to cover the whole request, however long it is and
// however slow the line.
type conn struct {
	net.Conn
	idle time.Duration
	// writes counts those of which something was taken, or may yet be.
	writes atomic.Int64
}

// Write writes p in pieces, each of which the other side must take within the idle timeout.
func (c *conn) Write(p []byte) (int, error) {
	c.writes.Add(1) // before the first byte goes: a peer may answer before Write has returned
	written, err := 0, error(nil)
	for more := true; more && err == nil; more = written < len(p) {
		piece := p[written:min(written+writePiece, len(p))]
		if err = c.SetWriteDeadline(time.Now().Add(c.idle)); err == nil {
			n := 0
			n, err = c.Conn.Write(piece)
			written += n
		}
	}
	if written == 0 {
		c.writes.Add(-1)
	}
	return written, err
}
