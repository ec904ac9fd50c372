package sim

import (
	"context"
	"net"
	"sync"
)

// A Network joins a client and a server in one process without sockets. It serves an engine inside the program that
// calls it, and lets tests run in a synctest bubble, which a real socket would keep from moving.
// As a net.Listener it is given to http.Server.Serve, and DialContext to http.Transport. A connection that is cut
// reads as an unexpected EOF: there is no reset in memory.
type Network struct {
	conns  chan net.Conn // unbuffered; DialContext sends, Accept receives
	closed chan struct{}
	once   sync.Once
}

// NewNetwork returns an open network.
func NewNetwork() *Network {
	return &Network{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// DialContext connects to whoever accepts next; the address is ignored. After Close the error is net.ErrClosed.
func (n *Network) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case n.conns <- server:
		return client, nil
	case <-n.closed:
		return nil, n.opError("dial", net.ErrClosed)
	case <-ctx.Done():
		return nil, n.opError("dial", ctx.Err())
	}
}

// Accept waits for the next connection. After Close the error is net.ErrClosed.
func (n *Network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, n.opError("accept", net.ErrClosed)
	}
}

// Close ends accepting and dialling. Connections already made stay. It may be called more than once.
func (n *Network) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

// Addr returns an address that names the network only.
func (n *Network) Addr() net.Addr { return memoryAddr{} }

func (n *Network) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "memory", Addr: memoryAddr{}, Err: err}
}

type memoryAddr struct{}

// Network implements net.Addr.
func (memoryAddr) Network() string { return "memory" }

// String implements net.Addr.
func (memoryAddr) String() string { return "memory" }
