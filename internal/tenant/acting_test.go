package tenant_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/tenant"
)

// registry finds tenants by id and by name.
type registry struct {
	tenants []store.Tenant
	err     error
}

func (g registry) find(matches func(store.Tenant) bool) (store.Tenant, error) {
	for _, t := range g.tenants {
		if matches(t) {
			return t, g.err
		}
	}
	return store.Tenant{}, errors.Join(store.ErrNotFound, g.err)
}

// Tenant implements tenant.Finder.
func (g registry) Tenant(_ context.Context, id string) (store.Tenant, error) {
	return g.find(func(t store.Tenant) bool { return t.ID == id })
}

// TenantNamed implements tenant.Finder.
func (g registry) TenantNamed(_ context.Context, name string) (store.Tenant, error) {
	return g.find(func(t store.Tenant) bool { return t.Name == name })
}

func TestWhoMayActForWhom(t *testing.T) {
	t.Parallel()
	// Somebody has called a tenant by the id of another: the id stands for its owner.
	all := registry{tenants: []store.Tenant{{ID: "id-1", Name: "acme"}, {ID: "id-2", Name: "beta"}, {ID: "id-3", Name: "id-2"}}}
	plain := tenant.Identity{Tenant: "id-1", TenantName: "acme", KeyID: "key_1"}
	admin := plain
	admin.Operator, admin.Admin = true, true
	operator := plain
	operator.Operator = true // where no key is asked for on a network
	for name, c := range map[string]struct {
		who     tenant.Identity
		headers []string
		query   string
		want    string // the tenant's id, or the class of the refusal
	}{
		"nobody named":               {plain, nil, "", "id-1"},
		"own by id":                  {plain, []string{"id-1"}, "", "id-1"},
		"own by name":                {plain, nil, "?tenant=acme", "id-1"},
		"own twice":                  {plain, []string{"acme"}, "?tenant=acme", "id-1"},
		"another":                    {plain, []string{"beta"}, "", "forbidden"},
		"another by query":           {plain, nil, "?tenant=beta", "forbidden"},
		"nobody's":                   {plain, []string{"none"}, "", "forbidden"},
		"empty":                      {plain, []string{""}, "", "invalid"},
		"empty beside its own":       {plain, []string{"acme"}, "?tenant=", "invalid"},
		"two":                        {plain, []string{"acme"}, "?tenant=beta", "invalid"},
		"two headers":                {plain, []string{"acme", "beta"}, "", "invalid"},
		"an operator without a key":  {operator, []string{"beta"}, "", "forbidden"},
		"an admin":                   {admin, nil, "", "id-1"},
		"an admin for another":       {admin, []string{"beta"}, "", "id-2"},
		"an admin for an id":         {admin, nil, "?tenant=id-2", "id-2"},
		"an admin for its own":       {admin, []string{"acme"}, "", "id-1"},
		"an admin for nobody":        {admin, []string{"none"}, "", "not found"},
		"an admin for an empty name": {admin, []string{""}, "", "invalid"},
		"an admin for two":           {admin, nil, "?tenant=acme&tenant=beta", "invalid"},
	} {
		r := httptest.NewRequest("GET", "/v1/batches"+c.query, nil)
		for _, h := range c.headers {
			r.Header.Add("X-Batchd-Tenant", h)
		}
		who, err := c.who.Act(r, all)
		var fault *batch.Error
		switch {
		case errors.As(err, &fault):
			classes := map[batch.Class]string{batch.Forbidden: "forbidden", batch.Invalid: "invalid", batch.NotFound: "not found"}
			if classes[fault.Class] != c.want || who != (tenant.Identity{}) {
				t.Errorf("%s: refused with %v, %+v, want %s", name, fault, who, c.want)
			}
		case err != nil || who.Tenant != c.want || who.Acting != (c.want != "id-1") || who.KeyID != "key_1":
			t.Errorf("%s: %+v, %v, want %s", name, who, err, c.want)
		}
	}
	r := httptest.NewRequest("GET", "/v1/batches?tenant="+strings.Repeat("x", 5000), nil)
	for _, who := range []tenant.Identity{plain, admin} {
		if _, err := who.Act(r, all); err == nil || len(err.Error()) > 500 {
			t.Errorf("an endless name: %.600v", err)
		}
	}
	broken := errors.New("the disk is gone")
	all.err = broken
	r = httptest.NewRequest("GET", "/v1/batches?tenant=beta", nil)
	if who, err := admin.Act(r, all); !errors.Is(err, broken) || who != (tenant.Identity{}) {
		t.Errorf("%+v, %v", who, err)
	}
}

// TestWithoutKeysOnlyTheMachineItselfIsAnAdmin calls a server on loopback as its own machine does, and as a proxy or a page does.
func TestWithoutKeysOnlyTheMachineItselfIsAnAdmin(t *testing.T) {
	t.Parallel()
	open := tenant.Open{Tenant: "id-1", Hosts: tenant.NewHosts("127.0.0.1:8080", "batch.example.com"), Admin: true}
	for name, c := range map[string]struct {
		host    string
		headers []string
		want    bool
	}{
		"by address":         {"127.0.0.1:8080", nil, true},
		"by IPv6 address":    {"[::1]:8080", nil, true},
		"by name":            {"localhost:8080", nil, true},
		"its own page":       {"localhost:8080", []string{"Origin", "http://localhost:8080"}, true},
		"another host":       {"batch.example.com", nil, false},
		"another address":    {"192.0.2.1:8080", nil, false},
		"a listed page":      {"localhost:8080", []string{"Origin", "https://batch.example.com"}, false},
		"a proxy":            {"127.0.0.1:8080", []string{"X-Forwarded-For", "192.0.2.1"}, false},
		"a proxy by RFC7239": {"127.0.0.1:8080", []string{"Forwarded", "for=192.0.2.1"}, false},
		"a proxy by Via":     {"127.0.0.1:8080", []string{"Via", "1.1 proxy"}, false},
		"nginx":              {"127.0.0.1:8080", []string{"X-Real-Ip", "192.0.2.1"}, false},
	} {
		r := httptest.NewRequest("GET", "/v1/batches", nil)
		r.Host = c.host
		for i := 0; i < len(c.headers); i += 2 {
			r.Header.Set(c.headers[i], c.headers[i+1])
		}
		who, err := open.Authenticate(r)
		if err != nil || !who.Operator || who.Admin != c.want || who.OpensContent {
			t.Errorf("%s: %+v, %v, want an admin: %v", name, who, err, c.want)
		}
	}
	open.Admin = false
	r := httptest.NewRequest("GET", "/v1/batches", nil)
	r.Host = "localhost"
	if who, err := open.Authenticate(r); err != nil || who.Admin {
		t.Errorf("on a network: %+v, %v", who, err)
	}
}
