// Package upstream sends request bodies, unchanged, to the inference servers behind batchd and sorts what comes
// back. One call has one dispatch.Answer. It decides nothing about when to call or whether to try again; it says what each answer
// means for the line and for the way it took, in package limit's words.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"batchd/internal/dispatch"
)

// Upstream is one inference server, or a gateway to many. Its methods may be called concurrently.
type Upstream struct {
	name string
	base *url.URL
	// targets maps endpoints to the *url.URL of calls there.
	targets    sync.Map
	transport  *http.Transport
	credential *credential
	// headers go out with every call. The slices in it are shared by all calls and never changed.
	headers  http.Header
	ids      idHeaders
	timeouts Timeouts
	now      func() time.Time
	steady   func() time.Time
	log      *slog.Logger
	metrics  *metrics

	bodies  *bodyReader
	decoder decoder
	models  models
}

var _ dispatch.Upstream = (*Upstream)(nil)

// New returns the upstream that c describes. It makes no call. Its errors name no secret.
func New(c Config, o Options) (*Upstream, error) {
	o = o.withDefaults()
	base, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	extra, err := checkHeaders(c.Headers)
	if err != nil {
		return nil, err
	}
	// What every call sends besides its key and its ids.
	headers := http.Header{
		"Accept": {"application/json"}, "Accept-Encoding": {"identity"},
		"Content-Type": {"application/json"}, "User-Agent": {o.UserAgent},
	}
	maps.Copy(headers, extra)
	ids, err := newIDHeaders(c, headers)
	if err != nil {
		return nil, err
	}
	cred, err := newCredential(c.APIKey, base.User, o.Now)
	if err != nil {
		return nil, fmt.Errorf("upstream %s: %w", label(base), err)
	}
	if c.Concurrency <= 0 {
		c.Concurrency = defaultConcurrency
	}
	base.User = nil // it would reach the errors of net/url
	transport, err := newTransport(base, c.Concurrency, o)
	if err != nil {
		return nil, fmt.Errorf("upstream %s: %w", label(base), err)
	}
	m, err := newMetrics(o.Registerer, label(base))
	if err != nil {
		return nil, fmt.Errorf("upstream %s: %w", label(base), err)
	}
	u := &Upstream{
		name: label(base), base: base, transport: transport, credential: cred, headers: headers, ids: ids,
		timeouts: o.Timeouts, now: o.Now, steady: o.Steady, log: o.Logger.With("upstream", label(base)), metrics: m,
		bodies: newBodyReader(o), models: models{configured: len(c.Models) > 0},
	}
	if u.models.configured {
		u.models.set(c.Models)
	}
	return u, nil
}

// parseURL checks a base URL. Its errors never repeat the URL, which may hold a password.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("upstream url: not a URL")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("upstream url: want http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("upstream url: no host")
	case u.Fragment != "":
		return nil, errors.New("upstream url: a fragment (#…) is never sent")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// checkHeaders returns the headers in canonical form.
func checkHeaders(in map[string]string) (http.Header, error) {
	out := make(http.Header, len(in))
	for name, value := range in {
		key := http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name):
			return nil, fmt.Errorf("upstream header %q: not a header name", name)
		case slices.Contains(framingHeaders, key), slices.Contains(lineHeaders, key):
			return nil, fmt.Errorf("upstream header %q: may not be set", name)
		case !isHeaderValue(value):
			return nil, fmt.Errorf("upstream header %q: the value has control characters or is longer than 8 KiB", name)
		}
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("upstream header %q: given twice", name)
		}
		out[key] = []string{value}
	}
	return out, nil
}

// label is the upstream's name for people and metrics: no scheme, user, password or query, any of which may be
// secret or noise.
func label(u *url.URL) string { return u.Host + u.EscapedPath() }

// Name returns host, port and path, for logs and metrics.
func (u *Upstream) Name() string { return u.name }

// String returns the name, so that printing an upstream never shows a secret.
func (u *Upstream) String() string { return u.name }

// Close closes the idle connections. Calls that run are not touched.
func (u *Upstream) Close() { u.transport.CloseIdleConnections() }

// target returns the URL of an endpoint, which is not to be changed: calls share it. There are as many as batches may name.
func (u *Upstream) target(endpoint string) *url.URL {
	if known, ok := u.targets.Load(endpoint); ok {
		return known.(*url.URL) //nolint:errcheck // nothing else is stored
	}
	path := endpoint
	if rest, ok := strings.CutPrefix(path, "/v1/"); ok {
		path = "/" + rest
	}
	t := *u.base
	t.Path += path
	if t.RawPath != "" {
		t.RawPath += path
	}
	u.targets.Store(endpoint, &t)
	return &t
}

// authorized returns the headers of a call. A key that cannot be read any more is no reason to stop: the one in use
// stays.
func (u *Upstream) authorized(ctx context.Context) http.Header {
	auth, err := u.credential.value()
	if err != nil {
		u.log.LogAttrs(ctx, slog.LevelError, "api key cannot be read; the last one stays in use", slog.Any("error", err))
	}
	return u.with(auth)
}

// with returns the headers of a call with a credential, nil for none.
func (u *Upstream) with(auth []string) http.Header {
	h := make(http.Header, len(u.headers)+3)
	if auth != nil {
		h["Authorization"] = auth
	}
	maps.Copy(h, u.headers)
	return h
}
