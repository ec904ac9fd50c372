package sim

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// atOnce is how much a connection takes without waiting for the peer.
	atOnce = 8 << 10
	// drainTime is how long a larger answer gets to leave before a reset.
	drainTime = 250 * time.Millisecond
)

// sendBroken writes a reply by hand on the connection itself, so that it can be wrong in ways net/http would not
// allow, and ends the connection.
func (c *call) sendBroken(rep reply, a *Action) {
	conn := c.hijack()
	c.Status = rep.status
	h := make(http.Header)
	c.stamp(h)
	for k, vs := range rep.header {
		h[k] = vs
	}
	var msg bytes.Buffer
	fmt.Fprintf(&msg, "HTTP/1.1 %03d %s\r\n", rep.status, http.StatusText(rep.status))
	_ = h.Write(&msg) // a bytes.Buffer takes everything
	frame(&msg, rep.body, a)
	// Writing fails only because the client left, which ends the matter.
	_, _ = conn.Write(msg.Bytes())
	if a.Reset == "" {
		_ = conn.Close()
		return
	}
	if msg.Len() > atOnce {
		// A reset throws away what was not sent yet. What is larger than the first flight gets time to leave; a byte
		// or a FIN from the client says that it needs no more.
		_ = conn.SetReadDeadline(time.Now().Add(drainTime))
		_, _ = io.ReadFull(conn, make([]byte, 1))
	}
	resetConn(conn)
}

// frame writes the headers that delimit a body, the blank line, and as much of the body as the action lets through.
func frame(msg *bytes.Buffer, body []byte, a *Action) {
	half := body[:len(body)/2]
	length := func(n int) { fmt.Fprintf(msg, "Content-Length: %d\r\n", n) }
	end := func(sent []byte) {
		msg.WriteString("\r\n")
		msg.Write(sent)
	}
	chunked := func(rest string) {
		msg.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		if len(body) > 0 {
			// A chunk of no bytes would be the final one.
			fmt.Fprintf(msg, "%x\r\n%s\r\n", len(body), body)
		}
		msg.WriteString(rest)
	}
	switch {
	case a.Reset == ResetAfterHeaders:
		length(len(body))
		end(nil)
	case a.Reset == ResetMidBody, a.Length == LengthTruncated:
		length(len(body))
		end(half)
	case a.Reset == ResetAfterBody:
		length(len(body))
		end(body)
	case a.Length == LengthLong:
		length(len(body) + 100)
		end(body)
	case a.Length == LengthShort:
		length(len(half))
		end(body)
	case a.Length == LengthNegative:
		length(-1)
		end(body)
	case a.Length == LengthDuplicate:
		length(len(body))
		length(len(half))
		end(body)
	case a.Chunked == ChunkedUnterminated:
		chunked("")
	case a.Chunked == ChunkedBadSize:
		chunked("zz\r\nnot a chunk\r\n")
	case a.Chunked == ChunkedJunkTrailer:
		chunked("0\r\nthis is no header\r\n\r\n")
	}
}
