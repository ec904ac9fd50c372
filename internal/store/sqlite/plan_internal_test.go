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
		{"batches of all tenants", allBatchesQuery, 2, "INTEGER PRIMARY KEY (rowid<?)"},
		{"batches of a tenant", batchListQuery(0, false), 4, "batches_by_tenant (tenant=? AND seq>? AND seq<?)"},
		{"batches of a tenant and a time", batchListQuery(0, true), 6, "batches_by_tenant (tenant=? AND seq>? AND seq<?)"},
		{"batches of a status", batchListQuery(1, false), 5, "batches_by_status (tenant=? AND status=? AND seq>? AND seq<?)"},
		{"batches of a status and a time", batchListQuery(1, true), 7, "batches_by_status (tenant=? AND status=? AND seq>? AND seq<?)"},
		{"batches of two statuses", batchListQuery(2, false), 6, "batches_by_status (tenant=? AND status=? AND seq>? AND seq<?)"},
		{"batches of every status and a time", batchListQuery(8, true), 14, "batches_by_status (tenant=? AND status=? AND seq>? AND seq<?)"},
		{"where the batches of a time end", seqsCreatedQuery, 3, "batches_by_age (tenant=? AND created_at>?)"},
		{"where the batches of a time begin", seqsCreatedQuery, 3, "batches_by_age (tenant=? AND created_at<?)"},
		{"webhooks of a tenant", webhooksQuery, 1, "webhooks_by_tenant"},
		{"webhooks of an event", webhookChoicesQuery, 1, "webhooks_by_tenant"},
		{"deliveries that are due", dueDeliveriesQuery, 2, "deliveries_due"},
		{"deliveries that are due too late", lateDeliveriesQuery, 1, "deliveries_due"},
		{"deliveries to forget", overDeliveriesQuery, 2, "deliveries_over"},
		{"files of a tenant", fileListQuery(false, false), 4, "files_shown"},
		{"files of a tenant, ascending", fileListQuery(false, true), 4, "files_shown"},
		{"files of a purpose", fileListQuery(true, false), 5, "files_shown_by_purpose"},
		{"files of a purpose, ascending", fileListQuery(true, true), 5, "files_shown_by_purpose"},
		{"batches that are due", `SELECT b.seq FROM batches b WHERE ` + leaseBatchCondition, 2, "batches_due"},
		{"batches that run", runningQuery, 0, "batches_due"},
		{"limits of a tenant", accountQuery, 1, "PRIMARY KEY"},
		{"key of a request", keyByIDQuery, 1, "sqlite_autoindex_api_keys_1"},
		{"tenant of a request", keyByIDQuery, 1, "PRIMARY KEY"},
		{"keys of a tenant", keysOfTenantQuery, 1, "api_keys_by_tenant"},
		{"parts of an upload", partsQuery, 1, "upload_parts_of"},
		{"uploads that end", endedUploadsQuery, 2, "COVERING INDEX uploads_ending"},
		{"files that ended unnoticed", endedFilesQuery, 2, "files_ending"},
		{"open batches of a tenant", openBatchesQuery, 1, "COVERING INDEX batches_open"},
		{"batches of the last hour", rateQuery, 3, "COVERING INDEX batches_by_age"},
		{"units to lease", leaseUnitsQuery, 2, "units_pending"},
		{"units of some models to lease", leaseUnitsOfQuery, 3, "units_pending"},
		{"units to reclaim", reclaimQuery, 1, "units_leased"},
		{"leases", liveLeasesQuery, 0, "units_leased"},
		{"leases of batches", liveLeasesQuery, 0, "batches_leased"},
		{"windows that end", endingQuery, 1, "batches_ending"},
		{"windows that are not settled", unsettledQuery, 0, "COVERING INDEX batches_unsettled"},
		{"files that end", expiredFilesQuery, 2, "files_ending"},
		{"files to purge", hiddenQuery, 4, "files_hidden"},
		{"files that batches read", hiddenQuery, 4, "batches_reading"},
		{"blobs of files to purge", lastReferencesQuery, 1, "file_blobs_by_file"},
		{"other references to them", lastReferencesQuery, 1, "PRIMARY KEY"},
		{"dropped blobs", droppedQuery, 3, "dropped_blobs_by_age"},
		{"deleted bytes of a tenant", freeingQuery, 8, "COVERING INDEX files_going (tenant=?"},
		{"dropped bytes of a tenant", freeingQuery, 8, "dropped_blobs_going (tenant=?"},
		{"parts of uploads that ended unnoticed", freeingQuery, 8, "uploads_ending"},
		{"deleted bytes of all tenants", freeingAllQuery, 4, "files_going"},
		{"keys to forget", oldKeysQuery, 2, "idempotency_keys_by_age"},
		{"batch of a key", keyQuery, 3, "PRIMARY KEY"},
		{"batches that are not there", unknownBatchesQuery, 1, "sqlite_autoindex_batches_1"},
		{"files of all tenants", allFilesQuery, 2, "INTEGER PRIMARY KEY (rowid>?)"},
		{"parts of all uploads", allPartsQuery, 2, "INTEGER PRIMARY KEY (rowid>?)"},
		{"units of a batch", unitRowsQuery, 3, "PRIMARY KEY (batch=? AND ordinal>?)"},
		{"blobs of files", unreferencedQuery, 1, "PRIMARY KEY"},
		{"blobs of parts", unreferencedQuery, 1, "upload_parts_by_blob"},
		{"blobs that are plans", unreferencedQuery, 1, "batches_planned"},
		{"blobs that are segments", unreferencedQuery, 1, "units_by_segment"},
		{"owners of blobs of files", ownersQuery, 1, "PRIMARY KEY"},
		{"owners of blobs of parts", ownersQuery, 1, "upload_parts_by_blob"},
		{"owners of plans", ownersQuery, 1, "batches_planned"},
		{"files to scrub", filesFromQuery, 2, "INTEGER PRIMARY KEY (rowid>?)"},
		{"owners of segments", ownersQuery, 1, "units_by_segment"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			plan := explain(t.Context(), t, s, c.query, make([]any, c.args))
			if !strings.Contains(plan, c.index) {
				t.Errorf("does not use %s:\n%s", c.index, plan)
			}
			for line := range strings.Lines(plan) {
				if walksTable(line) || strings.Contains(line, "TEMP B-TREE") && !strings.Contains(c.query, "json_each") {
					t.Errorf("walks or sorts: %s", line)
				}
			}
		})
	}
}

// walksTable reports whether a step of a plan reads a whole table. A JSON list is called k, the rows made of
// one are going, a subquery has steps of its own, and a constant row is none.
func walksTable(step string) bool {
	for _, harmless := range []string{"INDEX", " k ", "SCAN going", "(subquery", "CONSTANT ROW"} {
		if strings.Contains(step, harmless) {
			return false
		}
	}
	return strings.HasPrefix(step, "SCAN")
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
