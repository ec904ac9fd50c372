package httpapi

import (
	"encoding/json"
	"net/http"
)

// health is the body of /healthz and /readyz.
type health struct {
	Status   string   `json:"status"`
	Problems []string `json:"problems,omitempty"`
	Reasons  []string `json:"reasons,omitempty"`
}

// mountOperations registers what operators and their machines ask for, and the answer to every path under no prefix.
func (s *server) mountOperations() {
	s.mux.HandleFunc("/healthz", s.operation("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeHealth(w, http.StatusOK, health{Status: "ok"})
	}))
	s.mux.HandleFunc("/readyz", s.operation("/readyz", s.ready))
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

func writeHealth(w http.ResponseWriter, status int, h health) {
	body, _ := json.Marshal(h) // strings always encode
	if h.Problems != nil || h.Reasons != nil {
		body, _ = json.MarshalIndent(h, "", "  ") // each on a line of its own
		body = append(body, '\n')
	}
	replyOf(w).json(status, body)
}
