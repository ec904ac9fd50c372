package sqlite

import (
	"database/sql"
	"path/filepath"
	"testing"
)

func TestAStoreThatTakesNothingSaysSoAndRecovers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "batchd.db")
	commits, faults := 0, 0
	s, err := Open(t.Context(), path, Options{
		MayCreate: true, OnCommit: func() { commits++ }, OnFault: func(error) { faults++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	commits = 0
	if err := s.Probe(t.Context()); err != nil || commits != 1 || faults != 0 {
		t.Fatalf("%v after %d commits and %d faults", err, commits, faults)
	}
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	held, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for conn, query := range map[*sql.Conn]string{held: `BEGIN IMMEDIATE`, s.writer.conn: `PRAGMA busy_timeout = 1`} {
		if _, err := conn.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Probe(t.Context()); err == nil || commits != 1 || faults != 1 {
		t.Errorf("while another holds it: %v after %d commits and %d faults", err, commits, faults)
	}
	if _, err := held.ExecContext(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(t.Context()); err != nil || commits != 2 || faults != 1 {
		t.Errorf("afterwards: %v after %d commits and %d faults", err, commits, faults)
	}
}
