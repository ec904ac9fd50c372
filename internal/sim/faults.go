package sim

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// minSize is the shortest sized body: its frame, and something in it.
	minSize = 16
	// bombBlock is what one member of a bomb expands to.
	bombBlock = 1 << 20

	// atOnce is how much a connection takes without waiting for the peer.
	atOnce = 8 << 10
	// drainTime is how long a larger answer gets to leave before a reset.
	drainTime = 250 * time.Millisecond

	// The frame of a sized body and of a bomb's.
	paddingHead, paddingTail = `{"padding":"`, `"}`
)

// stall delays the reading of a call's body if the script says so.
func (e *Engine) stall(ctx context.Context, c *call) error {
	d := e.faults.stall(c)
	if d > 0 {
		e.metrics.faulted.Add(1)
	}
	return sleep(ctx, d)
}

// inflict carries out an action on a call. With an error the answer was not completed.
func (e *Engine) inflict(ctx context.Context, c *call, a *Action) error {
	if err := sleep(ctx, a.Delay); err != nil {
		return err
	}
	switch {
	case a.Hang:
		<-ctx.Done()
		return context.Cause(ctx)
	case a.Crash > 0:
		e.crash(a.Crash)
		c.reset()
		return nil
	case a.Reset == ResetBeforeHeaders:
		c.reset()
		return nil
	}
	rep, err := e.content(ctx, c, a)
	if err != nil {
		return err
	}
	rep = deform(rep, a)
	switch {
	case a.Size > 0:
		return c.sendStream(ctx, rep, a.Size, sized(a.Size))
	case a.Bomb > 0:
		return c.sendStream(ctx, rep, -1, bomb(a.Bomb))
	case a.Drip != (Drip{}):
		return c.sendSlowly(ctx, rep, a.Drip)
	case a.Reset != "" || a.Length != "" || a.Chunked != "":
		c.sendBroken(rep, a)
		return nil
	}
	c.send(rep)
	return nil
}

// content is what an action sends, before it is deformed.
func (e *Engine) content(ctx context.Context, c *call, a *Action) (reply, error) {
	rep := reply{status: http.StatusOK}
	switch {
	case a.Body != nil:
		rep.body = []byte(*a.Body)
	case a.JSON != nil:
		rep.body = a.JSON
	case a.Error != "":
		status := max(a.Status, http.StatusOK)
		rep.body = (&apiError{message: "The simulated engine failed: " + a.Error + ".", kind: kindOfStatus(status), code: a.Error}).envelope()
	case a.Nest > 0:
		rep.body = bytes.Join([][]byte{bytes.Repeat([]byte("["), a.Nest), bytes.Repeat([]byte("]"), a.Nest)}, nil)
	case a.Size > 0, a.Bomb > 0:
		// Streamed.
	case a.Redirect != "":
		rep = reply{status: http.StatusTemporaryRedirect, header: http.Header{"Location": {a.Redirect}}}
	case a.Garbage != "":
		return e.garbage(ctx, c, a.Garbage)
	case a.Status >= http.StatusBadRequest:
		message := fmt.Sprintf("The simulated engine answers %d %s.", a.Status, http.StatusText(a.Status))
		rep.body = (&apiError{message: message, kind: kindOfStatus(a.Status)}).envelope()
	default:
		return e.compute(ctx, c)
	}
	return rep, nil
}

// garbage is a body of the kind asked for. Those that are a proper answer but for one thing start from the engine's.
func (e *Engine) garbage(ctx context.Context, c *call, kind Garbage) (reply, error) {
	rep := reply{status: http.StatusOK}
	switch kind {
	case GarbageEmpty:
		return rep, nil
	case GarbageNull:
		rep.body = []byte("null")
		return rep, nil
	case GarbageText:
		rep.body = []byte("upstream connect error or disconnect before headers")
		rep.header = http.Header{"Content-Type": {"text/plain"}}
		return rep, nil
	case GarbageHTML:
		rep.body = []byte("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n")
		rep.header = http.Header{"Content-Type": {"text/html"}}
		return rep, nil
	}
	rep, err := e.compute(ctx, c)
	if err != nil || len(rep.body) == 0 || rep.body[0] != '{' {
		return rep, err
	}
	member := map[Garbage]string{
		GarbageInvalidUTF8:   "\"simulated\":\"\xff\xc3(\",",
		GarbageLoneSurrogate: `"simulated":"\ud800",`,
		GarbageDuplicate:     `"simulated":1,"simulated":2,`,
	}[kind]
	rep.body = []byte("{" + member + string(rep.body[1:]))
	if kind == GarbageCutJSON {
		rep.body = rep.body[:len(rep.body)/2]
	}
	return rep, nil
}

