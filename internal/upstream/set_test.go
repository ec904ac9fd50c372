package upstream_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/dispatch"
	"batchd/internal/upstream"
)

// listing returns an upstream whose /models answers so.
func listing(t *testing.T, status int, body string) *upstream.Upstream {
	t.Helper()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/models" || r.Method != http.MethodGet {
			status = http.StatusTeapot
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	return newUpstream(t, upstream.Config{URL: url}, upstream.Options{})
}

func TestModelsComeFromTheUpstream(t *testing.T) {
	t.Parallel()
	u := listing(t, 200, `{"object":"list","data":[{"id":"b","x":1},{"id":"a"},{"id":"b"},{"id":""}]}`)
	if _, known := u.Models(); known || !u.Serves("anything") {
		t.Error("before it was asked an upstream may serve any model")
	}
	if err := u.RefreshModels(t.Context()); err != nil {
		t.Fatal(err)
	}
	names, known := u.Models()
	if d := cmp.Diff([]string{"a", "b"}, names); d != "" || !known {
		t.Errorf("models (-want +got), known %v:\n%s", known, d)
	}
	for model, want := range map[string]bool{"a": true, "b": true, "A": true, "": false, "c": false} {
		if u.Serves(model) != want {
			t.Errorf("serves %q: %v", model, !want)
		}
	}
}

func TestAListThatCannotBeReadAllowsAnyModel(t *testing.T) {
	t.Parallel()
	for name, u := range map[string]*upstream.Upstream{
		"not found":   listing(t, 404, `{"data":[{"id":"a"}]}`),
		"not JSON":    listing(t, 200, `<html>`),
		"no models":   listing(t, 200, `{"data":[]}`),
		"other shape": listing(t, 200, `{"models":["a"]}`),
		"too long":    listing(t, 200, `{"data":[{"id":"`+strings.Repeat("a", 5<<20)+`"}]}`),
	} {
		if err := u.RefreshModels(t.Context()); err == nil || !strings.Contains(err.Error(), u.Name()) {
			t.Errorf("%s: error %v, want one that names the upstream", name, err)
		}
		if !u.Serves("b") {
			t.Errorf("%s: does not serve", name)
		}
	}
}

func TestAListStaysWhenItCannotBeReadAgain(t *testing.T) {
	t.Parallel()
	up := true
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if !up {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `{"data":[{"id":"a"}]}`)
	})
	u := newUpstream(t, upstream.Config{URL: url}, upstream.Options{})
	if err := u.RefreshModels(t.Context()); err != nil {
		t.Fatal(err)
	}
	up = false
	if err := u.RefreshModels(t.Context()); err == nil || u.Serves("b") || !u.Serves("a") {
		t.Errorf("error %v, serves b %v, serves a %v", err, u.Serves("b"), u.Serves("a"))
	}
}

func TestSetRoutesByModel(t *testing.T) {
	t.Parallel()
	a := listing(t, 200, `{"data":[{"id":"a"},{"id":"ab"}]}`)
	b := listing(t, 200, `{"data":[{"id":"b"},{"id":"ab"}]}`)
	down := listing(t, 500, ``)
	listed := newUpstream(t, upstream.Config{URL: "http://nobody.invalid/v1", Models: []string{"c"}}, upstream.Options{})
	alone := listing(t, 200, `{"data":[{"id":"a"}]}`)
	bound := newUpstream(t, upstream.Config{URL: "http://nobody.invalid/v1", Models: []string{"c"}}, upstream.Options{})
	cases := map[string]struct {
		set   *upstream.Set
		model string
		want  []*upstream.Upstream
	}{
		"one of two":                     {upstream.NewSet(a, b), "b", []*upstream.Upstream{b}},
		"both":                           {upstream.NewSet(a, b), "ab", []*upstream.Upstream{a, b}},
		"none":                           {upstream.NewSet(a, b), "c", nil},
		"one that cannot be read":        {upstream.NewSet(a, down), "c", []*upstream.Upstream{down}},
		"a list of the operator's":       {upstream.NewSet(a, listed), "c", []*upstream.Upstream{listed}},
		"the only one takes any":         {upstream.NewSet(alone), "c", []*upstream.Upstream{alone}},
		"unless the operator has spoken": {upstream.NewSet(bound), "d", nil},
	}
	for name, tc := range cases {
		_ = tc.set.RefreshModels(t.Context()) // one of them is down, which is no error here
		got := tc.set.Serving(nil, tc.model)
		if !cmp.Equal(got, tc.want, cmp.Comparer(func(x, y *upstream.Upstream) bool { return x == y })) {
			t.Errorf("%s: serving %v, want %v", name, got, tc.want)
		}
		if known := tc.set.Known(tc.model); known != (len(tc.want) > 0) {
			t.Errorf("%s: known %v", name, known)
		}
	}
}

func TestF2_43AModelIsFoundWithoutItsTagAndAskedForByItsListedName(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 2)
	ollama := func(list string) *upstream.Upstream {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				body, _ := io.ReadAll(r.Body)
				asked <- string(body)
				_, _ = io.WriteString(w, chatAnswer)
				return
			}
			_, _ = io.WriteString(w, list)
		})
		return newUpstream(t, upstream.Config{URL: url}, upstream.Options{})
	}
	set := upstream.NewSet(ollama(`{"data":[{"id":"llama3:latest"},{"id":"qwen:7b"}]}`), ollama(`{"data":[{"id":"llama3:latest"}]}`))
	if err := set.RefreshModels(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(set.Serving(nil, "llama3")); got != 2 || !set.Known("llama3") || set.Known("qwen") {
		t.Errorf("%d upstreams serve llama3, known %v; qwen known %v", got, set.Known("llama3"), set.Known("qwen"))
	}
	for _, u := range set.Upstreams() {
		a := u.Call(t.Context(), dispatch.Call{Endpoint: "/v1/chat/completions", Model: "llama3", Body: []byte(`{"model":"llama3","n":1}`)})
		_ = a.Outcome.Body.Close()
		if got := <-asked; got != `{"model":"llama3:latest","n":1}` {
			t.Errorf("asked with %s", got)
		}
	}
}

func TestRefreshNamesEveryUpstreamThatFailed(t *testing.T) {
	t.Parallel()
	a, b := listing(t, 500, ""), listing(t, 500, "")
	err := upstream.NewSet(a, listing(t, 200, `{"data":[{"id":"x"}]}`), b).RefreshModels(t.Context())
	if err == nil || !strings.Contains(err.Error(), a.Name()) || !strings.Contains(err.Error(), b.Name()) {
		t.Errorf("error %v", err)
	}
}

func TestANilSetKnowsEveryModel(t *testing.T) {
	t.Parallel()
	var s *upstream.Set
	if !s.Known("m") || s.Serving(nil, "m") != nil || s.Upstreams() != nil || s.RefreshModels(context.Background()) != nil {
		t.Error("a nil set must know every model and have no upstream")
	}
	s.Close()
}
