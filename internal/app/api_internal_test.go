package app

import (
	"net/http/httptest"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/dialect/vendors"
	"batchd/internal/httpapi"
	"batchd/internal/tenant"
)

// The dialect of a call is that of its key, then of its host, then of its query, then of its prefix; and nothing is chosen under
// batchd's own.
func TestWhichDialectACallIsIn(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Dialect.Default, cfg.Dialect.Hosts = "neosantara", map[string]string{"api.example.com": "novita"}
	profiles, err := vendors.Profiles(cfg.Vendors, serverRules(cfg))
	if err != nil {
		t.Fatal(err)
	}
	mounts := make(map[string]httpapi.Mount)
	for _, m := range (&Engine{cfg: cfg, profiles: profiles}).mounts(nil, nil) {
		mounts[m.Prefix] = m
	}
	const other, azure = "http://other.example.com", "?limit=1&api-version=2024-10-21"
	for _, c := range []struct {
		url, prefix, query, key, want string
		lines                         int64
	}{
		{other, "/v1", "", "", "neosantara", 0},
		{"http://API.example.com:8080", "/v1", "", "", "novita", 50_000},
		{"http://api.example.com", "/v1", "", "openai", "openai", 0},
		{other, "/v1", "", "novita", "novita", 50_000},
		{other, "/v1", "", "gone", "neosantara", 0},
		{other, "/v1", azure, "", "openai", 0},
		{other, "/v1", azure, "novita", "novita", 50_000},
		{"http://api.example.com", "/v1", azure, "", "novita", 50_000},
		{other, "/openai/v1", "", "", "novita", 50_000},
		{other, "/openai/v1", "?limit=1", "", "novita", 50_000},
		{other, "/openai/v1", "?api-version", "", "openai", 0},
		{other, "/openai/v1", "", "openai", "openai", 0},
		{other, "/openai", "", "", "novita", 50_000},
		{other, "/openai", azure, "", "openai", 0},
		{other, "/openai", azure, "neosantara", "neosantara", 0},
		{other, "/v3/openai", azure, "", "openai", 0},
		{other, "/neosantara/v1", "", "", "neosantara", 0},
		{other, "/neosantara/v1", azure, "", "openai", 0},
		{"http://api.example.com", "/neosantara/v1", "", "", "novita", 50_000},
		{"http://api.example.com", "/batchd/v1", azure, "neosantara", "openai", 0},
		{other, "/batchd/v1", "", "novita", "openai", 0},
	} {
		m, ok := mounts[c.prefix]
		if !ok {
			t.Fatalf("nothing is mounted at %s", c.prefix)
		}
		p, chosen := m.Profile, false
		if m.Choose != nil {
			if p, chosen = m.Choose(httptest.NewRequest("GET", c.url+c.prefix+"/files"+c.query, nil), tenant.Identity{Dialect: c.key}); !chosen {
				p = m.Profile
			}
		}
		if p.Dialect.Name() != c.want || p.Limits.MaxLines != c.lines {
			t.Errorf("%s%s%s, key of %q: %s with %d lines, want %s with %d",
				c.url, c.prefix, c.query, c.key, p.Dialect.Name(), p.Limits.MaxLines, c.want, c.lines)
		}
	}
}

func TestBatchdsOwnPrefixHasTheServersLimitsWhateverIsStrict(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	for _, s := range cfg.Vendors {
		s["strict"] = "true"
	}
	cfg.Limits.MaxFileBytes = 300 * batch.MiB
	profiles, err := vendors.Profiles(cfg.Vendors, serverRules(cfg))
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{cfg: cfg, profiles: profiles}
	for _, m := range e.mounts(nil, nil) {
		if own := m.Prefix == "/batchd/v1"; own && (!m.Dialect.Extensions() || m.Limits != cfg.Limits) || !own && m.Dialect.Extensions() {
			t.Errorf("%s: takes what is ours: %v, limits %+v", m.Prefix, m.Dialect.Extensions(), m.Limits)
		}
	}
}
