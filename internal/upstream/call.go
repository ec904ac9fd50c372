package upstream

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/limit"
)

// Call sends one request and waits for its answer, for the end of ctx, or for one of the timers. The outcome's body, if
// any, must be closed whatever the answer means. Call may be used by any number of goroutines.
func (u *Upstream) Call(ctx context.Context, c dispatch.Call) dispatch.Answer {
	start := time.Now()
	e := u.exchange(ctx, c)
	a := e.answer()
	if a.Signal.Kind == limit.Denied {
		u.credential.refuse()
	}
	u.metrics.observe(a.Signal.Kind, time.Since(start))
	if e.err != nil {
		u.log.LogAttrs(ctx, slog.LevelDebug, "call ended without an answer",
			slog.String("key", c.Key), slog.String("cause", a.Cause), slog.Any("error", e.err))
	}
	return a
}

// exchange is what came of one request.
type exchange struct {
	verdict    verdict
	requestID  string
	retryAfter time.Duration
	content    content
	// err is why there is no whole answer.
	err error
}

func (u *Upstream) exchange(ctx context.Context, c dispatch.Call) exchange {
	total, cause := u.timeouts.Total, errTotal
	if !c.Deadline.IsZero() {
		if left := c.Deadline.Sub(u.now()); left < total {
			total, cause = left, errDeadline
		}
	}
	if total <= 0 {
		return exchange{verdict: unanswered(cause, unsent), err: cause}
	}
	watched, w := newWatch(ctx, u.timeouts.FirstByte, total, cause)
	defer w.stop()
	resp, far, err := u.send(watched, c)
	if err != nil {
		err = reason(ctx, watched, err)
		return exchange{verdict: unanswered(err, far), err: err}
	}
	defer func() { _ = resp.Body.Close() }() // read-side close
	e := exchange{
		requestID:  requestID(resp.Header),
		retryAfter: retryAfter(resp.Header, u.now()),
	}
	e.content, err = u.receive(resp, w)
	if err != nil {
		e.err = reason(ctx, watched, err)
		e.verdict = cut(resp.StatusCode, e.err)
		return e
	}
	e.verdict = answered(resp.StatusCode, e.content, c.Model)
	return e
}

// maxUnsent is how often a request is sent again of which nothing was written.
const maxUnsent = 8

// send sends the request and waits for the answer's header. A server may close an idle connection just when it is taken
// for this request: if nothing was written the request goes over another one at once, and nobody counts that. Once
// something was written it is never sent again here, since it may have been run.
func (u *Upstream) send(ctx context.Context, c dispatch.Call) (*http.Response, progress, error) {
	for again := 0; ; again++ {
		w := new(way)
		resp, err := u.transport.RoundTrip(u.request(w.traced(ctx), c))
		if err == nil {
			return resp, answering, nil
		}
		if far := w.progress(); far != unsent || !w.found || again == maxUnsent || ctx.Err() != nil {
			return nil, far, err
		}
	}
}

// reason tells apart who ended a call: the caller, the watch, or what err says.
func reason(ctx, watched context.Context, err error) error {
	if ctx.Err() != nil {
		return errAbandoned
	}
	if cause := context.Cause(watched); cause != nil {
		return cause
	}
	return err
}

// request makes the request for net/http, whose own retries would repeat calls that nobody counts. It repeats a
// POST when nothing of it was written, for which it needs GetBody, and one that was written if it sees an idempotency key,
// which idHeaders hides from it.
func (u *Upstream) request(ctx context.Context, c dispatch.Call) *http.Request {
	h := u.authorized(ctx)
	u.ids.set(h, c.Key)
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.Body)), nil }
	first, _ := body() // never fails
	req := &http.Request{
		Method: http.MethodPost, URL: u.target(c.Endpoint), Host: u.base.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: first, GetBody: body, ContentLength: int64(len(c.Body)),
	}
	return req.WithContext(ctx)
}

func (u *Upstream) receive(resp *http.Response, w *watch) (content, error) {
	body := &watchedBody{body: resp.Body, watch: w, idle: u.timeouts.Idle}
	decoded, done, err := u.decoder.open(resp.Header, body)
	if err != nil {
		return content{}, err
	}
	defer done()
	return u.bodies.read(decoded)
}

// maxRequestID is how long an upstream's id for a call may be; longer ones are no ids.
const maxRequestID = 128

// requestID returns the upstream's own id for the call if it is fit to be shown.
func requestID(h http.Header) string {
	id := h.Get("X-Request-Id")
	if len(id) > maxRequestID {
		return ""
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return ""
		}
	}
	return id
}

// answer makes the Answer, and closes a body that no outcome shows.
func (e *exchange) answer() dispatch.Answer {
	v := e.verdict
	a := dispatch.Answer{
		Signal:  v.signal,
		Cause:   v.cause,
		Outcome: batch.Outcome{Status: v.status, RequestID: e.requestID, Code: v.code, Message: v.message},
	}
	a.Signal.RetryAfter = e.retryAfter
	if v.code == "" {
		a.Outcome.Body = e.content.body
		a.Outcome.Usage = e.content.found.usage
	} else if e.content.body != nil {
		_ = e.content.body.Close() // its bytes are given up
	}
	if v.signal.Kind == limit.Served {
		a.Signal.OutputTokens = a.Outcome.Usage.Output
	}
	return a
}
