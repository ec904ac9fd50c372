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
// unreferenced is deleted. Marks are in memory only, so a restart begins the day again: a blob that stays too long
// costs space, one that goes too early costs data.
//
// The leases are read before the blobs are listed. A blob whose holder took its lease in between is marked at most: by
// the second look its lease is in the list, or a row refers to it, or nobody is coming back for it.
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

// look asks the store about some blobs, marks those newly found unreferenced and deletes those marked long ago. It adds
// to seen what stays marked.
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
