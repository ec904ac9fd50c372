package admin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"batchd/internal/admin"
	"batchd/internal/batch"
)

func TestWebhooksOfATenantAreListedOldestFirst(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.key(admin.NewKey{Tenant: "acme"})
	for i, tenant := range []string{"acme", "default", "acme"} {
		n := admin.NewWebhook{Tenant: tenant, URL: fmt.Sprintf("https://example.com/%d", i), Events: []string{"batch.failed", "batch.failed"}}
		w, err := d.AddWebhook(t.Context(), n)
		if err != nil || !slices.Equal(w.Events, []batch.Event{"batch.failed"}) || w.TenantName != tenant {
			t.Fatalf("got %+v, %v", w, err)
		}
	}
	for tenant, want := range map[string]string{"acme": "/0 /2", "default": "/1", "": "/0 /1 /2"} {
		webhooks, err := d.Webhooks(t.Context(), tenant)
		var got []string
		for _, w := range webhooks {
			got = append(got, strings.TrimPrefix(w.URL, "https://example.com"))
			if w.Secret != "" || w.Previous != "" {
				t.Errorf("a list holds secrets: %+v", w)
			}
		}
		if strings.Join(got, " ") != want || err != nil {
			t.Errorf("%q: got %v, %v, want %s", tenant, got, err, want)
		}
	}
}

func TestAnOldSecretIsToldOfWhileItSigns(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w, err := d.AddWebhook(t.Context(), admin.NewWebhook{Tenant: "default", URL: "https://example.com/"})
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := d.RotateWebhook(t.Context(), w.ID, time.Hour)
	if err != nil || rotated.Secret == w.Secret || rotated.Secret == "" || !rotated.PreviousUntil.Equal(noon.Add(time.Hour)) {
		t.Errorf("got %+v, %v", rotated, err)
	}
	d.now = noon.Add(time.Hour)
	if listed, err := d.Webhooks(t.Context(), ""); err != nil || len(listed) != 1 || !listed[0].PreviousUntil.IsZero() {
		t.Errorf("after the overlap: %+v, %v", listed, err)
	}
}

func TestAWebhookThatCouldNeverBeCalledIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for name, c := range map[string]struct {
		order   admin.NewWebhook
		private bool
	}{
		"private": {admin.NewWebhook{Tenant: "default", URL: "http://10.0.0.1/"}, true},
		"no URL":  {admin.NewWebhook{Tenant: "default", URL: "example.com"}, false},
		"event":   {admin.NewWebhook{Tenant: "default", URL: "https://example.com/", Events: []string{"batch.begun"}}, false},
	} {
		_, err := d.AddWebhook(t.Context(), c.order)
		wantFault(t, name, err, batch.Invalid, "")
		if got := admin.PrivateAddress(err); got != c.private {
			t.Errorf("%s: private: %v", name, got)
		}
	}
}
