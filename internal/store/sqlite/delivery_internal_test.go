package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"batchd/internal/store"
)

// TestDeliveryListsGoByTheNarrowestIndex covers every text of the query.
func TestDeliveryListsGoByTheNarrowestIndex(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "batchd.db"), Options{MayCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for _, tenant := range []string{"", "t"} {
		for _, webhook := range []string{"", "w"} {
			for _, id := range []string{"", "b"} {
				want := "SCAN d\n" // all of them, the newest first, up to the limit
				switch {
				case id != "":
					want = "deliveries_by_batch (batch=?)"
				case webhook != "":
					want = "deliveries_by_webhook (webhook=?)"
				case tenant != "":
					want = "deliveries_by_tenant (tenant=?)"
				}
				query, args := deliveryListQuery(store.DeliveryQuery{Tenant: tenant, Webhook: webhook, Batch: id, Limit: 9})
				plan := explain(t.Context(), t, s, query, args)
				if !strings.Contains(plan, want) || strings.Contains(plan, "TEMP B-TREE") {
					t.Errorf("tenant %q, webhook %q, batch %q: want %s, got\n%s", tenant, webhook, id, want, plan)
				}
			}
		}
	}
}
