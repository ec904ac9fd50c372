package httpapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// ServeHTTP answers one request: every response gets its headers, every panic ends in an error with a request id,
// and every request is counted.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rep := newReply(w, s.Now)
	defer s.finish(rep, r)
	defer s.rescue(rep, r)
	s.pace(rep, r)
	if acceptsGzip(r.Header) {
		rep.compressors = &s.compressors
	}
	if r.Method == http.MethodConnect || !canonical(r.URL.EscapedPath()) {
		s.unknownRoute(&s.Mounts[0], rep, r)
		return
	}
	s.mux.ServeHTTP(rep, r)
}

// rescue turns a panic into an internal error. http.ErrAbortHandler goes on up: it is how a response that must not
// look complete is cut off.
func (s *server) rescue(rep *reply, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		s.newCall(&s.Mounts[0], rep, r).fail(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	}
}

func (s *server) finish(rep *reply, r *http.Request) {
	s.metrics.observe(rep, r)
	s.Logger.LogAttrs(r.Context(), slog.LevelDebug, "request answered",
		slog.String("request_id", rep.requestID), slog.String("method", r.Method), slog.String("route", rep.route),
		slog.Int("status", rep.status), slog.Int64("bytes", rep.bytes), slog.Duration("elapsed", rep.elapsed()))
}
