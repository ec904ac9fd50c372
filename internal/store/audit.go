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
	// AllFiles returns files of all tenants that are not hidden, in order of creation, those with a Seq above after, at
	// most n.
	AllFiles(ctx context.Context, after int64, n int) ([]batch.File, error)
	// AllParts returns the parts of uploads of all tenants in the same way, each with the number to go on from.
	AllParts(ctx context.Context, after int64, n int) ([]StoredPart, error)
	// Verify looks at all of the store for what contradicts itself, which may take minutes, and calls problem for each thing
	// that it finds, in words for an operator. An error of problem ends it and is returned.
	Verify(ctx context.Context, problem func(text string) error) error
}

// StoredPart is a part of an upload, and its place among all parts in order of creation.
type StoredPart struct {
	batch.Part
	Seq int64
}

// Repair are the methods of whoever brings a store that lost time and the files beside it together again. Nobody executes
// batches meanwhile.
type Repair interface {
	// MoveLease gives an unsealed unit to h in place of the lease from, which its row must carry: zero for one that was
	// never leased. A sealed unit is ErrSealed; another lease in the row, and no such unit, are ErrLeaseLost.
	MoveLease(ctx context.Context, id batch.UnitID, from batch.LeaseID, h Holder) error
}

// UnitRow is a unit as it stands in its row. Its Lease is the last one that it had, zero if it never had one.
type UnitRow struct {
	batch.Unit
	// Held says that the lease is held, by whatever node.
	Held bool
	// Seal is the unit's result once it is sealed, else nil.
	Seal *batch.Seal
}
