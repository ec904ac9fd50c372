package httpapi

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"batchd/internal/batch"
)

// route is one path below a mount's prefix with what each method does there. HEAD is answered like GET by every
// route that has GET.
type route struct {
	path string
	// open routes are for anybody.
	open    bool
	methods map[string]func(*call) error
}

// routes is the table of everything a mount serves.
func routes() []route {
	return []route{
		{path: "/files", methods: map[string]func(*call) error{"POST": (*call).uploadFile, "GET": (*call).listFiles}},
		{path: "/files/{id}", methods: map[string]func(*call) error{"GET": (*call).retrieveFile, "DELETE": (*call).deleteFile}},
		{path: "/files/{id}/content", methods: map[string]func(*call) error{"GET": (*call).fileContent}},
		{path: "/batches", methods: map[string]func(*call) error{"POST": (*call).createBatch, "GET": (*call).listBatches}},
		{path: "/batches/{id}", methods: map[string]func(*call) error{"GET": (*call).retrieveBatch}},
		{path: "/batches/{id}/cancel", methods: map[string]func(*call) error{"POST": (*call).cancelBatch}},
	}
}

// mount registers the routes of m. Patterns carry no methods: the mux would answer the wrong ones in plain text.
func (s *server) mount(m *Mount) {
	for _, rt := range routes() {
		s.mux.HandleFunc(m.Prefix+rt.path, func(w http.ResponseWriter, r *http.Request) {
			s.serveRoute(m, rt, replyOf(w), r)
		})
	}
	unknown := func(w http.ResponseWriter, r *http.Request) { s.unknownRoute(m, replyOf(w), r) }
	// The prefix alone is registered so that the mux does not redirect it to the prefix with a slash.
	s.mux.HandleFunc(m.Prefix, unknown)
	s.mux.HandleFunc(m.Prefix+"/", unknown)
}

func (s *server) serveRoute(m *Mount, rt route, w *reply, r *http.Request) {
	w.route = m.Prefix + rt.path
	c := &call{server: s, mount: m, dialect: m.speak(r), w: w, r: r}
	handle := rt.methods[r.Method]
	if handle == nil && r.Method == http.MethodHead {
		handle = rt.methods[http.MethodGet]
	}
	if handle == nil {
		w.Header().Set("Allow", allowed(rt))
		c.fail(&batch.Error{Class: batch.MethodNotAllowed, Message: "This path does not take " + clipWord(r.Method) + " requests."})
		return
	}
	if !rt.open {
		if err := c.authenticate(); err != nil {
			c.fail(err)
			return
		}
	}
	if err := handle(c); err != nil {
		c.fail(err)
	}
}

func allowed(rt route) string {
	var methods []string
	for m := range rt.methods {
		methods = append(methods, m)
		if m == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// unknownRoute answers a path that is in no route.
func (s *server) unknownRoute(m *Mount, w *reply, r *http.Request) {
	c := &call{server: s, mount: m, dialect: m.speak(r), w: w, r: r}
	c.fail(&batch.Error{Class: batch.NotFound, Message: "Unknown path. No such route exists on this server."})
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

// clipWord keeps what a client made up, like a method, from filling an error message.
func clipWord(s string) string {
	const most = 20
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
