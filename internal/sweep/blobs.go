package sweep

import (
	"context"
	"fmt"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

// blobs looks at every blob once: one that is unreferenced is marked; one that was marked a day ago and still is
// unreferenced goes. Marks live in memory, so a restart starts the day again: care can wait, data cannot.
func (s *Sweeper) blobs(ctx context.Context) error {
	leases, err := s.o.Store.LiveLeases(ctx)
	if err != nil {
		return err
	}
	seen := make(map[string]bool, len(s.marked))
	var keys []string
	err = s.o.Blobs.List(ctx, "", func(info blob.Info) error {
		if heldByLease(info.Key, leases) {
			return nil
		}
		keys = append(keys, info.Key)
		if len(keys) < blobsAtOnce {
			return nil
		}
		err := s.look(ctx, keys, seen)
		keys = keys[:0]
		return err
	})
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	if err := s.look(ctx, keys, seen); err != nil {
		return err
	}
	for key := range s.marked {
		if !seen[key] {
			delete(s.marked, key) // referenced again, or gone
		}
	}
	return nil
}

// look asks the store about some blobs, marks the new finds and deletes the old ones.
func (s *Sweeper) look(ctx context.Context, keys []string, seen map[string]bool) error {
	if len(keys) == 0 {
		return nil
	}
	unreferenced, err := s.o.Store.Unreferenced(ctx, keys)
	if err != nil {
		return err
	}
	for _, key := range unreferenced {
		since, marked := s.marked[key]
		switch {
		case !marked:
			s.marked[key] = time.Now()
			seen[key] = true
		case time.Since(since) < blobGrace:
			seen[key] = true
		default:
			if err := s.o.Blobs.Delete(ctx, key); err != nil {
				return fmt.Errorf("delete unreferenced blob: %w", err)
			}
			s.o.Logger.Info("deleted unreferenced blob", "key", key)
		}
	}
	return nil
}

// heldByLease reports whether a part of the key is the id of a lease that is held: its holder may be about to refer
// to the blob.
func heldByLease(key string, leases map[batch.LeaseID]bool) bool {
	for _, part := range strings.FieldsFunc(key, func(r rune) bool { return r == '/' || r == '-' }) {
		if id, err := batch.ParseLeaseID(part); err == nil && leases[id] {
			return true
		}
	}
	return false
}
