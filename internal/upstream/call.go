package upstream

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"
)

// Call sends one request and waits for its answer, for the end of ctx, or for one of the timers. It sends nothing if
// the upstream is paused. The outcome's body, if any, must be closed whatever the disposition is. Call may be used by
// any number of goroutines.
func (u *Upstream) Call(ctx context.Context, r Request) Result {
	t, wait := u.pause.enter(u.now())
	if t == refused {
		return Result{
			Disposition: Denied, Cause: "paused", RetryAfter: wait, Signal: limit.Signal{Verdict: limit.Unknown},
			Outcome: batch.Outcome{Code: batch.CodeUpstreamUnreachable, Message: "The upstream refuses batchd's credentials."},
		}
	}
	start := time.Now()
	e := u.exchange(ctx, r, t)
	res := e.result(time.Since(start))
	u.settlePause(ctx, t, e)
	if res.Disposition == Denied {
		res.RetryAfter = u.Wait()
	}
	u.metrics.observe(&res)
	if e.err != nil {
		u.log.LogAttrs(ctx, slog.LevelDebug, "call ended without an answer",
			slog.String("key", r.Key), slog.String("cause", res.Cause), slog.Any("error", e.err))
	}
	return res
}

// exchange is what came of one request.
type exchange struct {
	verdict verdict
	// httpStatus is the status that came over the wire, 0 for none.
	httpStatus int
	requestID  string
	retryAfter time.Duration
	content    content
	// err is why there is no whole answer.
	err error
}

func (u *Upstream) exchange(ctx context.Context, r Request, t ticket) exchange {
	total, cause := u.timeouts.Total, errTotal
	if !r.Deadline.IsZero() {
		if left := r.Deadline.Sub(u.now()); left < total {
			total, cause = left, errDeadline
		}
	}
	if total <= 0 {
		return exchange{verdict: unanswered(cause, false), err: cause}
	}
	watched, w := newWatch(ctx, u.timeouts.FirstByte, total, cause)
	defer w.stop()
	sent := false
	traced := httptrace.WithClientTrace(watched, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }})
	resp, err := u.transport.RoundTrip(u.request(traced, r, t))
	if err != nil {
		err = reason(ctx, watched, err)
		return exchange{verdict: unanswered(err, sent && !isDialError(err)), err: err}
	}
	defer func() { _ = resp.Body.Close() }() // read-side close
	e := exchange{
		httpStatus: resp.StatusCode,
		requestID:  requestID(resp.Header),
		retryAfter: retryAfter(resp.Header, u.now()),
	}
	e.content, err = u.receive(resp, w)
	if err != nil {
		e.err = reason(ctx, watched, err)
		e.verdict = cut(resp.StatusCode, e.err)
		return e
	}
	e.verdict = answered(resp.StatusCode, e.content)
	return e
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

// request makes the request for net/http. Its retries need care: they would repeat calls that nobody counts. It repeats a
// POST when nothing of it was written, for which it needs GetBody; and it repeats one that was written if it sees an
// Idempotency-Key, which it looks for in canonical case only. So the name goes out in lower case.
func (u *Upstream) request(ctx context.Context, r Request, t ticket) *http.Request {
	h := u.authorized(ctx, t)
	if r.Key != "" {
		key := []string{r.Key}
		h["idempotency-key"] = key
		h["X-Request-Id"] = key
	}
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
	first, _ := body() // never fails
	req := &http.Request{
		Method: http.MethodPost, URL: u.target(r.Endpoint), Host: u.base.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: first, GetBody: body, ContentLength: int64(len(r.Body)),
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
	return u.intake.read(decoded)
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

// result makes the Result, and closes a body that no outcome shows.
func (e *exchange) result(took time.Duration) Result {
	v := e.verdict
	res := Result{Disposition: v.disposition, Cause: v.cause, RetryAfter: e.retryAfter, Lost: v.lost()}
	res.Outcome = batch.Outcome{Status: v.status, RequestID: e.requestID, Code: v.code, Message: v.message}
	if v.code == "" {
		res.Outcome.Body = e.content.body
		res.Outcome.Usage = e.content.found.usage
	} else if e.content.body != nil {
		_ = e.content.body.Close() // its bytes are given up
	}
	res.Signal = limit.Signal{Verdict: v.signal(), OutputTokens: res.Outcome.Usage.Output, Seconds: took.Seconds()}
	return res
}

// lost reports whether the connection broke after the request had been sent, which is how a server that crashes looks.
func (v verdict) lost() bool {
	return v.disposition == Ambiguous && (v.cause == "reset" || v.cause == "truncated")
}

// signal is what a verdict says about capacity. A local disk that is full says nothing.
func (v verdict) signal() limit.Verdict {
	switch v.disposition {
	case Answered:
		return limit.Served
	case Capacity:
		if v.cause == causeSpool {
			return limit.Unknown
		}
		return limit.Refused
	case Ambiguous, Broken:
		return limit.Broken
	default:
		return limit.Unknown
	}
}

// settlePause begins or ends the pause. What ends it is an answer that must have passed the check of credentials: an
// error of the 5xx kind may come from a proxy before it.
func (u *Upstream) settlePause(ctx context.Context, t ticket, e exchange) {
	denied := ""
	if e.verdict.disposition == Denied {
		denied = e.verdict.cause
	}
	passed := denied == "" && e.httpStatus >= 200 && e.httpStatus < 500
	switch u.pause.leave(t, u.now(), denied, passed) {
	case began:
		u.metrics.paused.Set(1)
		u.log.LogAttrs(ctx, slog.LevelError, "upstream refuses the credentials; paused, and tried again every 30 s",
			slog.Int("status", e.httpStatus))
	case ended:
		u.metrics.paused.Set(0)
		u.log.LogAttrs(ctx, slog.LevelInfo, "upstream takes the credentials again; pause ended")
	case unchanged:
	}
}
