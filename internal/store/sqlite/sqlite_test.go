package sqlite_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
	"batchd/internal/store/storetest"
)

// openAt opens the store in the directory place.
func openAt(t testing.TB, place string) store.Store { return openWith(t, place, sqlite.Options{}) }

func openWith(t testing.TB, place string, opts sqlite.Options) *sqlite.Store {
	t.Helper()
	opts.MayCreate = true
	s, err := sqlite.Open(t.Context(), filepath.Join(place, "batchd.db"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, openAt)
}

func BenchmarkConformance(b *testing.B) { storetest.Benchmark(b, openAt) }

// fill starts a batch b1 of n units.
func fill(t testing.TB, s store.Store, n int) {
	t.Helper()
	ctx, now, lease := t.Context(), time.Unix(1_700_000_000, 0), batch.NewLeaseID()
	must(t, s.CreateFile(ctx, batch.File{ID: "f1", Tenant: "t", CreatedAt: now}))
	must(t, s.CreateBatch(ctx, batch.Batch{ID: "b1", Tenant: "t", InputFileID: "f1", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}))
	_, err := s.LeaseBatch(ctx, store.StageValidate, store.Holder{Node: "n", Lease: lease})
	must(t, err)
	must(t, s.StartBatch(ctx, store.Start{
		Batch: "b1", Lease: lease, Now: now, Units: make([]batch.UnitSpan, n), Total: int64(n), Plan: batch.Blob{Key: "plans/b1"},
	}))
}

func TestCommitsAreCounted(t *testing.T) {
	t.Parallel()
	commits, fsyncs := 0, 0
	s := openWith(t, t.TempDir(), sqlite.Options{OnCommit: func() { commits++ }, OnFsync: func(n int) { fsyncs += n }})
	commits, fsyncs = 0, 0
	fill(t, s, 3)
	if commits != 4 || fsyncs != 4 {
		t.Errorf("4 writes made %d commits and %d fsyncs", commits, fsyncs)
	}
	ctx := t.Context()
	for name, idle := range map[string]func() error{
		"read":          func() error { _, err := s.Batch(ctx, "t", "b1"); return err },
		"lease nothing": func() error { _, err := s.LeaseUnits(ctx, "b1", "n", 0); return err },
		"expire none":   func() error { _, err := s.ExpireBatches(ctx, time.Unix(1, 0)); return err },
		"purge none":    func() error { _, err := s.PurgeFiles(ctx, []string{"f"}); return err },
		"hide none":     func() error { _, err := s.DeleteExpiredFiles(ctx, time.Unix(1, 0), 9); return err },
		"forget none":   func() error { _, err := s.ForgetIdempotencyKeys(ctx, time.Unix(1, 0), 9); return err },
		"reclaim none":  func() error { _, err := s.ReclaimUnits(ctx, "n"); return err },
	} {
		must(t, idle())
		if commits != 4 || fsyncs != 4 {
			t.Errorf("%s: %d commits and %d fsyncs", name, commits-4, fsyncs-4)
		}
	}
	if _, err := s.LeaseBatch(ctx, store.StageValidate, store.Holder{Node: "n"}); err == nil || commits != 4 {
		t.Errorf("leasing no batch: error %v, %d commits", err, commits-4)
	}
	must(t, s.Close())
}

func TestTheLogStaysShort(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	fsyncs := 0
	s := openWith(t, place, sqlite.Options{OnFsync: func(n int) { fsyncs += n }})
	defer func() { _ = s.Close() }()
	fill(t, s, 2000)
	fsyncs = 0
	for range 2000 {
		_, err := s.LeaseUnits(t.Context(), "b1", "n", 1)
		must(t, err)
	}
	if size := fileSize(t, filepath.Join(place, "batchd.db-wal")); size > 8<<20 {
		t.Errorf("the log has grown to %d bytes", size)
	}
	if fsyncs < 2000+3 || fsyncs > 2000+60 {
		t.Errorf("2,000 commits asked for %d fsyncs", fsyncs)
	}
}

func TestTwoProcessesMayWrite(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	server, command := openWith(t, place, sqlite.Options{}), openWith(t, place, sqlite.Options{})
	fill(t, server, 100)
	var wg sync.WaitGroup
	for _, s := range []*sqlite.Store{server, command} {
		for range 2 {
			wg.Go(func() {
				for range 10 {
					if units, err := s.LeaseUnits(t.Context(), "b1", "n", 1); err != nil || len(units) != 1 {
						t.Errorf("lease: %d units, error %v", len(units), err)
					}
				}
			})
		}
	}
	wg.Wait()
	live, err := server.LiveLeases(t.Context())
	must(t, err)
	if len(live) != 40 {
		t.Errorf("%d leases are live, want 40", len(live))
	}
	must(t, command.Close())
	must(t, server.Close())
}

func TestRunsInFakeTime(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openWith(t, place, sqlite.Options{})
		fill(t, s, 20)
		begin := time.Now()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					time.Sleep(time.Minute)
					if _, err := s.LeaseUnits(t.Context(), "b1", "n", 1); err != nil {
						t.Error(err)
					}
					if _, err := s.Batch(t.Context(), "t", "b1"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if took := time.Since(begin); took != 5*time.Minute {
			t.Errorf("five minutes took %s", took)
		}
		must(t, s.Close())
	})
}

func fileSize(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}
