package httpapi

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"batchd/internal/batch"
)

const (
	// version ends every prefix, and so the base URL that clients are to be given.
	version = "/v1"
	// maxNearest is the longest path that is repeated, in bytes: room for every route with an id.
	maxNearest = 200
)

// mounted is a route where it is mounted.
type mounted struct {
	mount *Mount
	route Route
}

// explainNoRoute returns the error of a path that no route has. Where a route has one that differs only by the version or by slashes,
// as when a base URL lacks the one or has too many of the others, it names that.
func (s *server) explainNoRoute(w *reply, r *http.Request) error {
	right, lacksVersion := s.nearest(w, r)
	if right == "" {
		return NoRoute()
	}
	message := noSuchRoute + " Perhaps " + right + " is meant"
	if lacksVersion {
		message += ": the base URL ends in " + version
	}
	return &unknownPath{&batch.Error{Class: batch.NotFound, Message: message + "."}}
}

// nearest returns the path of a route that has the one of r but for the version or slashes, and whether r's lacks the version;
// "" for none.
func (s *server) nearest(w *reply, r *http.Request) (path string, lacksVersion bool) {
	if r.URL.RawPath != "" || len(r.URL.Path) > maxNearest {
		return "", false // nothing that a client gets wrong by its base URL alone
	}
	segments := slices.DeleteFunc(strings.Split(r.URL.Path, "/"), func(s string) bool { return s == "" })
	if slices.Contains(segments, ".") || slices.Contains(segments, "..") {
		return "", false
	}
	asked := "/" + strings.Join(segments, "/")
	if s.offers(w, r, asked) {
		return asked, false
	}
	prefixes := make([]string, 0, len(s.Mounts))
	for i := range s.Mounts {
		prefixes = append(prefixes, s.Mounts[i].Prefix)
	}
	// What is below a longer prefix is below a shorter one, too.
	slices.SortFunc(prefixes, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, prefix := range prefixes {
		if rest, twice := strings.CutPrefix(asked, prefix+version+"/"); twice && s.offers(w, r, prefix+"/"+rest) {
			return prefix + "/" + rest, false
		}
		base, versioned := strings.CutSuffix(prefix, version)
		rest, below := strings.CutPrefix(asked, base+"/")
		if versioned && below && s.offers(w, r, prefix+"/"+rest) {
			return prefix + "/" + rest, true
		}
	}
	return "", false
}

// offers reports whether there is a route at a path, by any method, in the dialect that is spoken there without a key.
func (s *server) offers(w *reply, r *http.Request, path string) bool {
	_, pattern := s.mux.Handler(&http.Request{Method: http.MethodGet, Host: r.Host, URL: &url.URL{Path: path}})
	at, ok := s.mounted[pattern]
	if !ok {
		return false
	}
	c := s.newCall(at.mount, w, r)
	for method := range at.route.Methods {
		if at.route.serves(c, method) {
			return true
		}
	}
	return false
}
