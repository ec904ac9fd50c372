package promise

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // changes the database of a node
)

// age makes what was deleted so long ago that its bytes may go. No process may run. The checksum of the database goes with
// it, as the server advises whoever changes it.
func (n *node) age() {
	n.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(n.dir, "batchd.db"))
	if err != nil {
		n.t.Fatal(err)
	}
	_, err = db.ExecContext(n.t.Context(), "UPDATE files SET hidden_at = 1 WHERE hidden_at IS NOT NULL; UPDATE dropped_blobs SET dropped_at = 1")
	if err = errors.Join(err, db.Close(), os.RemoveAll(filepath.Join(n.dir, "batchd.sum"))); err != nil {
		n.t.Fatal(err)
	}
}
