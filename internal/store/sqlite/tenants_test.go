package sqlite_test

import (
	"errors"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
)

// TestWhatChangesNothingIsNotCommitted covers the methods that are called again and again, by maintenance or by
// clients.
func TestWhatChangesNothingIsNotCommitted(t *testing.T) {
	t.Parallel()
	commits := 0
	s := openWith(t, t.TempDir(), sqlite.Options{OnCommit: func() { commits++ }, Tenant: "t"})
	defer func() { _ = s.Close() }()
	ctx, now := t.Context(), time.Unix(1_700_000_000, 0)
	for _, id := range []string{"done", "left"} {
		must(t, s.CreateUpload(ctx, batch.Upload{ID: id, Tenant: "t", Bytes: 9, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}))
	}
	complete := func() error {
		_, _, err := s.CompleteUpload(ctx, "t", "done", batch.File{ID: "f", Tenant: "t", CreatedAt: now}, now)
		return err
	}
	cancel := func() error { _, err := s.CancelUpload(ctx, "t", "left", now); return err }
	end := func() error { return s.EndKey(ctx, "k", now) }
	must(t, complete())
	must(t, cancel())
	must(t, s.CreateKey(ctx, store.Key{ID: "k", Tenant: "t", CreatedAt: now}))
	must(t, end())
	must(t, s.SetTenant(ctx, store.Tenant{ID: "t", Limits: store.Limits{Files: 1}}))
	commits = 0
	for name, idle := range map[string]func() error{
		"complete again": complete, "cancel again": cancel, "end again": end,
		"expire no uploads": func() error { _, err := s.ExpireUploads(ctx, now.Add(time.Minute), 9); return err },
		"a file too many": func() error {
			err := s.CreateFile(ctx, batch.File{ID: "g", Tenant: "t", CreatedAt: now})
			if refusal := new(store.QuotaError); errors.As(err, &refusal) {
				return nil
			}
			return errors.New("was not refused")
		},
	} {
		if err := idle(); err != nil || commits != 0 {
			t.Errorf("%s: %d commits, error %v", name, commits, err)
		}
	}
}
