package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"batchd/internal/batch"
)

// querier is the pool of readers or the running write transaction. What is read to decide a write must be read through
// the transaction: the readers may not see what another step of the same group has just written.
type querier interface {
	query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// one scans the first row of a query into dest and reports whether there was one. Rows are closed before it returns: an
// open result would hold the connection, and the writer has only one.
func one(ctx context.Context, q querier, dest []any, query string, args ...any) (bool, error) {
	rows, err := q.query(ctx, query, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(dest...); err != nil {
		return false, err
	}
	return true, rows.Close()
}

// all collects what scan makes of each row of a query. No row is nil, not an empty slice.
func all[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var items []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, rows.Err()
}

// into returns what all needs to scan rows of the columns that dest has places for.
func into[T any](dest func(*T) []any) func(*sql.Rows) (T, error) {
	return func(rows *sql.Rows) (T, error) {
		var v T
		err := rows.Scan(dest(&v)...)
		return v, err
	}
}

// column reads and writes one column through a pair of functions, so that each form of a value in the database is in
// one place. encode is nil for columns that are written otherwise.
type column[T any] struct {
	v      *T
	encode func(T) (driver.Value, error)
	decode func(any) (T, error)
}

// Scan implements sql.Scanner. NULL is the zero value.
func (c column[T]) Scan(src any) error {
	if src == nil {
		var zero T
		*c.v = zero
		return nil
	}
	v, err := c.decode(src)
	if err == nil {
		*c.v = v
	}
	return err
}

// Value implements driver.Valuer.
func (c column[T]) Value() (driver.Value, error) { return c.encode(*c.v) }

// timeColumn is unix nanoseconds, NULL for the zero time.
func timeColumn(t *time.Time) column[time.Time] {
	return column[time.Time]{
		v:      t,
		encode: func(t time.Time) (driver.Value, error) { return nanos(t), nil },
		decode: func(src any) (time.Time, error) {
			n, ok := src.(int64)
			if !ok {
				return time.Time{}, fmt.Errorf("time column holds a %T", src)
			}
			return time.Unix(0, n).UTC(), nil
		},
	}
}

// nanos returns what a time column holds for t. Statements that compare use t.UnixNano(), since NULL compares with
// nothing.
func nanos(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return t.UnixNano()
}

// blobColumn is a reference in binary form, NULL for none.
func blobColumn(b *batch.Blob) column[batch.Blob] {
	return column[batch.Blob]{
		v: b,
		encode: func(b batch.Blob) (driver.Value, error) {
			if b.Zero() {
				return nil, nil
			}
			return batch.AppendBlob(nil, b), nil
		},
		decode: decodeBytes(batch.DecodeBlob),
	}
}

// manifestColumn is a manifest in binary form, NULL for an empty one.
func manifestColumn(m *batch.Manifest) column[batch.Manifest] {
	return column[batch.Manifest]{
		v: m,
		encode: func(m batch.Manifest) (driver.Value, error) {
			if len(m) == 0 {
				return nil, nil
			}
			return batch.EncodeManifest(m), nil
		},
		decode: decodeBytes(batch.DecodeManifest),
	}
}

// leaseColumn is a lease id as it is, NULL for the zero id.
func leaseColumn(id *batch.LeaseID) column[batch.LeaseID] {
	return column[batch.LeaseID]{
		v: id,
		encode: func(id batch.LeaseID) (driver.Value, error) {
			if id == (batch.LeaseID{}) {
				return nil, nil
			}
			return id[:], nil
		},
		decode: decodeBytes(func(raw []byte) (batch.LeaseID, error) {
			var id batch.LeaseID
			if copy(id[:], raw) != len(id) || len(raw) != len(id) {
				return id, fmt.Errorf("lease id of %d bytes", len(raw))
			}
			return id, nil
		}),
	}
}

// listColumn is a JSON array, NULL for an empty one.
func listColumn[T any](list *[]T) column[[]T] {
	return column[[]T]{
		v: list,
		encode: func(list []T) (driver.Value, error) {
			if len(list) == 0 {
				return nil, nil
			}
			raw, err := json.Marshal(list)
			return string(raw), err
		},
		decode: func(src any) ([]T, error) {
			text, ok := src.(string)
			if !ok {
				return nil, fmt.Errorf("list column holds a %T", src)
			}
			var list []T
			err := json.Unmarshal([]byte(text), &list)
			return list, err
		},
	}
}

// decodeBytes lets decode read a column of bytes. It must not keep what it is given: the driver may use the memory
// again for the next row.
func decodeBytes[T any](decode func([]byte) (T, error)) func(any) (T, error) {
	return func(src any) (T, error) {
		raw, ok := src.([]byte)
		if !ok {
			var zero T
			return zero, fmt.Errorf("bytes column holds a %T", src)
		}
		return decode(raw)
	}
}
