package check

import (
	"context"
	"path/filepath"

	"batchd/internal/datadir"
)

// databaseFile looks whether the file of the database, as it lies in the directory, is the one that was written. What is
// compared later may be a copy of it, or be read through a log that does not belong to it.
func (c *checker) databaseFile(ctx context.Context) error {
	path := filepath.Join(c.o.Dir, datadir.Database)
	if !c.readable(path) {
		return nil // what opens it says so
	}
	problem, err := c.o.Changed(ctx, path)
	if err != nil || problem == "" {
		return err
	}
	c.damaged = true
	return c.report(Finding{State: LostState, Kind: Database, File: datadir.Database, Problem: problem, Remedy: restoreRemedy})
}
