package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// TestQueriesGoByIndex keeps the queries whose tables grow without end from walking a table or sorting it.
func TestQueriesGoByIndex(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "batchd.db"), Options{MayCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	cases := []struct {
		name, query string
		args        int
		index       string
	}{
		{"batches of a tenant", batchListQuery, 3, "batches_by_tenant"},
		{"files of a tenant", fileListQuery(false, false), 4, "files_shown"},
		{"files of a tenant, ascending", fileListQuery(false, true), 4, "files_shown"},
		{"files of a purpose", fileListQuery(true, false), 5, "files_shown_by_purpose"},
		{"files of a purpose, ascending", fileListQuery(true, true), 5, "files_shown_by_purpose"},
		{"batches that are due", `SELECT b.seq FROM batches b WHERE ` + leaseBatchCondition, 2, "batches_due"},
		{"batches that run", runningQuery, 0, "batches_due"},
		{"units to lease", leaseUnitsQuery, 2, "units_pending"},
		{"units of some models to lease", leaseUnitsOfQuery, 3, "units_pending"},
		{"units to reclaim", reclaimQuery, 1, "units_leased"},
		{"leases", liveLeasesQuery, 0, "units_leased"},
		{"leases of batches", liveLeasesQuery, 0, "batches_leased"},
		{"windows that end", endingQuery, 1, "batches_ending"},
		{"files that end", expiredFilesQuery, 2, "files_ending"},
		{"files to purge", purgeableQuery, 2, "files_hidden"},
		{"files that batches read", purgeableQuery, 2, "batches_reading"},
		{"keys to forget", oldKeysQuery, 2, "idempotency_keys_by_age"},
		{"batch of a key", keyQuery, 3, "PRIMARY KEY"},
		{"blobs of files", unreferencedQuery, 1, "PRIMARY KEY"},
		{"blobs that are plans", unreferencedQuery, 1, "batches_planned"},
		{"blobs that are segments", unreferencedQuery, 1, "units_by_segment"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			plan := explain(t.Context(), t, s, c.query, make([]any, c.args))
			if !strings.Contains(plan, c.index) {
				t.Errorf("does not use %s:\n%s", c.index, plan)
			}
			for line := range strings.Lines(plan) {
				walk := strings.HasPrefix(line, "SCAN") && !strings.Contains(line, "INDEX") && !strings.Contains(line, " k ")
				if walk || strings.Contains(line, "TEMP B-TREE") && !strings.Contains(c.query, "json_each") {
					t.Errorf("walks or sorts: %s", line)
				}
			}
		})
	}
}

// explain returns the steps of a query's plan, one on a line.
func explain(ctx context.Context, t *testing.T, s *Store, query string, args []any) string {
	t.Helper()
	steps, err := all(ctx, s.readers, func(rows *sql.Rows) (string, error) {
		var id, parent, unused int
		var step string
		err := rows.Scan(&id, &parent, &unused, &step)
		return step, err
	}, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "\n")
}
