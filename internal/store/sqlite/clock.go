package sqlite

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"batchd/internal/store"
)

var _ store.Clock = (*Store)(nil)

// timeKey is the row of meta that holds the last time, in unix nanoseconds.
const timeKey = "last_time"

// LastTime implements store.Clock.
func (s *Store) LastTime(ctx context.Context) (time.Time, error) {
	var text string
	var nanoseconds int64
	found, err := one(ctx, s.readers, []any{&text}, `SELECT value FROM meta WHERE key = ?`, timeKey)
	if err == nil && found {
		nanoseconds, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read last time: %w", err)
	}
	if !found {
		return time.Time{}, nil
	}
	return time.Unix(0, nanoseconds).UTC(), nil
}

// SaveTime implements store.Clock.
func (s *Store) SaveTime(ctx context.Context, t time.Time) error {
	_, err := s.changeRows(ctx, `INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
		timeKey, strconv.FormatInt(t.UnixNano(), 10))
	if err != nil {
		return fmt.Errorf("save time: %w", err)
	}
	return nil
}
