package httpapi_test

import (
	"net/http"
	"testing"

	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
	"batchd/internal/tenant"
)

func TestEachPrefixDescribesItsDialectToAnybody(t *testing.T) {
	t.Parallel()
	usual, hosted := openai.New(openai.Options{}), described{openai.New(openai.Options{})}
	f := newFixture(t, func(o *options) {
		o.Mounts[0].Dialect = usual
		o.Mounts[0].Choose = func(r *http.Request, who tenant.Identity) (dialect.Profile, bool) {
			return server().Profile(hosted), r.Host == "hosted.example" || who.Tenant != ""
		}
	})
	w := f.do("GET", "/v1/openapi.json", "", "Authorization", "Bearer wrong")
	if got := f.want(w, 200); got != string(usual.Description()) || got == "{}" {
		t.Errorf("described as %.100s", got)
	}
	if h := w.Header(); h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") == "" {
		t.Errorf("headers %v", h)
	}
	object(t, w.Body.String())
	if got := f.want(f.do("GET", "http://hosted.example/v1/openapi.json", ""), 200); got != `{"openapi":"of the host"}` {
		t.Errorf("on its host: %s", got)
	}
	if w := f.do("POST", "/v1/openapi.json", ""); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

// described is a dialect with a description that is easy to tell.
type described struct{ *openai.Dialect }

func (described) Description() []byte { return []byte(`{"openapi":"of the host"}`) }
