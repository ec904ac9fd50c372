package upstream_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"batchd/internal/limit"
	"batchd/internal/upstream"
)

// paths answers each path so, and all others with 404 as FastAPI does.
func paths(bodies map[string]string) script {
	return func(c net.Conn, r *http.Request) {
		answer := reply(404, `{"detail":"Not Found"}`)
		if body, ok := bodies[r.URL.Path]; ok {
			answer = reply(200, body)
		}
		_, _ = io.WriteString(c, answer)
	}
}

func TestInspectFindsWhatTheFirstBatchWouldShow(t *testing.T) {
	t.Parallel()
	const list = `{"object":"list","data":[{"id":"m"}]}`
	finding := func(v1Missing bool, c limit.Condition) upstream.Finding {
		return upstream.Finding{Condition: c, V1Missing: v1Missing}
	}
	atRoot := func(play script) string { return strings.TrimSuffix(listen(t, play), "/v1") }
	for name, tc := range map[string]struct {
		url  string
		want upstream.Finding
	}{
		"a list":             {listen(t, paths(map[string]string{"/v1/models": list})), upstream.Finding{}},
		"a list at the root": {atRoot(paths(map[string]string{"/models": list, "/v1/models": list})), upstream.Finding{}},
		"no list anywhere":   {listen(t, paths(nil)), upstream.Finding{}},
		"another version":    {atRoot(paths(nil)) + "/api/paas/v4", upstream.Finding{}},
		"no list at the root": {atRoot(paths(nil)), finding(false, limit.Condition{
			Reason: limit.ReasonMisconfigured, Detail: "it has no list of models; is /v1 missing from its URL?", Status: 404, Message: "Not Found",
		})},
		"a busy root":           {atRoot(raw(reply(503, `{}`))), upstream.Finding{}},
		"a server that is busy": {listen(t, raw(reply(503, `{}`))), upstream.Finding{}},
		"/v1 is missing (F2-15)": {atRoot(paths(map[string]string{"/v1/models": list})), finding(true, limit.Condition{
			Reason: limit.ReasonMisconfigured, Detail: "its URL lacks /v1", Status: 404, Message: "Not Found",
		})},
		"/v1 is missing, and the root answers with a page": {
			atRoot(paths(map[string]string{"/models": "<html>", "/v1/models": list})),
			finding(true, limit.Condition{Reason: limit.ReasonMisconfigured, Detail: "its URL lacks /v1", Status: 200}),
		},
		"the key is refused": {
			listen(t, raw(reply(401, `{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}`))),
			finding(false, limit.Condition{
				Reason: limit.ReasonDenied, Status: 401, Code: "invalid_api_key", Message: "Incorrect API key provided",
			}),
		},
		"nobody listens": {refusing(t), finding(false, limit.Condition{
			Reason: limit.ReasonUnreachable, Detail: "refused",
		})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, upstream.Config{URL: tc.url}, upstream.Options{})
			got := u.Inspect(t.Context())
			if got.Reason != "" && got.Since.IsZero() {
				t.Error("no time")
			}
			if d := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(limit.Condition{}, "Since")); d != "" {
				t.Errorf("finding (-want +got):\n%s", d)
			}
			if _, known := u.Models(); known {
				t.Error("the list was taken for what the upstream serves")
			}
		})
	}
}
