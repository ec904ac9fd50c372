package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// The states of a unit's row. The numbers stand in the database and in the conditions of partial indexes: never change
// one. Statements that must use such an index write the number out, because the planner does not see parameters.
const (
	unitPending = 0
	unitLeased  = 1
	unitSealed  = 2
)

// leaseBatchCondition selects the batch to lease: of a dead node or of none. IS NOT is true where node is NULL.
const leaseBatchCondition = `b.stage = ? AND b.node IS NOT ? ORDER BY b.seq LIMIT 1`

// LeaseBatch implements store.Work. Unlike lease ids, which only ever replace each other, node is cleared when the
// lease is given back: a row with a node is held.
func (s *Store) LeaseBatch(ctx context.Context, stage store.Stage, h store.Holder) (batch.Batch, error) {
	var b batch.Batch
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		var err error
		b, err = oneBatch(ctx, t, leaseBatchCondition, string(stage), h.Node)
		if err != nil {
			return err
		}
		_, err = t.change(ctx, `UPDATE batches SET lease = ?, node = ? WHERE seq = ? AND stage = ?`,
			leaseColumn(&h.Lease), h.Node, b.Seq, string(stage))
		return err
	})
	if isNotFound(err) {
		return batch.Batch{}, store.ErrNoWork
	}
	if err != nil {
		return batch.Batch{}, fmt.Errorf("lease a batch to %s: %w", stage, err)
	}
	return b, nil
}

// ReleaseBatch implements store.Work. The lease id stays in the row: a late write under it finds no node and is
// refused.
func (s *Store) ReleaseBatch(ctx context.Context, id string, lease batch.LeaseID) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.change(ctx, `UPDATE batches SET node = NULL WHERE id = ? AND lease = ? AND node IS NOT NULL`,
			id, leaseColumn(&lease))
		if err == nil && n == 0 {
			err = store.ErrLeaseLost
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("release batch %s: %w", id, err)
	}
	return nil
}

// leasedBatch returns the batch of that id if it is held under lease, else ErrLeaseLost. Every write under a lease
// begins with it.
func leasedBatch(ctx context.Context, t *tx, id string, lease batch.LeaseID) (batch.Batch, error) {
	b, err := oneBatch(ctx, t, `b.id = ? AND b.lease = ? AND b.node IS NOT NULL`, id, leaseColumn(&lease))
	if isNotFound(err) {
		err = store.ErrLeaseLost
	}
	return b, err
}

// unitColumns are the columns of a unit that say which lines of the plan it is.
const unitColumns = `u.ordinal, u.first, u.count, u.model, u.bytes`

// unitDest returns where unitColumns go; batch and lease are the caller's to set.
func unitDest(u *batch.Unit) []any {
	return []any{&u.Ordinal, &u.First, &u.Count, &u.Model, &u.Bytes}
}

// leaseUnitsQuery names its index, because the planner would rather walk all units of the batch, sealed ones too.
const leaseUnitsQuery = `
	SELECT ` + unitColumns + ` FROM units u INDEXED BY units_pending WHERE u.batch = ? AND u.state = 0 ORDER BY u.ordinal LIMIT ?`

// leaseUnitsOfQuery is leaseUnitsQuery for some models, given as a JSON array of their ordinals.
const leaseUnitsOfQuery = `
	SELECT ` + unitColumns + ` FROM units u INDEXED BY units_pending
	WHERE u.batch = ? AND u.state = 0 AND u.model IN (SELECT value FROM json_each(?)) ORDER BY u.ordinal LIMIT ?`

// LeaseUnits implements store.Work.
func (s *Store) LeaseUnits(ctx context.Context, batchID, node string, n int) ([]batch.Unit, error) {
	return s.leaseUnits(ctx, batchID, node, leaseUnitsQuery, max(n, 0))
}

// LeaseUnitsOf implements store.Work.
func (s *Store) LeaseUnitsOf(ctx context.Context, batchID, node string, models []int, n int) ([]batch.Unit, error) {
	list, err := json.Marshal(models)
	if err != nil {
		return nil, fmt.Errorf("lease units of %s: %w", batchID, err)
	}
	return s.leaseUnits(ctx, batchID, node, leaseUnitsOfQuery, string(list), max(n, 0))
}

// leaseUnits leases the units of a batch that the query finds; args are its arguments after the batch. Each unit gets a
// lease id of its own, because each has a journal of its own that names it.
func (s *Store) leaseUnits(ctx context.Context, batchID, node, query string, args ...any) ([]batch.Unit, error) {
	var units []batch.Unit
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		seq, err := batchSeq(ctx, t, batchID)
		if err != nil {
			return err
		}
		units, err = all(ctx, t, func(rows *sql.Rows) (batch.Unit, error) {
			u := batch.Unit{UnitID: batch.UnitID{Batch: batchID}, Lease: batch.NewLeaseID()}
			err := rows.Scan(unitDest(&u)...)
			return u, err
		}, query, append([]any{seq}, args...)...)
		if err != nil {
			return err
		}
		for _, u := range units {
			if _, err := t.change(ctx, `
				UPDATE units SET state = ?, lease = ?, node = ? WHERE batch = ? AND ordinal = ? AND state = ?`,
				unitLeased, leaseColumn(&u.Lease), node, seq, u.Ordinal, unitPending); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lease units of %s: %w", batchID, err)
	}
	return units, nil
}

