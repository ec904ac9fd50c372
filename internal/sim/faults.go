package sim

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
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
	if a.Gzip != "" {
		rep.body = squeeze(rep.body, a.Gzip)
		h.Set("Content-Encoding", "gzip")
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

func squeeze(body []byte, how Gzip) []byte {
	switch how {
	case GzipValid:
		return gzipped(body)
	case GzipDouble:
		return gzipped(gzipped(body))
	case GzipTruncated:
		z := gzipped(body)
		return z[:len(z)/2]
	}
	return body
}

func gzipped(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body) // a bytes.Buffer takes everything
	_ = z.Close()
	return b.Bytes()
}
