package httpapi_test

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/neosantara"
	"batchd/internal/dialect/novita"
	"batchd/internal/dialect/openai"
	"batchd/internal/dialect/own"
	"batchd/internal/dialect/vendors"
	"batchd/internal/httpapi"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
	"batchd/internal/tenant"
)

// mountVendors mounts every dialect the way a server does that was told nothing, or to be strict. Under /v1 a key may
// choose. It returns the dialects by their names.
func mountVendors(o *options, strict bool) map[string]dialect.Dialect {
	random := counting()
	byName := map[string]dialect.Dialect{
		openai.Name:     openai.New(openai.Options{Strict: strict, Random: random}),
		novita.Name:     novita.New(novita.Options{Strict: strict, Random: random}),
		neosantara.Name: neosantara.New(neosantara.Options{Strict: strict, Random: random}),
	}
	profiles := make(map[string]dialect.Profile)
	choose := func(r *http.Request, who tenant.Identity) (dialect.Profile, bool) {
		name, _ := vendors.ForQuery(r.URL.Query())
		p, ok := profiles[cmp.Or(who.Dialect, name)]
		return p, ok
	}
	o.Mounts = []httpapi.Mount{
		{Prefix: "/v1", Choose: choose},
		{Prefix: own.Prefix, Profile: own.Profile(server(), own.New(random))},
	}
	for _, v := range vendors.All() {
		settings, rules := v.DefaultSettings(), server()
		if strict {
			settings["strict"] = "true"
		}
		if v.Defaults != nil {
			if d, ok := v.Defaults(settings); ok {
				rules.Limits.MaxLines, rules.Limits.MaxFileBytes = d.MaxLines, d.MaxFileBytes
				rules.Windows, rules.AnyWindow, rules.OutputTTL = d.Windows, false, d.OutputTTL
			}
		}
		p, err := v.Profile(settings, rules)
		if err != nil {
			panic(err) // the defaults are good
		}
		p.Dialect = byName[v.Name] // with ids that can be foretold
		profiles[v.Name] = p
		if v.Prefix != "" {
			o.Mounts = append(o.Mounts, httpapi.Mount{Prefix: v.Prefix, Profile: p, Choose: choose})
		}
		for _, alias := range v.Aliases {
			o.Mounts = append(o.Mounts, httpapi.Mount{Prefix: alias, Profile: p, Choose: choose})
		}
	}
	o.Mounts[0].Profile = profiles[openai.Name]
	o.Upstreams = func() []batch.Upstream { return nil }
	return byName
}

// demandKeys makes a server take no call without a key, by the authenticator that servers have. The keys are those that
// addKeys stores.
func demandKeys(o *options) {
	if s, ok := o.Store.(*sqlite.Store); ok {
		o.Auth = tenant.NewKeys(s, o.Now)
	}
}

// addKeys stores the keys "ours", "theirs", "revoked" and "expired", of which the last two were ours, for each vendor a key of
// ours by its name, and "admin" and "content", which are ours too: an admin's without and with content.
func (f *fixture) addKeys() {
	f.t.Helper()
	err := f.store.CreateTenant(f.t.Context(), store.Tenant{ID: theirs, Name: "theirs", CreatedAt: now, Weight: 1})
	for _, k := range []struct {
		text string
		key  store.Key
	}{
		{"ours", store.Key{Tenant: ours}},
		{"theirs", store.Key{Tenant: theirs}},
		{"admin", store.Key{Tenant: ours, Role: store.RoleAdmin}},
		{"content", store.Key{Tenant: ours, Role: store.RoleAdmin, OpensContent: true}},
		{"revoked", store.Key{Tenant: ours, RevokedAt: now}},
		{"expired", store.Key{Tenant: ours, ExpiresAt: now}},
		{openai.Name, store.Key{Tenant: ours, Dialect: openai.Name}},
		{novita.Name, store.Key{Tenant: ours, Dialect: novita.Name}},
		{neosantara.Name, store.Key{Tenant: ours, Dialect: neosantara.Name}},
	} {
		if err != nil {
			break
		}
		k.key.ID, k.key.Hash, k.key.CreatedAt = tenant.IDOf(k.text), tenant.HashOf(k.text), now.Add(-time.Hour)
		err = f.store.CreateKey(f.t.Context(), k.key)
	}
	if err == nil {
		err = f.store.EndKey(f.t.Context(), tenant.IDOf("revoked"), now)
	}
	if err != nil {
		f.t.Fatalf("add keys: %v", err)
	}
}

// TestTheWholeProfileOfTheKeysDialectHolds makes calls under /v1 with keys of every dialect: limits, windows, retention
// and pages are those of the vendor, as under its own prefix.
func TestTheWholeProfileOfTheKeysDialectHolds(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) {
		mountVendors(o, true)
		demandKeys(o)
		inner := o.Mounts[0].Choose
		o.Mounts[0].Choose = func(r *http.Request, who tenant.Identity) (dialect.Profile, bool) {
			p, ok := inner(r, who)
			if who.Dialect == novita.Name {
				p.Limits.MaxLines = 2 // in place of 50,000
			}
			return p, ok
		}
	})
	f.addKeys()
	for _, tc := range []struct {
		key, window string
		tooLong     bool
		overLimit   int
		days        int64
	}{
		{key: openai.Name, window: "24h", overLimit: 400, days: 30},
		{key: novita.Name, window: "48h", tooLong: true, overLimit: 200, days: 15},
		{key: neosantara.Name, window: "24h", overLimit: 200},
	} {
		t.Run(tc.key, func(t *testing.T) {
			auth := []string{"Authorization", "Bearer " + tc.key}
			at := f.on(t)
			file := at.mustUpload(strings.Repeat(goodLine, 3), auth...)
			create := func(window string) *httptest.ResponseRecorder {
				return at.do("POST", "/v1/batches", strings.Replace(createBody(file), "24h", window, 1), auth...)
			}
			if got, want := create(tc.window).Code != 200, tc.tooLong; got != want {
				t.Errorf("3 lines, window %s: refused %v, want %v", tc.window, got, want)
			}
			if w := create("1h"); w.Code != 400 {
				t.Errorf("window 1h: %d, want the vendor's windows alone", w.Code)
			}
			stored, err := at.store.File(t.Context(), ours, file, now)
			if err != nil {
				t.Fatal(err)
			}
			if got := int64(stored.ExpiresAt.Sub(now) / (24 * time.Hour)); !stored.ExpiresAt.IsZero() && got != tc.days || stored.ExpiresAt.IsZero() && tc.days != 0 {
				t.Errorf("the file expires at %v, want after %d days", stored.ExpiresAt, tc.days)
			}
			if w := at.do("GET", "/v1/files?limit=0", "", auth...); w.Code != tc.overLimit {
				t.Errorf("limit=0: %d, want %d", w.Code, tc.overLimit)
			}
		})
	}
}