// AdoptUnit implements store.Work. It takes a pending unit as well as a leased one: ReclaimUnits may have made it
// pending before its journal was found, and left the lease id in the row for this.
func (s *Store) AdoptUnit(ctx context.Context, id batch.UnitID, from []batch.LeaseID, h store.Holder) (batch.Unit, error) {
	u := batch.Unit{UnitID: id, Lease: h.Lease}
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		known := make([]string, len(from))
		for i, lease := range from {
			known[i] = hex.EncodeToString(lease[:])
		}
		list, err := json.Marshal(known)
		if err != nil {
			return err
		}
		n, err := t.change(ctx, `
			UPDATE units SET state = ?, lease = ?, node = ?
			WHERE batch = (SELECT seq FROM batches WHERE id = ?) AND ordinal = ? AND state <> ?
				AND lower(hex(lease)) IN (SELECT value FROM json_each(?))`,
			unitLeased, leaseColumn(&h.Lease), h.Node, id.Batch, id.Ordinal, unitSealed, string(list))
		if err != nil {
			return err
		}
		if n == 0 {
			return lostUnit(ctx, t, id)
		}
		_, err = one(ctx, t, unitDest(&u), `
			SELECT `+unitColumns+` FROM units u WHERE u.batch = (SELECT seq FROM batches WHERE id = ?) AND u.ordinal = ?`,
			id.Batch, id.Ordinal)
		return err
	})
	if err != nil {
		return batch.Unit{}, fmt.Errorf("adopt unit %s: %w", id, err)
	}
	return u, nil
}

// MoveLease implements store.Repair.
func (s *Store) MoveLease(ctx context.Context, id batch.UnitID, from batch.LeaseID, h store.Holder) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.change(ctx, `
			UPDATE units SET state = ?, lease = ?, node = ?
			WHERE batch = (SELECT seq FROM batches WHERE id = ?) AND ordinal = ? AND state <> ? AND lease IS ?`,
			unitLeased, leaseColumn(&h.Lease), h.Node, id.Batch, id.Ordinal, unitSealed, leaseColumn(&from))
		if err == nil && n == 0 {
			err = lostUnit(ctx, t, id)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("move lease of unit %s: %w", id, err)
	}
	return nil
}

// lostUnit returns why a unit cannot be adopted: it is sealed, or it is not there or under another lease. The
// difference decides what becomes of the journal: that of a sealed unit is a leftover, any other is set aside.
func lostUnit(ctx context.Context, t *tx, id batch.UnitID) error {
	var state int
	found, err := one(ctx, t, []any{&state}, `
		SELECT state FROM units WHERE batch = (SELECT seq FROM batches WHERE id = ?) AND ordinal = ?`, id.Batch, id.Ordinal)
	switch {
	case err != nil:
		return err
	case found && state == unitSealed:
		return store.ErrSealed
	default:
		return store.ErrLeaseLost
	}
}

// reclaimQuery takes units from all other nodes. On a single node any other is an earlier start of this one, and dead:
// the lock on the data directory says so.
const reclaimQuery = `UPDATE units SET state = 0 WHERE state = 1 AND node <> ?`

// ReclaimUnits implements store.Work.
func (s *Store) ReclaimUnits(ctx context.Context, node string) (int, error) {
	n, err := s.changeRows(ctx, reclaimQuery, node)
	if err != nil {
		return 0, fmt.Errorf("reclaim units: %w", err)
	}
	return n, nil
}

// liveLeasesQuery reads two partial indexes that hold the leases, and no row.
const liveLeasesQuery = `
	SELECT lease FROM units WHERE state = 1 UNION ALL SELECT lease FROM batches WHERE node IS NOT NULL`

// LiveLeases implements store.Maintenance.
func (s *Store) LiveLeases(ctx context.Context) (map[batch.LeaseID]bool, error) {
	ids, err := all(ctx, s.readers, func(rows *sql.Rows) (batch.LeaseID, error) {
		var id batch.LeaseID
		err := rows.Scan(leaseColumn(&id))
		return id, err
	}, liveLeasesQuery)
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	live := make(map[batch.LeaseID]bool, len(ids))
	for _, id := range ids {
		live[id] = true
	}
	return live, nil
}

// batchSeq returns the number by which other tables refer to a batch, or ErrNotFound.
func batchSeq(ctx context.Context, q querier, id string) (int64, error) {
	var seq int64
	found, err := one(ctx, q, []any{&seq}, `SELECT seq FROM batches WHERE id = ?`, id)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return seq, err
}
