package sqlite_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
)

func TestWaitingWritesShareACommitAndAFailedOneUndoesOnlyItself(t *testing.T) {
	t.Parallel()
	var commits atomic.Int64
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "batchd.db"), sqlite.Options{
		MayCreate: true, OnCommit: func() { commits.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	commits.Store(0)
	const files = 300
	now := time.Unix(1_790_000_000, 0)
	var refused atomic.Int64
	var writers sync.WaitGroup
	for i := range files {
		for range 2 { // the second of each pair is refused: its id is taken
			writers.Go(func() {
				err := s.CreateFile(t.Context(), batch.File{ID: fmt.Sprint("file-", i), Tenant: "t", Purpose: "batch", CreatedAt: now})
				switch {
				case errors.Is(err, store.ErrConflict):
					refused.Add(1)
				case err != nil:
					t.Errorf("create file %d: %v", i, err)
				}
			})
		}
	}
	writers.Wait()
	if refused.Load() != files {
		t.Errorf("%d of %d twins were refused", refused.Load(), files)
	}
	for i := range files {
		if _, err := s.File(t.Context(), "t", fmt.Sprint("file-", i), now); err != nil {
			t.Errorf("file %d: %v", i, err)
		}
	}
	if n := commits.Load(); n >= files {
		t.Errorf("%d commits for %d files that were created at the same time, want them shared", n, files)
	}
}
