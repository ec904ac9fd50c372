package upstream

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// conn is a connection that knows whether a request was written to it. Its writes fail when the other side takes nothing
// for the idle timeout: the deadline of a connection would else have to cover the whole request, however long it is and
// however slow the line.
type conn struct {
	net.Conn
	idle time.Duration
	// writes counts those of which something was taken, or may yet be.
	writes atomic.Int64
}

func (c *conn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	n, err := c.writePieces(p)
	if n == 0 {
		c.writes.Add(-1)
	}
	return n, err
}

func (c *conn) writePieces(p []byte) (int, error) {
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

// way is how far a request got. Where the transport tried several connections, it is of the last: it leaves one for
// another only while nothing was written to it.
type way struct {
	// found says that there was a connection; conn is nil if it is none of ours. before is how often conn had been written to.
	found  bool
	conn   *conn
	before int64
	// answering is set when the first byte of the answer is there.
	answering atomic.Bool
}

// traced returns the context of a request that goes this way.
func (w *way) traced(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(info httptrace.GotConnInfo) { w.take(info.Conn) },
		GotFirstResponseByte: func() { w.answering.Store(true) },
	})
}

func (w *way) take(c net.Conn) {
	if outer, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = outer.NetConn() // TLS behind a proxy, which is not dialled here
	}
	w.found = true
	if w.conn, _ = c.(*conn); w.conn != nil {
		w.before = w.conn.writes.Load()
	}
}

// progress is what a request that has no answer has come to.
type progress int

const (
	// unsent: nothing of it was written.
	unsent progress = iota
	// sent: something may have been.
	sent
	// answering: an answer had begun.
	answering
)

func (w *way) progress() progress {
	switch {
	case w.answering.Load():
		return answering
	case !w.found, w.conn != nil && w.conn.writes.Load() == w.before:
		return unsent
	}
	return sent
}
