package httpapi_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"batchd/internal/blob"
	"batchd/internal/httpapi"
	"batchd/internal/tenant"
)

// checkOthersTenants demands that a tenant's key is told the same of every other tenant, whether there is one or not, and
// that no admin reaches what a file of another tenant holds without a key for content.
func (c *cell) checkOthersTenants() {
	c.t.Helper()
	if !c.offered {
		return // as it is without a tenant: nothing of the call is looked at
	}
	for _, o := range []operands{c.own, c.foreign, {absent(c.own.named + "-"), absent(c.own.referred + "-")}} {
		var want string
		for _, name := range []string{"theirs", theirs, "nobody"} {
			w := c.call("ours for "+name, o)
			got := strings.ReplaceAll(w.Body.String(), "'"+name+"'", "NAME")
			if w.Code != http.StatusForbidden || want != "" && got != want {
				c.t.Errorf("a tenant's key acts for %s: %d %s\nwant 403 and\n%s", name, w.Code, got, want)
			}
			want = got
		}
		for _, key := range []string{"admin", "content"} {
			if w := c.call(key+" for nobody", o); w.Code != http.StatusNotFound || !c.silent() && !strings.Contains(w.Body.String(), "'nobody'") {
				c.t.Errorf("%s acts for nobody: %d %s", key, w.Code, w.Body)
			}
		}
		if !c.content {
			continue
		}
		for _, name := range []string{"theirs", theirs} {
			if w := c.call("admin for "+name, o); w.Code != http.StatusForbidden || !c.silent() && !strings.Contains(w.Body.String(), "--content") {
				c.t.Errorf("an admin without content acts for %s: %d %s", name, w.Code, w.Body)
			}
		}
	}
	if c.content == c.actFor {
		c.t.Errorf("the route lets any admin act for others: %v; the call is about content: %v", c.actFor, c.content)
	}
}

// silent reports whether the answers to the cell's call have no body.
func (c *cell) silent() bool { return c.method == http.MethodHead }

// checkActing demands that whoever may act for the other tenant finds what is theirs, and nothing of its own.
func (c *cell) checkActing() {
	c.t.Helper()
	for _, key := range []string{"admin", "content"} {
		if !c.offered || key == "admin" && c.content {
			continue
		}
		own, foreign := c.operands("ours"), c.operands("theirs")
		acting := key + " for theirs"
		if own != (operands{}) {
			none := operands{absent(own.named), absent(own.referred)}
			got, want := shown(c.call(acting, own), own.named, own.referred), shown(c.call(acting, none), none.named, none.referred)
			if got != want {
				c.t.Errorf("%s, acting for another, finds its own:\n%s\nwant\n%s", key, got, want)
			}
		}
		w := c.call(acting, foreign)
		if w.Code != http.StatusOK {
			c.t.Errorf("%s, acting for the other tenant: %d %s", key, w.Code, w.Body)
		}
		if got := w.Body.String(); c.method == http.MethodGet && strings.HasSuffix(c.path, "/content") && !strings.Contains(got, secret) {
			c.t.Errorf("%s, acting for the other tenant, is sent %s", key, got)
		}
	}
	// Its own tenant may be named by anybody, and changes nothing.
	for _, key := range []string{"ours for default", "content for " + ours} {
		want := http.StatusOK
		if c.operator && strings.HasPrefix(key, "ours") {
			want = http.StatusForbidden // for any tenant's key, whomever it names
		}
		if w := c.call(key, c.operands("ours")); c.offered && w.Code != want {
			c.t.Errorf("%s, which is its own tenant: %d %s, want %d", key, w.Code, w.Body, want)
		}
	}
}

// TestWhoActedForWhomIsInTheLog looks at the lines of calls: those of an admin for another tenant name both, and stand in a
// log of level info if they change something or are about content.
func TestWhoActedForWhomIsInTheLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f := newFixture(t, func(o *options) {
		mountVendors(o, false)
		demandKeys(o)
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	f.addKeys()
	seed := &seeder{fixture: f, blobs: blob.NewStore(f.objects, blob.Options{}), dialects: mountVendors(&options{}, false)}
	seed.seed("batch in_progress id=batch_1 tenant=theirs\nfile id=file-1 tenant=theirs\nbatch in_progress id=batch_2")
	for _, c := range []struct {
		key, method, target, level string
		acts                       bool
	}{
		{"admin", "GET", "/v1/batches/batch_2", "DEBUG", false},
		{"ours", "POST", "/v1/batches/batch_2/cancel", "DEBUG", false},
		{"admin", "GET", "/v1/batches/batch_1?tenant=theirs", "DEBUG", true},
		{"admin", "POST", "/v1/batches/batch_1/cancel?tenant=theirs", "INFO", true},
		{"admin", "GET", "/v1/files/file-1/content?tenant=theirs", "INFO", true},
		{"content", "GET", "/v1/files/file-1/content?tenant=theirs", "INFO", true},
		{"content", "DELETE", "/v1/files/file-1?tenant=theirs", "INFO", true},
	} {
		log.Reset()
		f.do(c.method, c.target, "", "Authorization", "Bearer "+c.key)
		line := log.String()
		acts := strings.Contains(line, "key="+tenant.IDOf(c.key)) && strings.Contains(line, "tenant="+theirs)
		if strings.Count(line, "\n") != 1 || !strings.Contains(line, "level="+c.level+" ") || acts != c.acts {
			t.Errorf("%s: %s %s is logged as %s", c.key, c.method, c.target, line)
		}
	}
}

// TestReasonsThatNameTenantsAreForOperators holds for what the server itself has to say; hosts of upstreams are another matter.
func TestReasonsThatNameTenantsAreForOperators(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) {
		mountVendors(o, false)
		demandKeys(o)
		o.Local = byKey{}
		o.Ready = func() httpapi.Readiness {
			return httpapi.Readiness{Reasons: []string{"for all"}, Private: []string{"batch_1 of acme"}}
		}
	})
	f.addKeys()
	for key, want := range map[string]bool{"": false, "ours": false, "revoked": false, "admin": true, "content": true} {
		body := f.want(f.do("GET", "/readyz", "", "Authorization", "Bearer "+key), 200)
		if strings.Contains(body, "acme") != want || !strings.Contains(body, "for all") {
			t.Errorf("key %q is told %s", key, body)
		}
	}
}
