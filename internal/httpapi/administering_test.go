package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"batchd/internal/httpapi"
	"batchd/internal/store"
	"batchd/internal/tenant"
)

// order is how the matrix makes one call of an admin's route: with an id or a name in its path, and a body.
type order struct{ subject, body string }

// theirDelivery is what the matrix seeds: the delivery to we_1 of the failure of batch_2.
const theirDelivery = "wh_e1aa75eb8193ff33dc586f74bab97eda"

// orders has a row for every method of every route of admins.
func orders() map[string]order {
	key := tenant.IDOf("theirs")
	return map[string]order{
		"GET /admin/keys":                                   {},
		"POST /admin/keys":                                  {body: `{"tenant":"fresh"}`},
		"POST /admin/keys/{id}/revoke":                      {subject: key},
		"POST /admin/keys/{id}/rotate":                      {subject: tenant.IDOf("ours"), body: `{"overlap_seconds":60}`},
		"GET /admin/tenants":                                {},
		"PATCH /admin/tenants/{name}":                       {subject: "theirs", body: `{"weight":7}`},
		"GET /admin/tenants/{name}/callback_secret":         {subject: "theirs"},
		"POST /admin/tenants/{name}/callback_secret/rotate": {subject: "theirs"},
		"GET /admin/webhooks":                               {},
		"POST /admin/webhooks":                              {body: `{"url":"https://example.com/"}`},
		"DELETE /admin/webhooks/{id}":                       {subject: "we_1"},
		"POST /admin/webhooks/{id}/enable":                  {subject: "we_1"},
		"POST /admin/webhooks/{id}/rotate":                  {subject: "we_1"},
		"POST /admin/webhooks/{id}/test":                    {subject: "we_1"},
		"GET /admin/deliveries":                             {},
		"POST /admin/deliveries/{id}/redeliver":             {subject: theirDelivery},
		"GET /admin/batches":                                {},
		"GET /admin/upstreams":                              {},
	}
}

// TestI20EveryAdminsRouteWithEveryRole goes through the routes of admins: to a tenant's key all say the same, whatever it asks
// for, and do nothing; an admin's reach everything but what files hold. They are under batchd's own prefix alone.
func TestI20EveryAdminsRouteWithEveryRole(t *testing.T) {
	t.Parallel()
	rows := orders()
	for _, rt := range httpapi.Table(options{}.adminRoutes()) {
		if rt.Path == "/openapi.json" {
			continue // of every mount
		}
		for _, method := range rt.Methods {
			name := method + " " + rt.Path
			o, ok := rows[name]
			delete(rows, name)
			if !ok || !rt.Admin || rt.Open || len(rt.ActFor) > 0 {
				t.Errorf("%s has no row in the matrix, or is not for admins alone", name)
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				checkOrder(t, method, rt.Path, o)
			})
		}
	}
	for name := range rows {
		t.Errorf("%s is no route", name)
	}
}

func checkOrder(t *testing.T, method, path string, o order) {
	t.Helper()
	seed := &seeder{}
	f := newFixture(t, func(o *options) {
		seed.blobs, seed.dialects = o.Blobs, mountVendors(o, false)
		demandKeys(o)
		o.Upstreams = stands
	})
	f.addKeys()
	seed.fixture = f
	seed.seed("batch completed id=batch_1 total=1 tenant=theirs\nwebhook id=we_1 url=http://127.0.0.1:1/ tenant=theirs\n" +
		"batch failed id=batch_2 tenant=theirs\nattempt batch=batch_2 status=200")
	f.mustUpload(theirLine, "Authorization", "Bearer theirs")
	call := func(key, prefix, subject string) (int, string) {
		t.Helper()
		target := prefix + strings.NewReplacer("{id}", subject, "{name}", subject).Replace(path)
		w := f.do(method, target, o.body, "Authorization", "Bearer "+key)
		if strings.Contains(w.Body.String(), secret) || strings.Contains(w.Body.String(), "chat.completion\"") {
			t.Errorf("%s is shown what a file holds: %s", key, w.Body)
		}
		return w.Code, shown(w)
	}
	before := seen(t, f.store)
	subjects := []string{o.subject, "key_" + strings.Repeat("0", 32), "we_9", "ours", strings.Repeat("x", 5000)}
	if o.subject == "" {
		subjects = subjects[:1]
	}
	for key, want := range map[string]int{"": 401, "wrong": 401, "revoked": 401, "ours": 403, "theirs": 403, "novita": 403} {
		_, first := call(key, "/batchd/v1", o.subject)
		for _, subject := range subjects {
			if code, got := call(key, "/batchd/v1", subject); code != want || got != first {
				t.Errorf("key %q for %.50q: %s\nwant %d and\n%s", key, subject, got, want, first)
			}
		}
	}
	for _, prefix := range []string{"/v1", "/openai/v1", "/neosantara/v1"} {
		if code, got := call("content", prefix, o.subject); code != http.StatusNotFound {
			t.Errorf("under %s: %s", prefix, got)
		}
	}
	for _, subject := range subjects[1:] {
		if code, got := call("admin", "/batchd/v1", subject); code != http.StatusNotFound && code != http.StatusBadRequest {
			t.Errorf("%.50q, which is not there: %s", subject, got)
		}
	}
	if after := seen(t, f.store); after != before {
		t.Errorf("refused calls left\n%s\nafter\n%s", after, before)
	}
	if code, got := call("admin", "/batchd/v1", o.subject); code != http.StatusOK {
		t.Errorf("an admin: %s", got)
	}
}

// seen is everything that admins see and change.
func seen(t *testing.T, s store.Store) string {
	t.Helper()
	keys, err := s.ListKeys(t.Context(), "")
	tenants, tenantsErr := s.ListTenants(t.Context())
	webhooks, webhooksErr := s.ListWebhooks(t.Context(), "")
	if err != nil || tenantsErr != nil || webhooksErr != nil {
		t.Fatal(err, tenantsErr, webhooksErr)
	}
	deliveries, err := s.ListDeliveries(t.Context(), store.DeliveryQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for _, owner := range tenants {
		secret, _, err := s.CallbackSecret(t.Context(), owner.ID)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, secret)
	}
	return fmt.Sprint(keys, tenants, webhooks, deliveries, secrets)
}
