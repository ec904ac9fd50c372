package sqlite

import (
	"context"
	"fmt"
	"time"

	"batchd/internal/store"
)

var _ store.Clock = (*Store)(nil)

// timeKey is the row of meta that holds the last time, in unix nanoseconds, and the sum of the steps, in nanoseconds.
const timeKey = "last_time"

// LastTime implements store.Clock.
func (s *Store) LastTime(ctx context.Context) (time.Time, time.Duration, error) {
	var text string
	var at, shift int64
	found, err := one(ctx, s.readers, []any{&text}, `SELECT value FROM meta WHERE key = ?`, timeKey)
	if err == nil && found {
		_, err = fmt.Sscan(text, &at, &shift)
	}
	if err != nil {
		return time.Time{}, 0, fmt.Errorf("read last time: %w", err)
	}
	if !found {
		return time.Time{}, 0, nil
	}
	return time.Unix(0, at).UTC(), time.Duration(shift), nil
}

// SaveTime implements store.Clock.
func (s *Store) SaveTime(ctx context.Context, t time.Time, shift time.Duration) error {
	_, err := s.changeRows(ctx, `INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
		timeKey, fmt.Sprint(t.UnixNano(), int64(shift)))
	if err != nil {
		return fmt.Errorf("save time: %w", err)
	}
	return nil
}
