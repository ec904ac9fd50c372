package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// TestATenantWithoutLimitsCostsOneLookup looks at the statements that were ever prepared.
func TestATenantWithoutLimitsCostsOneLookup(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "batchd.db"), Options{MayCreate: true, Tenant: "t"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if took := quotaQueriesOf(t, s, "b1"); took[accountQuery] != true || len(took) != 1 {
		t.Errorf("a tenant without limits took %v", took)
	}
	all := store.Limits{
		StoredBytes: 100, Files: 100, OpenBatches: 100, EnqueuedLines: 100, EnqueuedTokens: 100, BatchesPerHour: 100,
	}
	if err := s.SetTenant(t.Context(), store.Tenant{ID: "t", Limits: all}); err != nil {
		t.Fatal(err)
	}
	if took := quotaQueriesOf(t, s, "b2"); len(took) != 3 || !took[openBatchesQuery] || !took[rateQuery] {
		t.Errorf("a tenant far below its limits took %v", took)
	}
}

// quotaQueriesOf creates and starts a batch of the tenant t and returns which queries of quotas were ever asked.
func quotaQueriesOf(t *testing.T, s *Store, id string) map[string]bool {
	t.Helper()
	ctx, now, lease := t.Context(), time.Unix(1_700_000_000, 0), batch.NewLeaseID()
	steps := []func() error{
		func() error {
			return s.CreateFile(ctx, batch.File{ID: "in-" + id, Tenant: "t", Bytes: 1, Lines: 1, CreatedAt: now})
		},
		func() error {
			return s.CreateBatch(ctx, batch.Batch{ID: id, Tenant: "t", InputFileID: "in-" + id, CreatedAt: now})
		},
		func() error {
			_, err := s.LeaseBatch(ctx, store.StageValidate, store.Holder{Node: "n", Lease: lease})
			return err
		},
		func() error {
			units := make([]batch.UnitSpan, 1)
			return s.StartBatch(ctx, store.Start{Batch: id, Lease: lease, Now: now, Units: units, Total: 1, Tokens: 1})
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	took := make(map[string]bool)
	for _, query := range []string{accountQuery, openBatchesQuery, rateQuery, endedFilesQuery} {
		if s.writer.stmts[query] != nil {
			took[query] = true
		}
	}
	return took
}
