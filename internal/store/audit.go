package store

import (
	"context"

	"batchd/internal/batch"
)

// Audit are the methods of whoever compares the store with the files that lie beside it. They read rows of all tenants, also
// those that are hidden from their tenant.
type Audit interface {
	// UnknownBatches returns those of the ids that no batch has. The row of a batch is never deleted, so that an object on
	// the disk that carries such an id is newer than the store.
	UnknownBatches(ctx context.Context, ids []string) ([]string, error)
	// UnitRows returns the units of a batch as they stand, from ordinal first on, at most n, in order. No such batch is
	// ErrNotFound.
	UnitRows(ctx context.Context, batchID string, first, n int) ([]UnitRow, error)
}

// UnitRow is a unit as it stands in its row. Its Lease is the last one that it had, zero if it never had one.
type UnitRow struct {
	batch.Unit
	// Held says that the lease is held, by whatever node.
	Held bool
	// Seal is the unit's result once it is sealed, else nil.
	Seal *batch.Seal
}
