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
	// offered reports whether the call's dialect and this server have the method there; nil means that all do. A route
	// of which nothing is offered is as good as none.
	offered func(c *call, method string) bool
}

// handler returns what answers the method in the dialects that have it, nil for nothing.
func (rt route) handler(method string) func(*call) error {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return rt.methods[method]
}

// serves reports whether the route has the method for this call.
func (rt route) serves(c *call, method string) bool {
	return rt.handler(method) != nil && (rt.offered == nil || rt.offered(c, method))
}

// routes is the table of everything a mount serves.
func routes() []route {
	return []route{
		{path: "/files", methods: map[string]func(*call) error{"POST": (*call).uploadFile, "GET": (*call).listFiles}},
		{path: "/files/{id}", methods: map[string]func(*call) error{"GET": (*call).retrieveFile, "DELETE": (*call).deleteFile}},
		{path: "/files/{id}/content", methods: map[string]func(*call) error{"GET": (*call).fileContent}},
		{path: "/batches", methods: map[string]func(*call) error{"POST": (*call).createBatch, "GET": (*call).listBatches}},
		{
			path:    "/batches/{id}",
			methods: map[string]func(*call) error{"GET": (*call).retrieveBatch, "PATCH": (*call).editBatch},
			offered: func(c *call, method string) bool { return method != http.MethodPatch || c.edits() },
		},
		{path: "/batches/{id}/cancel", methods: map[string]func(*call) error{"POST": (*call).cancelBatch}},
		{
			path: "/batches/{id}/retry", methods: map[string]func(*call) error{"POST": (*call).retryBatch},
			offered: func(c *call, _ string) bool { return c.retries() },
		},
		{path: "/uploads", methods: map[string]func(*call) error{"POST": inParts((*call).createUpload)}, offered: (*call).takesParts},
		{path: "/uploads/{id}/parts", methods: map[string]func(*call) error{"POST": inParts((*call).addPart)}, offered: (*call).takesParts},
		{path: "/uploads/{id}/complete", methods: map[string]func(*call) error{"POST": inParts((*call).completeUpload)}, offered: (*call).takesParts},
		{path: "/uploads/{id}/cancel", methods: map[string]func(*call) error{"POST": inParts((*call).cancelUpload)}, offered: (*call).takesParts},
		{path: "/upstreams", methods: map[string]func(*call) error{"GET": (*call).listUpstreams}, offered: (*call).watches},
		{path: "/openapi.json", open: true, methods: map[string]func(*call) error{"GET": (*call).describe}},
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

// serveRoute answers a call. Which methods a dialect has shows only to those with a key, because the key may choose the
// dialect; that a method is in no dialect needs none.
func (s *server) serveRoute(m *Mount, rt route, w *reply, r *http.Request) {
	w.route = m.Prefix + rt.path
	c := &call{server: s, mount: m, Profile: m.speak(r), w: w, r: r}
	if err := c.serve(rt); err != nil {
		c.fail(err)
	}
}

func (c *call) serve(rt route) error {
	handle := rt.handler(c.r.Method)
	if handle == nil {
		return c.notAllowed(rt)
	}
	if !rt.open {
		if err := c.authenticate(); err != nil {
			return err
		}
	}
	if !rt.serves(c, c.r.Method) {
		return c.notAllowed(rt)
	}
	return handle(c)
}

// notAllowed returns the error of a method that the route does not have for this call, or of a route without any.
func (c *call) notAllowed(rt route) error {
	methods := rt.allowed(c)
	if len(methods) == 0 {
		return noRoute()
	}
	c.w.Header().Set("Allow", strings.Join(methods, ", "))
	return &batch.Error{Class: batch.MethodNotAllowed, Message: "This path does not take " + clipWord(c.r.Method) + " requests."}
}

// allowed returns the methods that the route has for this call.
func (rt route) allowed(c *call) []string {
	var methods []string
	for m := range rt.methods {
		if !rt.serves(c, m) {
			continue
		}
		methods = append(methods, m)
		if m == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return methods
}

// unknownRoute answers a path that is in no route.
func (s *server) unknownRoute(m *Mount, w *reply, r *http.Request) {
	c := &call{server: s, mount: m, Profile: m.speak(r), w: w, r: r}
	c.fail(noRoute())
}

func noRoute() error {
	return &unknownPath{&batch.Error{Class: batch.NotFound, Message: "Unknown path. No such route exists on this server."}}
}

// unknownPath is the fault of a path that no route has, apart from other things that are not found.
type unknownPath struct{ fault *batch.Error }

// Error returns the fault's message.
func (e *unknownPath) Error() string { return e.fault.Error() }

// Unwrap returns the fault.
func (e *unknownPath) Unwrap() error { return e.fault }

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