// deform applies what an action changes whatever the content.
func deform(rep reply, a *Action) reply {
	h := maps.Clone(rep.header)
	if h == nil {
		h = make(http.Header)
	}
	switch a.Gzip {
	case GzipValid:
		rep.body = gzipped(rep.body)
	case GzipDouble:
		rep.body = gzipped(gzipped(rep.body))
	case GzipTruncated:
		z := gzipped(rep.body)
		rep.body = z[:len(z)/2]
	}
	if a.Gzip != "" {
		h.Set("Content-Encoding", "gzip") // GzipWrongHeader is this alone
	}
	for i := range a.HeaderFlood {
		name := "X-Flood-" + strconv.Itoa(i)
		h.Set(name, strings.Repeat("x", max(1, 96-len(name))))
	}
	for k, v := range a.Headers {
		h.Set(k, v)
	}
	if a.Status != 0 {
		rep.status = a.Status
	}
	rep.header = h
	return rep
}

func gzipped(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body) // a bytes.Buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// sized yields a JSON object of exactly n bytes, in blocks.
func sized(n int64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !yield([]byte(paddingHead)) {
			return
		}
		block := bytes.Repeat([]byte("a"), 64<<10)
		for left := n - int64(len(paddingHead)+len(paddingTail)); left > 0; left -= int64(len(block)) {
			if !yield(block[:min(left, int64(len(block)))]) {
				return
			}
		}
		yield([]byte(paddingTail))
	}
}

// bomb yields gzip that expands to a JSON object of at least n bytes. Readers take a gzip stream of many members as
// one, so a single compressed block is repeated: a bomb of any size costs next to nothing here.
func bomb(n int64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !yield(gzipped([]byte(paddingHead))) {
			return
		}
		block := gzipped(bytes.Repeat([]byte("a"), bombBlock))
		for left := n; left > 0; left -= bombBlock {
			if !yield(block) {
				return
			}
		}
		yield(gzipped([]byte(paddingTail)))
	}
}

// begin writes the head of an answer whose body follows; a length below 0 leaves it to chunks.
func (c *call) begin(rep reply, length int64) {
	h := c.w.Header()
	c.stamp(h)
	for k, vs := range rep.header {
		h[k] = vs
	}
	if length >= 0 {
		h.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	c.Status = rep.status
	c.w.WriteHeader(rep.status)
}

// sendStream writes a body of blocks until it ends, the client leaves or the engine goes down.
func (c *call) sendStream(ctx context.Context, rep reply, length int64, blocks iter.Seq[[]byte]) error {
	if length < 0 {
		rep.header.Set("Content-Encoding", "gzip")
	}
	c.begin(rep, length)
	for block := range blocks {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := c.w.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// sendSlowly writes a body piece by piece.
func (c *call) sendSlowly(ctx context.Context, rep reply, d Drip) error {
	c.begin(rep, int64(len(rep.body)))
	flusher := http.NewResponseController(c.w)
	_ = flusher.Flush() // a writer that cannot flush is only less slow
	for body := bytes.NewReader(rep.body); body.Len() > 0; {
		if err := sleep(ctx, d.Every); err != nil {
			return err
		}
		if _, err := io.CopyN(c.w, body, int64(min(d.Bytes, body.Len()))); err != nil {
			return err
		}
		_ = flusher.Flush()
	}
	return nil
}

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
