package tenant

import (
	"fmt"
	"testing"
	"time"

	"batchd/internal/store"
)

func TestBucketsOfIdleTenantsTakeNoMemory(t *testing.T) {
	t.Parallel()
	var b Buckets
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for i := range 100_000 {
		now = now.Add(time.Second)
		b.Take(Identity{Tenant: fmt.Sprint(i), Limits: store.Limits{RequestsPerMinute: 1}}, now)
		// Sixty tenants are there in a minute.
		if len(b.full) > minGCThreshold {
			t.Fatalf("%d buckets are kept after %d tenants", len(b.full), i+1)
		}
	}
}
