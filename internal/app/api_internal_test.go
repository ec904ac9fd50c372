package app

import (
	"testing"

	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/dialect/vendors"
	"batchd/internal/tenant"
)

func TestTheProfileUnderV1FollowsTheKeyThenTheHostThenTheDefault(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Dialect.Default, cfg.Dialect.Hosts = "neosantara", map[string]string{"api.example.com": "novita"}
	profiles, err := vendors.Profiles(cfg.Vendors, serverRules(cfg))
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{cfg: cfg, profiles: profiles}
	first := e.mounts(nil, nil)[0]
	if first.Prefix != "/v1" {
		t.Fatalf("the first mount is %s", first.Prefix)
	}
	for _, c := range []struct {
		host, key, want string
		lines           int64
	}{
		{"other.example.com", "", "neosantara", 0},
		{"API.example.com:8080", "", "novita", 50_000},
		{"api.example.com", "openai", "openai", 0},
		{"other.example.com", "novita", "novita", 50_000},
		{"other.example.com", "gone", "neosantara", 0},
	} {
		p, ok := first.Choose(c.host, tenant.Identity{Dialect: c.key})
		if !ok {
			p = first.Profile
		}
		if p.Dialect.Name() != c.want || p.Limits.MaxLines != c.lines {
			t.Errorf("host %s, key of %q: %s with %d lines, want %s with %d", c.host, c.key, p.Dialect.Name(), p.Limits.MaxLines, c.want, c.lines)
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
