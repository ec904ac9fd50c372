package httpapi_test

import (
	"strings"
	"testing"

	"batchd/internal/tenant"
)

// TestB09RefusalsAreInTheShapeOfTheMount calls a server that asks for no keys under a foreign name, and from a page of
// another site.
func TestB09RefusalsAreInTheShapeOfTheMount(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) {
		mountVendors(o, false)
		o.Auth = tenant.Open{Tenant: ours, Hosts: tenant.NewHosts("127.0.0.1:8080", "example.com")}
	})
	const (
		wayOut = " Its operator can list the host in the setting allowed_hosts, or create API keys."
		name   = "This server asks for no key, so it does not answer to the host 'evil.test:80'." + wayOut
		page   = "This server asks for no key, so it takes no calls from web pages of other sites, as of 'http://evil.test'." + wayOut
		some   = `"type":"invalid_request_error"`
	)
	for prefix, shape := range map[string]struct{ host, page string }{
		"/v1": {
			`{"error":{"message":"` + name + `",` + some + `,"param":null,"code":"host_not_allowed"}}`,
			`{"error":{"message":"` + page + `",` + some + `,"param":null,"code":"origin_not_allowed"}}`,
		},
		"/openai/v1": {
			`{"code":421,"reason":"MISDIRECTED_REQUEST","message":"` + name + `","metadata":{},"error":{"message":"` + name + `",` + some + `,"param":null,"code":"host_not_allowed"}}`,
			`{"code":403,"reason":"FORBIDDEN","message":"` + page + `","metadata":{},"error":{"message":"` + page + `",` + some + `,"param":null,"code":"origin_not_allowed"}}`,
		},
		"/neosantara/v1": {
			`{"error":{"message":"` + name + `",` + some + `,"code":"host_not_allowed"}}`,
			`{"error":{"message":"` + page + `",` + some + `,"code":"origin_not_allowed"}}`,
		},
	} {
		// The name stands in an absolute target, which net/http puts into the request's host.
		if got := f.want(f.do("GET", "http://evil.test:80"+prefix+"/files", ""), 421); got != shape.host {
			t.Errorf("%s: got  %s\nwant %s", prefix, got, shape.host)
		}
		body, contentType := form(part{"purpose", "", "batch"}, part{"file", "in.jsonl", goodLine})
		w := f.do("POST", prefix+"/files", body, "Content-Type", contentType, "Origin", "http://evil.test")
		if got := f.want(w, 403); got != shape.page {
			t.Errorf("%s: got  %s\nwant %s", prefix, got, shape.page)
		}
		if got := f.want(f.do("GET", prefix+"/files", ""), 200); strings.Contains(got, "in.jsonl") {
			t.Errorf("%s: a refused upload left a file: %s", prefix, got)
		}
	}
	if n := f.objects.count(); n != 0 {
		t.Errorf("refused uploads left %d objects", n)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		f.want(f.do("GET", "http://evil.test"+path, "", "Origin", "http://evil.test", "Sec-Fetch-Site", "cross-site"), 200)
	}
}
