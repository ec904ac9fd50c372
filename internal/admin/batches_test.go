package admin_test

import (
	"fmt"
	"testing"
	"time"

	"batchd/internal/admin"
	"batchd/internal/batch"
)

func TestBatchesOfAllTenantsAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	acme := d.key(admin.NewKey{Tenant: "acme"}).Tenant
	other := d.key(admin.NewKey{Tenant: "other"}).Tenant
	for i, owner := range []string{acme, other, acme} {
		b := batch.Batch{ID: fmt.Sprintf("batch_%d", i), Tenant: owner, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
		if _, err := d.store.CreateFailedBatch(t.Context(), b, nil); err != nil {
			t.Fatal(err)
		}
	}
	page := func(tenant, after string) string {
		t.Helper()
		p, err := d.Batches(t.Context(), tenant, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, b := range p.Items {
			text += b.ID + " of " + b.TenantName + ", "
		}
		return text + fmt.Sprint(p.HasMore)
	}
	if got, want := page("", ""), "batch_2 of acme, batch_1 of other, true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := page("", "batch_1"), "batch_0 of acme, false"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := page("acme", ""), "batch_2 of acme, batch_0 of acme, false"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for tenant, after := range map[string]string{"": "batch_7", "acme": "batch_1"} {
		_, err := d.Batches(t.Context(), tenant, after, 2)
		wantFault(t, "cursor", err, batch.NotFound, after)
	}
	_, err := d.Batches(t.Context(), "nobody", "", 2)
	wantFault(t, "tenant", err, batch.NotFound, "nobody")
}
