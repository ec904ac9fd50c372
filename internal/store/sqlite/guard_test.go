package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
)

func TestAGuardedStoreWritesNothing(t *testing.T) {
	t.Parallel()
	gone := errors.New("the directory is gone")
	var guard error
	commits := 0
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "batchd.db"), sqlite.Options{
		MayCreate: true, Guard: func() error { return guard }, OnCommit: func() { commits++ },
		OnFault: func(err error) { t.Errorf("a fault of the database: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	tenant, err := s.DefaultTenant(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := batch.File{ID: "file-a", Tenant: tenant, Dialect: "openai", Name: "a", Purpose: batch.PurposeBatch, CreatedAt: time.Unix(1790000000, 0)}
	guard = gone
	if err := s.CreateFile(t.Context(), file); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, gone) {
		t.Errorf("a write: %v", err)
	}
	if _, err := s.File(t.Context(), tenant, file.ID, file.CreatedAt); !errors.Is(err, store.ErrNotFound) || commits != 0 {
		t.Errorf("a read: %v, after %d commits", err, commits)
	}
	guard = nil
	if err := s.CreateFile(t.Context(), file); err != nil {
		t.Errorf("a write once it is back: %v", err)
	}
}
