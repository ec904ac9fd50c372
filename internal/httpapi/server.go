package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"batchd/internal/batch"
	"batchd/internal/clock"
	"batchd/internal/tenant"
)

// server is the state shared by all calls. Nothing of it changes once New has returned, but the pool, the counts and the metrics, which
// may be used concurrently: no call waits for another here.
type server struct {
	Options
	mux *http.ServeMux
	// mounted are the routes of the mounts by their patterns in mux.
	mounted map[string]mounted
	// requests and seconds are labelled by route, which is a pattern from the table: nothing a client makes up becomes a
	// label.
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	// compressors keeps *gzip.Writer between answers; packing counts the downloads that have one.
	compressors sync.Pool
	packing     atomic.Int64
	// unsent counts the bytes of answers that are in memory whole and being sent.
	unsent atomic.Int64
}

// New returns the handler of the whole API. It may be used concurrently, and holds no goroutines of its own.
func New(o Options) http.Handler {
	o.MinUploadRate = cmp.Or(o.MinUploadRate, batch.KiB)
	o.UploadPatience = cmp.Or(o.UploadPatience, 30*time.Second)
	o.SendTimeout = cmp.Or(o.SendTimeout, 5*time.Minute)
	if o.Crowded == nil {
		o.Crowded = func(context.Context) bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Time == nil {
		o.Time = func() clock.Time { return clock.Same(o.Now()) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	s := &server{
		Options: o, mux: http.NewServeMux(), mounted: make(map[string]mounted),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "batchd_http_requests_total",
			Help: "Requests answered, by route, method and status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "batchd_http_request_seconds",
			Help: "Time to answer a request whole, by route.",
			// From a millisecond to more than four minutes: lookups and downloads of gigabytes are in one histogram.
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"route"}),
	}
	s.Registerer.MustRegister(s.requests, s.seconds)
	for i := range s.Mounts {
		s.mount(&s.Mounts[i])
	}
	s.mountOperations()
	return s
}

// mount registers the routes of m. Patterns carry no methods: the mux would answer the wrong ones in plain text.
func (s *server) mount(m *Mount) {
	for _, rt := range m.routes() {
		s.mounted[m.Prefix+rt.Path] = mounted{m, rt}
		s.mux.HandleFunc(m.Prefix+rt.Path, func(w http.ResponseWriter, r *http.Request) {
			s.serveRoute(m, rt, replyOf(w), r)
		})
	}
	unknown := func(w http.ResponseWriter, r *http.Request) { s.unknownRoute(m, replyOf(w), r) }
	// The prefix alone is registered so that the mux does not redirect it to the prefix with a slash.
	s.mux.HandleFunc(m.Prefix, unknown)
	s.mux.HandleFunc(m.Prefix+"/", unknown)
}

// serveRoute answers a call. Which methods a dialect has shows only to those with a key, because the key may choose the
// dialect; that a method is in no dialect needs none.
func (s *server) serveRoute(m *Mount, rt Route, w *reply, r *http.Request) {
	w.route = m.Prefix + rt.Path
	c := s.newCall(m, w, r)
	if err := rt.serve(c); err != nil {
		answerError(c, err)
	}
}

// newCall returns a call whose sender is not known yet.
func (s *server) newCall(m *Mount, w *reply, r *http.Request) *Call {
	return &Call{server: s, mount: m, Profile: m.profileFor(r, tenant.Identity{}), reply: w, Request: r}
}

// unknownRoute answers a path that is in no route.
func (s *server) unknownRoute(m *Mount, w *reply, r *http.Request) {
	answerError(s.newCall(m, w, r), s.explainNoRoute(w, r))
}

// mountOperations registers what operators and their machines ask for, and the answer to every path under no prefix.
func (s *server) mountOperations() {
	s.mux.HandleFunc("/healthz", s.operation("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeHealth(w, http.StatusOK, health{Status: "ok"})
	}))
	s.mux.HandleFunc("/readyz", s.operation("/readyz", readiness{s.Node, s.Auth, s.Local}.serve))
	if s.Metrics != nil {
		s.mux.HandleFunc("/metrics", s.operation("/metrics", s.Metrics.ServeHTTP))
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.unknownRoute(&s.Mounts[0], replyOf(w), r) })
}

// operation answers GET and HEAD with serve, for anybody, and other methods as any route does.
func (s *server) operation(path string, serve http.HandlerFunc) http.HandlerFunc {
	get := func(c *Call) error {
		serve(c.Response(), c.Request)
		return nil
	}
	rt := Route{Path: path, Open: true, Methods: map[string]Handler{http.MethodGet: get}}
	// The server's own paths are under no prefix, and word their errors like the first mount.
	m := &Mount{Profile: s.Mounts[0].Profile}
	return func(w http.ResponseWriter, r *http.Request) { s.serveRoute(m, rt, replyOf(w), r) }
}

// ServeHTTP answers one request: every response gets its headers, every panic ends in an error with a request id,
// and every request is counted.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rep := s.newReply(w, r)
	// In this order, so that a request whose handler panicked is counted with the status that it was given for that.
	defer s.finish(rep, r)
	defer s.rescue(rep, r)
	pace(rep, r, s.MinUploadRate, s.UploadPatience)
	if r.Method == http.MethodConnect || !canonical(r.URL.EscapedPath()) {
		s.unknownRoute(&s.Mounts[0], rep, r)
		return
	}
	s.mux.ServeHTTP(rep, r)
}

// canonical reports whether a path is one the mux would serve as it is. It would redirect any other one, and a
// client that writes "/../" into a path is better told that there is nothing.
func canonical(escaped string) bool {
	if !strings.HasPrefix(escaped, "/") {
		return false
	}
	clean := path.Clean(escaped)
	return escaped == clean || escaped == clean+"/"
}

// rescue turns a panic into an internal error. http.ErrAbortHandler goes on up: it is how a response that must not
// look complete is cut off.
func (s *server) rescue(rep *reply, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		answerError(s.newCall(&s.Mounts[0], rep, r), fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	}
}

// finish counts and logs a request that was answered, or cut off.
func (s *server) finish(rep *reply, r *http.Request) {
	route, method := rep.route, r.Method
	if route == "" {
		route = "none"
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete:
	default:
		method = "other"
	}
	s.requests.WithLabelValues(route, method, strconv.Itoa(rep.status)).Inc()
	s.seconds.WithLabelValues(route).Observe(rep.elapsed().Seconds())
	s.Logger.LogAttrs(r.Context(), rep.level, "request answered", append([]slog.Attr{
		slog.String("request_id", rep.requestID), slog.String("method", r.Method), slog.String("route", rep.route),
		slog.Int("status", rep.status), slog.Int64("bytes", rep.bytes), slog.Duration("elapsed", rep.elapsed()),
	}, rep.record...)...)
}
