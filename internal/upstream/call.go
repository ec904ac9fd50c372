package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
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
	u.metrics.calls[a.Signal.Kind].Inc()
	u.metrics.seconds.Observe(time.Since(start).Seconds())
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
		if left := c.Deadline.Sub(u.steady()); left < total {
			total, cause = left, errDeadline
		}
	}
	if total <= 0 {
		return exchange{verdict: unanswered(cause, unsent), err: cause}
	}
	if name := u.nameOf(c.Model); name != c.Model {
		c.Model, c.Body = name, renameModel(c.Body, name)
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
	body, done, err := u.decoder.open(resp.Header, &watchedBody{body: resp.Body, watch: w, idle: u.timeouts.Idle})
	if err == nil {
		e.content, err = u.bodies.read(body)
		done()
	}
	if err != nil {
		e.err = reason(ctx, watched, err)
		e.verdict = cut(resp.StatusCode, e.err)
		return e
	}
	e.verdict = answered(resp.StatusCode, e.content, c.Model)
	u.metrics.notFinite.Add(float64(e.content.notFinite))
	if e.verdict.signal.Kind == limit.Served && incomplete(c.Endpoint, e.content) {
		u.metrics.incomplete.Inc()
	}
	return e
}

// maxUnsent is how often a request is sent again of which nothing was written. Each time takes an idle connection off the
// transport; a server that closes more than so many at once is better left to the dispatcher's pause.
const maxUnsent = 8

// send sends the request and waits for the answer's header. A server may close an idle connection just when it is taken
// for this request: if nothing was written the request goes over another one at once, and nobody counts that. Once
// something was written it is never sent again here, since it may have been run.
//
// The retries of net/http would repeat calls that nobody counts. It repeats a POST of which nothing was written only if it
// has GetBody, and one that was written if it sees an idempotency key, which idHeaders hides from it.
func (u *Upstream) send(ctx context.Context, c dispatch.Call) (*http.Response, progress, error) {
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.Body)), nil }
	for again := 0; ; again++ {
		h := u.authorized(ctx)
		u.ids.set(h, c.Key)
		first, _ := body() // never fails
		req := &http.Request{
			Method: http.MethodPost, URL: u.target(c.Endpoint), Host: u.base.Host,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: h, Body: first, GetBody: body, ContentLength: int64(len(c.Body)),
		}
		w := new(way)
		resp, err := u.transport.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			GotConn:              func(info httptrace.GotConnInfo) { w.take(info.Conn) },
			GotFirstResponseByte: func() { w.answering.Store(true) },
		})))
		if err == nil {
			return resp, answering, nil
		}
		if far := w.progress(); far != unsent || !w.found || again == maxUnsent || ctx.Err() != nil {
			return nil, far, err
		}
	}
}

// way is how far a request got. Where the transport tried several connections, it is of the last: it leaves one for
// another only while nothing was written to it.
type way struct {
	// found says that there was a connection.
	found bool
	// conn is that connection, nil if it is not one of our dialer's.
	conn *conn
	// before is how often conn had been written to before this request.
	before int64
	// answering is set when the first byte of the answer is there.
	answering atomic.Bool
}

// take begins the way over a connection.
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

// Reasons why a call's own timers end it.
var (
	errFirstByte = errors.New("no answer in time")
	errIdle      = errors.New("the answer stalled")
	errTotal     = errors.New("the call took too long")
	errDeadline  = errors.New("the window ended")
)

// watch ends a call whose current phase lasts too long. One timer serves all phases, and no goroutine waits.
type watch struct {
	cancel context.CancelCauseFunc
	// end is when the call as a whole must be over, and endCause what it means then.
	end      time.Time
	endCause error

	// mu guards the fields below.
	mu    sync.Mutex
	timer *time.Timer
	// cause is what the timer means when it fires.
	cause error
}

// newWatch derives a context that the watch ends. The first phase lasts first; the call must be over after total.
func newWatch(ctx context.Context, first, total time.Duration, totalCause error) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{cancel: cancel, end: time.Now().Add(total), endCause: totalCause}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cause = errFirstByte
	if first >= total {
		first, w.cause = total, totalCause
	}
	w.timer = time.AfterFunc(first, func() {
		w.mu.Lock() // next may be changing the cause
		defer w.mu.Unlock()
		w.cancel(w.cause)
	})
	return ctx, w
}

// next begins a phase of at most d.
func (w *watch) next(d time.Duration, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cause = cause
	if rest := time.Until(w.end); rest <= d {
		d, w.cause = max(rest, 0), w.endCause
	}
	w.timer.Reset(d)
}

// stop frees the timer and the context.
func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// watchedBody restarts the idle phase with every piece of the answer.
type watchedBody struct {
	body  io.Reader
	watch *watch
	idle  time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.next(b.idle, errIdle)
	return b.body.Read(p)
}
