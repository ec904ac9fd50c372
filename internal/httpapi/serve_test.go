package httpapi_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
	"batchd/internal/httpapi"
	"batchd/internal/tenant"
)

func TestEveryResponseCarriesAFreshRequestID(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	form := regexp.MustCompile(`^req_[0-9a-f]{32}$`)
	seen := make(map[string]bool)
	for _, path := range []string{"/v1/files", "/v1/files", "/v1/nothing", "/v1/../x", "/healthz", "/", "/v1/files/x/content"} {
		h := f.do("GET", path, "", "X-Client-Request-Id", "mine").Header()
		id := h.Get("X-Request-Id")
		if !form.MatchString(id) || seen[id] {
			t.Errorf("%s: request id %q", path, id)
		}
		seen[id] = true
		if h.Get("Openai-Processing-Ms") == "" || h.Get("Openai-Version") != "2020-10-01" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}

func TestI18OddPathsAndIDsAreNotFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	id := f.mustUpload(goodLine)
	f.mustCreate(id)
	before := f.objects.count()
	odd := []string{
		"%2e%2e%2f", "..%5c", "..%2f..%2fetc%2fpasswd", "%00", "a%00b", "%ff", "*", "%27%20OR%201=1--", "a%0d%0aX-Evil:%201",
		"%2e%2e%2fbatches", strings.Repeat("x", 64<<10), id + "%20", id + "%2f", "%2f" + id, strings.ToUpper(id) + "é",
	}
	for _, o := range odd {
		for _, rt := range []struct{ method, path string }{
			{"GET", "/v1/files/%s"},
			{"DELETE", "/v1/files/%s"},
			{"GET", "/v1/files/%s/content"},
			{"GET", "/v1/batches/%s"},
			{"POST", "/v1/batches/%s/cancel"},
		} {
			got := faultOf(t, f.do(rt.method, strings.Replace(rt.path, "%s", o, 1), ""))
			if got.Status != 404 || len(got.Message) > 300 {
				t.Errorf("%s %s with %.40s: fault %d %.80s", rt.method, rt.path, o, got.Status, got.Message)
			}
		}
	}
	for _, path := range []string{
		"/v1/files/../batches", "/v1/./files", "/v1//files", "//v1/files", "/v1/files/", "/v1/", "/V1/files", "/v1/files/a/b/c", "/v1/files/..",
	} {
		if got := faultOf(t, f.do("GET", path, "")); got.Status != 404 {
			t.Errorf("GET %s: %d", path, got.Status)
		}
	}
	if f.objects.count() != before {
		t.Error("something was touched")
	}
	f.want(f.do("GET", "/v1/files/"+id, ""), 200)
}

func TestKeysThatCannotBeCheckedAreAnInternalError(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	if got := faultOf(t, f.do("GET", "/v1/files", "", "Authorization", "Bearer broken")); got.Status != 500 || strings.Contains(got.Message, "fire") {
		t.Errorf("fault %+v", got)
	}
	for _, open := range []string{"/healthz", "/v1/openapi.json"} {
		f.want(f.do("GET", open, "", "Authorization", "Bearer broken"), 200)
	}
}

func TestPanicIsAnErrorWithARequestIDLoggedOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f := newFixture(t, func(o *options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.Created = func(string) { panic("boom") }
	})
	w := f.do("POST", "/v1/batches", createBody(f.mustUpload(goodLine)))
	got := faultOf(t, w)
	id := w.Header().Get("X-Request-Id")
	if got.Status != 500 || got.Type != "server_error" || !strings.Contains(got.Message, id) || strings.Contains(got.Message, "boom") {
		t.Errorf("fault %+v", got)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "boom") {
		t.Errorf("log:\n%s", log.String())
	}
}

func TestReadyNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	var state httpapi.Readiness
	f := newFixture(t, func(o *options) { o.Ready = func() httpapi.Readiness { return state } })
	if got := f.want(f.do("GET", "/readyz", ""), 200); got != `{"status":"ok"}` {
		t.Errorf("ready: %s", got)
	}
	state.Problems = []string{"shutting down", "the disk takes nothing"}
	state.Reasons = []string{"disk nearly full"}
	want := "{\n  \"status\": \"not ready\",\n  \"problems\": [\n    \"shutting down\",\n    \"the disk takes nothing\"\n  ]\n}\n"
	if got := f.want(f.do("GET", "/readyz", ""), 503); got != want {
		t.Errorf("not ready: %s", got)
	}
	state.Problems = nil
	want = "{\n  \"status\": \"ok\",\n  \"reasons\": [\n    \"disk nearly full\"\n  ]\n}\n"
	if got := f.want(f.do("GET", "/readyz", ""), 200); got != want {
		t.Errorf("ready with a reason: %s", got)
	}
	f.want(f.do("GET", "/healthz", ""), 200)
}

