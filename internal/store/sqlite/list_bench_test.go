package sqlite

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

const (
	// benchBatches is how many batches the store of BenchmarkListBatches holds, every 21st of them another tenant's.
	benchBatches = 1_050_000
	benchTenant  = "6d1f6b4e-0000-4000-8000-000000000001"
)

// benchBegin is when the first of them was created; one follows every 30 seconds, and the clock trembles by more than
// that.
var benchBegin = time.Unix(1_760_000_000, 0)

func benchTime(seq int) time.Time { return benchBegin.Add(time.Duration(seq) * 30 * time.Second) }

// BenchmarkListBatches measures a page of 20 out of a million batches of one tenant: the first, one from somewhere in
// the middle, and one from the last hundredth.
func BenchmarkListBatches(b *testing.B) {
	path := filepath.Join(b.TempDir(), "batchd.db")
	fillWithBatches(b, path)
	s, err := Open(b.Context(), path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	middle := benchTime(benchBatches / 2)
	filters := []struct {
		name  string
		query store.BatchQuery
	}{
		{"unfiltered", store.BatchQuery{}},
		{"common status", store.BatchQuery{Statuses: []batch.Status{batch.Completed}}},
		{"rare status", store.BatchQuery{Statuses: []batch.Status{batch.Expired}}},
		{"two statuses", store.BatchQuery{Statuses: []batch.Status{batch.InProgress, batch.Finalizing}}},
		{"a common and a rare status", store.BatchQuery{Statuses: []batch.Status{batch.Completed, batch.Expired}}},
		{"created on one day", store.BatchQuery{CreatedAfter: middle, CreatedBefore: middle.Add(24 * time.Hour)}},
		{"created in the older half", store.BatchQuery{CreatedBefore: middle}},
		{"rare status in the older half", store.BatchQuery{CreatedBefore: middle, Statuses: []batch.Status{batch.Expired}}},
	}
	places := []struct {
		name     string
		from, to int
	}{
		{"first page", 0, 0},
		{"middle", benchBatches * 4 / 10, benchBatches * 6 / 10},
		{"near the end", 1, benchBatches / 100},
	}
	for _, f := range filters {
		for _, p := range places {
			b.Run(f.name+"/"+p.name, func(b *testing.B) { measurePages(b, s, f.query, p.from, p.to) })
		}
	}
}

// measurePages lists pages beyond random batches between two sequence numbers, or the first page if both are 0.
func measurePages(b *testing.B, s *Store, q store.BatchQuery, from, to int) {
	q.Limit = 20
	random := rand.New(rand.NewPCG(3, 4))
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		if to > 0 {
			q.After = benchID(b, s, from+random.IntN(to-from))
		}
		b.StartTimer()
		begin := time.Now()
		if _, err := s.ListBatches(b.Context(), benchTenant, q); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	milliseconds := func(part int) float64 { return float64(took[(len(took)-1)*part/100]) / float64(time.Millisecond) }
	b.ReportMetric(milliseconds(50), "p50-ms")
	b.ReportMetric(milliseconds(99), "p99-ms")
}

// benchID returns the id of the tenant's batch at or before a sequence number.
func benchID(b *testing.B, s *Store, seq int) string {
	b.Helper()
	var id string
	found, err := one(b.Context(), s.readers, []any{&id},
		`SELECT id FROM batches WHERE tenant = ? AND seq <= ? ORDER BY seq DESC LIMIT 1`, benchTenant, seq)
	if err != nil || !found {
		b.Fatalf("batch at %d: found %v, error %v", seq, found, err)
	}
	return id
}

// fillWithBatches makes a store of benchBatches: nearly all completed, one in fifty failed, one in ten thousand
// expired, one in five thousand running or finalizing. Times lie up to a minute off, so that they are not in order of
// creation.
func fillWithBatches(b *testing.B, path string) {
	b.Helper()
	s, err := Open(b.Context(), path, Options{MayCreate: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}()
	plan := batch.AppendBlob(nil, batch.Blob{Key: "plans/b/l", Size: 32_000, Sums: []uint32{1}})
	for _, step := range []struct {
		statement string
		args      []any
	}{
		{`PRAGMA synchronous = OFF`, nil},
		{`PRAGMA cache_size = -400000`, nil},
		{benchFill, []any{benchBatches, benchBegin.UnixNano(), benchTenant, plan}},
	} {
		if _, err := s.writer.conn.ExecContext(b.Context(), step.statement, step.args...); err != nil {
			b.Fatal(err)
		}
	}
}

// benchFill makes so many batches from a time on, most of them of the given tenant, all with the same plan.
const benchFill = `
	INSERT INTO batches (id, tenant, key_id, dialect, endpoint, input_file_id, window, metadata, output_ttl, remark,
		status, stop, ready, version, created_at, expires_at, updated_at, in_progress_at, finalizing_at, completed_at,
		model, total, completed, plan, plan_key, models, units, sealed_units, output_file_id)
	WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1),
		r AS (SELECT i, ?2 + i * 30000000000 AS at, CASE
			WHEN i % 50 = 7 THEN 'failed' WHEN i % 10000 = 11 THEN 'expired'
			WHEN i % 10000 = 13 THEN 'in_progress' WHEN i % 10000 = 17 THEN 'finalizing' ELSE 'completed' END AS status
			FROM n)
	SELECT 'batch_' || lower(hex(randomblob(16))), iif(i % 21 = 0, 'another', ?3), 'key_' || hex(zeroblob(16)), 'openai',
		'/v1/chat/completions', 'file-' || lower(hex(randomblob(16))), '24h', CAST('{"job":"nightly","run":"' || i || '"}' AS BLOB),
		0, '', status, 'none', 1, 3, at + random() % 60000000000, at + 86400000000000, at + 1, at + 1, at + 1, at + 1,
		'meta-llama/llama-3.1-8b-instruct', 1000, 1000, ?4, 'plans/' || lower(hex(randomblob(16))),
		'["meta-llama/llama-3.1-8b-instruct"]', 1, 1, 'file-' || lower(hex(randomblob(16)))
	FROM r`
