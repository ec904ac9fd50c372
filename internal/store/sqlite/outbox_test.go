package sqlite_test

import (
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
)

func TestTellingOfAnEndTakesNoCommitOfItsOwn(t *testing.T) {
	t.Parallel()
	commits := 0
	s := openWith(t, t.TempDir(), sqlite.Options{OnCommit: func() { commits++ }})
	defer func() { must(t, s.Close()) }()
	ctx, now := t.Context(), time.Unix(1_790_000_000, 0)
	owner, err := s.DefaultTenant(ctx)
	must(t, err)
	for _, id := range []string{"we_1", "we_2", "we_3"} {
		must(t, s.AddWebhook(ctx, store.Webhook{ID: id, Tenant: owner, Secret: "whsec_" + id, CreatedAt: now}))
	}
	commits = 0
	_, err = s.CreateFailedBatch(ctx, batch.Batch{ID: "b1", Tenant: owner, CallbackURL: "https://example.com/", CreatedAt: now}, nil)
	must(t, err)
	if commits != 1 {
		t.Errorf("a batch and four deliveries took %d commits, want 1", commits)
	}
	due, err := s.LeaseDeliveries(ctx, now, now.Add(time.Minute), 9)
	must(t, err)
	if len(due) != 4 || commits != 2 {
		t.Errorf("%d deliveries were due, and leasing them took %d commits, want 4 and 1", len(due), commits-1)
	}
}

func TestAskingForDeliveriesInVainTakesNoCommit(t *testing.T) {
	t.Parallel()
	commits := 0
	s := openWith(t, t.TempDir(), sqlite.Options{OnCommit: func() { commits++ }})
	defer func() { must(t, s.Close()) }()
	ctx, now := t.Context(), time.Unix(1_790_000_000, 0)
	_, err := s.CreateFailedBatch(ctx, batch.Batch{ID: "b1", Tenant: "t", CallbackURL: "https://example.com/", CreatedAt: now}, nil)
	must(t, err)
	commits = 0
	for name, idle := range map[string]func() (int, error){
		"lease what is not due": func() (int, error) {
			due, err := s.LeaseDeliveries(ctx, now.Add(-1), now, 9)
			return len(due), err
		},
		"lease none": func() (int, error) {
			due, err := s.LeaseDeliveries(ctx, now, now, 0)
			return len(due), err
		},
		"forget what is not over": func() (int, error) { return s.ForgetDeliveries(ctx, now.Add(time.Hour), 9) },
	} {
		if n, err := idle(); n != 0 || err != nil || commits != 0 {
			t.Errorf("%s: %d of them, error %v, %d commits", name, n, err, commits)
		}
	}
}
