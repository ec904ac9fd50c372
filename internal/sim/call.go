package sim

import (
	"net"
	"net/http"
	"strconv"
)

// A call is an inference request under way: what the hooks see, and what is needed to answer it.
type call struct {
	Call
	w          http.ResponseWriter
	r          *http.Request
	newRequest func() request // what Body is decoded into
	id         identity
}

// A reply is an HTTP answer as a value, so that a fault can deform it before it is written.
type reply struct {
	status int
	header http.Header // more than the content's type and length; may be nil
	body   []byte
}

// stamp sets the headers that every answer carries. A request id given by the client is echoed, so that a client can
// notice an answer meant for somebody else; the engine's own is derived from the body.
func (c *call) stamp(h http.Header) {
	id := c.r.Header.Get("X-Request-Id")
	if id == "" {
		id = c.id.name("req_")
	}
	h.Set("X-Request-Id", id)
	h.Set("Content-Type", "application/json")
}

// send writes a whole reply in the ordinary way.
func (c *call) send(rep reply) {
	h := c.w.Header()
	c.stamp(h)
	for k, vs := range rep.header {
		h[k] = vs
	}
	h.Set("Content-Length", strconv.Itoa(len(rep.body)))
	c.Status = rep.status
	c.w.WriteHeader(rep.status)
	_, _ = c.w.Write(rep.body) // a client that left is not the engine's trouble
}

func (c *call) hijack() net.Conn { return hijack(c.w) }

// hijack takes the connection from the server. Where that cannot be done it panics with http.ErrAbortHandler, the
// nearest thing a handler has to cutting the line.
func hijack(w http.ResponseWriter) net.Conn {
	h, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := h.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return conn
}

// reset ends the call's connection with a TCP reset where there is TCP.
func (c *call) reset() { resetConn(c.hijack()) }

// resetConn closes a connection; with a linger of zero the peer gets RST instead of FIN, and unsent bytes are lost.
func resetConn(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // the connection may be gone already, which is what is wanted
	}
	_ = conn.Close()
}
