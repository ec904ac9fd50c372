package admin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/admin"
	"batchd/internal/batch"
	"batchd/internal/store"
)

func TestTenantsAreSetByWhatIsNamed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.key(admin.NewKey{Tenant: "acme"})
	set := func(change func(*store.Tenant)) admin.Tenant {
		t.Helper()
		got, err := d.SetTenant(t.Context(), "acme", change)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	set(func(n *store.Tenant) { n.Weight, n.Limits.StoredBytes, n.Limits.RequestsPerMinute = 7, 10<<30, 600 })
	got := set(func(n *store.Tenant) { n.Name, n.Limits.StoredBytes, n.Limits.Files = "other", 0, 3 })
	want := admin.Tenant{Tenant: store.Tenant{ID: got.ID, Name: "acme", CreatedAt: noon, Weight: 7}, Keys: 1}
	want.Limits.Files, want.Limits.RequestsPerMinute = 3, 600
	if diff := cmp.Diff(want, got, utc()); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	listed, err := d.Tenants(t.Context())
	if err != nil || len(listed) != 2 || listed[1].Name != "default" {
		t.Fatalf("got %+v, %v", listed, err)
	}
	if diff := cmp.Diff(got, listed[0]); diff != "" {
		t.Errorf("listed (-set +listed):\n%s", diff)
	}
	for name, change := range map[string]func(*store.Tenant){
		"no weight":        func(n *store.Tenant) { n.Weight = 0 },
		"too much weight":  func(n *store.Tenant) { n.Weight = 1001 },
		"limit below zero": func(n *store.Tenant) { n.Limits.EnqueuedTokens = -1 },
	} {
		_, err := d.SetTenant(t.Context(), "acme", change)
		wantFault(t, name, err, batch.Invalid, "")
	}
}