func TestWhileAllConnectionsAreAtWorkOnlyWhatTakesNoTimeIsAnswered(t *testing.T) {
	t.Parallel()
	crowded := true
	f := newFixture(t, func(o *options) {
		o.Crowded = func(context.Context) bool { return crowded }
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics")) })
	})
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/v1/openapi.json"} {
		f.want(f.do("GET", path, ""), 200)
	}
	for _, call := range []string{"GET /v1/batches", "POST /v1/batches", "POST /v1/files", "GET /v1/files/file-a/content"} {
		method, path, _ := strings.Cut(call, " ")
		r := f.do(method, path, "")
		f.want(r, 503)
		if r.Header().Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", call)
		}
	}
	crowded = false
	f.want(f.do("GET", "/v1/batches", ""), 200)
}

func TestMetricsCountByRouteAndNeverByWhatClientsMakeUp(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	f := newFixture(t, func(o *options) {
		o.Registerer = reg
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics")) })
	})
	for _, path := range []string{"/v1/files/a", "/v1/files/b", "/v1/made/up", "/wp-admin"} {
		f.do("GET", path, "")
	}
	f.do("BREW", "/v1/files", "")
	if got := f.want(f.do("GET", "/metrics", ""), 200); got != "metrics" {
		t.Errorf("metrics: %s", got)
	}
	const want = `
# HELP batchd_http_requests_total Requests answered, by route, method and status.
# TYPE batchd_http_requests_total counter
batchd_http_requests_total{method="GET",route="/metrics",status="200"} 1
batchd_http_requests_total{method="GET",route="/v1/files/{id}",status="404"} 2
batchd_http_requests_total{method="GET",route="none",status="404"} 2
batchd_http_requests_total{method="other",route="/v1/files",status="405"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "batchd_http_requests_total"); err != nil {
		t.Error(err)
	}
}

// named is a dialect that differs from OpenAI's in name and in one message.
type named struct {
	*openai.Dialect
	name string
}

func (n named) Name() string { return n.name }

func (n named) DeletedFile(string) []byte { return []byte(`"deleted by ` + n.name + `"`) }

// everyone is an authenticator whose keys are made for the dialect they name.
type everyone struct{}

func (everyone) Authenticate(r *http.Request) (tenant.Identity, error) {
	return tenant.Identity{Tenant: ours, Dialect: r.Header.Get("X-Api-Key")}, nil
}

func TestMountsSpeakTheirDialectAndAKeyMayChooseAnother(t *testing.T) {
	t.Parallel()
	other := named{openai.New(openai.Options{}), "other"}
	keyed := named{openai.New(openai.Options{}), "keyed"}
	f := newFixture(t, func(o *options) {
		o.Auth = everyone{}
		o.Mounts[0].Choose = func(r *http.Request, who tenant.Identity) (dialect.Profile, bool) {
			return server().Profile(keyed), who.Dialect == "keyed" || r.Host == "keyed.example"
		}
		o.Mounts = append(o.Mounts, httpapi.Mount{Prefix: "/other/v1", Profile: server().Profile(other)})
	})
	for name, tc := range map[string]struct{ prefix, key, want string }{
		"first mount":    {"/v1", "", `{"id":"%","object":"file","deleted":true}`},
		"second mount":   {"/other/v1", "", `"deleted by other"`},
		"key of its own": {"/v1", "keyed", `"deleted by keyed"`},
		"fixed mount":    {"/other/v1", "keyed", `"deleted by other"`},
	} {
		t.Run(name, func(t *testing.T) {
			id := f.mustUpload(goodLine)
			w := f.do("DELETE", tc.prefix+"/files/"+id, "", "X-Api-Key", tc.key)
			if got, want := f.want(w, 200), strings.Replace(tc.want, "%", id, 1); got != want {
				t.Errorf("answer %s, want %s", got, want)
			}
		})
	}
}
