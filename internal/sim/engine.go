// Package sim is a simulated inference engine behind an OpenAI-compatible API: chat completions, completions,
// responses, embeddings, moderations, rerank, score and models, with vLLM's /metrics and /health.
//
// Its answers are a pure function of the seed and the request body, so two runs can be compared byte for byte
// whatever the order of arrival. It promises seats, a bounded queue, rate limits and a timing model that behave like
// a real engine seen from outside, and a fault script that produces the ways real upstreams break.
// It knows nothing of batches, files or stores. What it remembers between requests (counters, the queue, the prefix
// cache, attempts where a rule counts them) never changes an answer of its own, only whether and when it comes.
package sim

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"batchd/internal/sim/batching"
)

// A Call is one inference request as the engine saw it.
type Call struct {
	// Number counts the inference requests that reached this engine, from 1.
	Number int64
	// Path is the request's path, with /v1.
	Path string
	// Body is the request's body. It must not be changed.
	Body []byte
	// Header is the request's header. It must not be changed.
	Header http.Header
	// Start is when the request arrived.
	Start time.Time
	// Status is the status that was sent. It is 0 in OnCall, and in OnAnswer when no status line was sent.
	Status int
}

// Stats are an engine's counters at one moment.
type Stats struct {
	// Running and Waiting are the requests that hold a seat, and those in the queue. With Options.Batching they are
	// sequences, those of Options.Online among them.
	Running, Waiting int
	// Served counts the successful answers of the engine itself, deformed by a fault or not.
	Served int64
	// Refused counts requests turned away for lack of queue or rate.
	Refused int64
	// Faulted counts requests that a rule of the fault script, or a mode of their content, was applied to.
	Faulted int64
	// Preempted counts requests started in a full KV cache, or with Options.Batching how often one lost its place in it.
	Preempted int64
}

// An Engine is a simulated inference engine. It is safe for concurrent use and needs no closing: what it does, it
// does inside the requests it serves and, with Options.Batching, in Run.
type Engine struct {
	opts     Options
	seats    *seats
	replica  *replica // in place of seats; nil without Options.Batching
	rates    *rateLimits
	prefixes *prefixCache
	faults   *faultPlan
	modes    contentModes
	metrics  metrics
	calls    atomic.Int64
}

// New returns an engine. The error names the first option, or the rule and field of the fault script, that is wrong.
func New(opts Options) (*Engine, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	faults, err := compile(opts.Faults)
	if err != nil {
		return nil, err
	}
	faults.crashing = faults.crashing || opts.ContentModes
	e := &Engine{
		opts:     opts,
		seats:    &seats{cap: opts.Seats, queueCap: opts.Queue, kvCap: opts.KVTokens},
		rates:    &rateLimits{requests: newBucket("requests", opts.RPM), tokens: newBucket("tokens", opts.TPM)},
		prefixes: &prefixCache{cap: opts.PrefixCache, known: make(map[uint64]*list.Element)},
		faults:   faults,
		modes:    contentModes{failed: make(map[sent]bool)},
	}
	if opts.Batching != nil {
		if e.replica, err = newReplica(&opts, faults.down); err != nil {
			return nil, fmt.Errorf("sim option Batching: %w", err)
		}
	}
	for _, s := range opts.Timetable {
		// The timers hold the engine until they fire and need no stopping.
		time.AfterFunc(s.At, func() { e.SetSeats(s.Seats) })
	}
	return e, nil
}

// Run steps the engine of Options.Batching until ctx ends, and then gives up the requests in it. Without that option
// there is nothing to do, and it returns at once. It may be called once.
func (e *Engine) Run(ctx context.Context) {
	if e.replica != nil {
		e.replica.run(ctx)
	}
}

// SetSeats changes the number of seats, 0 meaning no limit; with Options.Batching there are none. Requests that hold a seat
// keep it; those in the queue take seats that become free by it at once.
func (e *Engine) SetSeats(n int) {
	e.seats.mu.Lock()
	defer e.seats.mu.Unlock()
	e.seats.cap = max(n, 0)
	e.seats.admitLocked()
}

// Stats returns the counters.
func (e *Engine) Stats() Stats {
	v := e.view()
	return Stats{
		Running:   v.running,
		Waiting:   v.waiting,
		Preempted: v.preempted,
		Served:    e.metrics.stopped.Load() + e.metrics.cut.Load(),
		Refused:   e.metrics.refused.Load(),
		Faulted:   e.metrics.faulted.Load(),
	}
}

// ServeHTTP answers one request. Faults below HTTP need a connection that can be hijacked; without one the handler
// panics with http.ErrAbortHandler, which ends the answer as roughly.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if newRequest, ok := endpoints[path]; ok {
		if r.Method != http.MethodPost {
			writeError(w, wrongMethod(r, http.MethodPost))
			return
		}
		e.infer(w, r, newRequest)
		return
	}
	if e.faults.down(e.opts.Now()) {
		resetConn(hijack(w))
		return
	}
	var get http.HandlerFunc
	switch {
	case path == "/health":
		get = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	case path == "/metrics" && !e.opts.HideMetrics:
		get = e.serveMetrics
	case path == "/v1/models", strings.HasPrefix(path, "/v1/models/"):
		get = e.serveModels
	default:
		writeError(w, &apiError{status: http.StatusNotFound, message: "Unknown request URL: " + r.Method + " " + path + "."})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		writeError(w, wrongMethod(r, http.MethodGet))
		return
	}
	get(w, r)
}

// infer serves one inference request from arrival to the last byte.
func (e *Engine) infer(w http.ResponseWriter, r *http.Request, newRequest func() request) {
	c := &call{w: w, r: r, newRequest: newRequest, Call: Call{
		Number: e.calls.Add(1), Path: r.URL.Path, Header: r.Header, Start: e.opts.Now(),
	}}
	ctx, cancel, up := e.faults.during(r.Context(), c.Start)
	if !up {
		e.metrics.faulted.Add(1)
		c.reset()
		return
	}
	defer cancel()
	if err := e.stall(ctx, c); err != nil {
		c.reset()
		return
	}
	body, err := readBody(w, r, e.opts.MaxBodyBytes)
	if refusal := (*apiError)(nil); errors.As(err, &refusal) {
		writeError(w, refusal)
		return
	}
	if err != nil {
		c.reset()
		return
	}
	c.Body, c.id = body, newIdentity(e.opts.Seed, body)
	action := e.faults.match(c)
	if e.opts.OnCall != nil {
		e.opts.OnCall(c.Call)
	}
	if e.opts.OnAnswer != nil {
		// Deferred, since a fault may leave by panic.
		defer func() { e.opts.OnAnswer(c.Call) }()
	}
	if action != nil {
		e.metrics.faulted.Add(1)
		if err := e.inflict(ctx, c, action); err != nil {
			c.reset()
		}
		return
	}
	if e.byContent(ctx, c) {
		return
	}
	rep, err := e.compute(ctx, c)
	if err != nil {
		// Returning would send an empty 200, which a client that closed only its sending half would believe.
		c.reset()
		return
	}
	c.send(rep)
}

// readBody reads a request's body up to a cap. A client fault is an *apiError; any other error means that the client
// left before its body was complete.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, bodyTooLarge(limit)
	}
	var body []byte
	var err error
	if r.ContentLength >= 0 {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, bodyTooLarge(limit)
	}
	return body, err
}

// compute produces the engine's own answer: it checks the request, waits for a seat and takes its time.
// The error is the context's: the client left, or the engine went down, and nobody is to be answered.
func (e *Engine) compute(ctx context.Context, c *call) (reply, error) {
	var j job
	req := c.newRequest()
	err := decode(c.Body, req)
	if err == nil {
		err = req.check()
	}
	if err == nil {
		j, err = req.answer(e, c.id)
	}
	if err == nil {
		err = e.checkModel(j.model)
	}
	if err != nil {
		return errorReply(err), nil
	}
	now := e.opts.Now()
	limits, err := e.rates.take(now, j)
	if err != nil {
		e.metrics.refused.Add(1)
		return errorReply(err), nil
	}
	hits, workErr := e.work(ctx, j, c.id)
	switch {
	case errors.Is(workErr, batching.ErrQueueFull):
		e.metrics.refused.Add(1)
		return errorReply(&apiError{
			status: e.opts.RefuseStatus, kind: "rate_limit_error", code: "queue_full",
			message:    "The engine's queue is full. Please try again later.",
			retryAfter: e.opts.RetryAfter,
		}), nil
	case errors.Is(workErr, batching.ErrNeverFits):
		return errorReply(contextTooLong(j, e.opts.Batching.KVTokens)), nil
	case workErr != nil:
		return reply{}, workErr
	}
	e.metrics.served(j, hits)
	return reply{status: http.StatusOK, header: limits, body: mustEncode(j.answer)}, nil
}

// work takes a job through the model of the engine, and returns how many tokens of its prefix were remembered. The
// error is batching.ErrQueueFull, batching.ErrNeverFits, or why nobody is to be answered.
func (e *Engine) work(ctx context.Context, j job, id identity) (hits int, err error) {
	if e.replica != nil {
		hits = e.prefixes.lookup(j.prefix, j.prefixTokens)
		return hits, e.replica.serve(ctx, j.sequences(hits))
	}
	priority := 0
	if e.opts.ByPriority {
		priority = j.priority
	}
	preempted, err := e.seats.enter(ctx, j.totalTokens(), priority)
	if err != nil {
		return 0, err
	}
	defer e.seats.leave(j.totalTokens())
	hits = e.prefixes.lookup(j.prefix, j.prefixTokens)
	// How long it runs depends on the body and the seed only, unless a prefix cache or a full KV cache says otherwise.
	o := &e.opts
	prompt := time.Duration(j.promptTokens-hits) * o.PerPromptToken
	if preempted {
		prompt += time.Duration(j.promptTokens) * o.PerPromptToken
	}
	d := o.Base + prompt + time.Duration(j.longest)*o.PerOutputToken
	if d > 0 && o.Jitter > 0 {
		// A factor that is log-normal and of mean 1.
		d = time.Duration(float64(d) * math.Exp(o.Jitter*id.rand(drawLatency).NormFloat64()-o.Jitter*o.Jitter/2))
	}
	return hits, sleep(ctx, d)
}

// contextTooLong refuses a request one of whose sequences is larger than the whole memory, in vLLM's words.
func contextTooLong(j job, limit int) *apiError {
	longest := j.sequences(0)[0]
	for _, s := range j.sequences(0) {
		if s.PromptTokens+s.OutputTokens > longest.PromptTokens+longest.OutputTokens {
			longest = s
		}
	}
	err := invalid("messages", "This model's maximum context length is %d tokens. However, you requested %d tokens (%d in the messages, %d in the completion). Please reduce the length of the messages or completion.",
		limit, longest.PromptTokens+longest.OutputTokens, longest.PromptTokens, longest.OutputTokens)
	err.code = "context_length_exceeded"
	return err
}

// crash takes the engine down for a time, with all that is in it.
func (e *Engine) crash(d time.Duration) {
	e.faults.crash(e.opts.Now().Add(d))
	if e.replica != nil {
		e.replica.crash()
	}
}

func (e *Engine) checkModel(model string) *apiError {
	if len(e.opts.Models) == 0 || slices.Contains(e.opts.Models, model) {
		return nil
	}
	return modelNotFound(model)
}
