package sweep

import (
	"context"
	"fmt"
	"time"

	"batchd/internal/failpoint"
	"batchd/internal/store"
)

const (
	// filesAtOnce is how many files are purged in one transaction, unless fewer have blobsAtPurge blobs: their keys are in
	// memory. A file may have more alone.
	filesAtOnce  = 100
	blobsAtPurge = 10_000
)

// purge deletes the bytes of files that were hidden long enough ago, and forgets the files. The blobs go before the row, by
// the row's references: a crash in between leaves a row whose blobs are gone, which nobody can read any more and which the
// next turn finds. A file that is busy waits for a turn at which it is not. A file that says to have been hidden far ahead
// of now goes as well: the clock has gone back, and nobody knows for how long its bytes would stay.
func (s *Sweeper) purge(ctx context.Context, now time.Time) error {
	err := s.purgeHidden(ctx, store.HiddenQuery{Before: now.Add(-store.DeletedStay)})
	if err == nil {
		err = s.purgeHidden(ctx, store.HiddenQuery{After: store.HiddenFile{HiddenAt: now.Add(store.DeletedStay)}})
	}
	if err == nil {
		err = s.dropped(ctx, now)
	}
	return err
}

// purgeHidden purges the files that q finds, page by page.
func (s *Sweeper) purgeHidden(ctx context.Context, q store.HiddenQuery) error {
	q.Limit = filesAtOnce
	for {
		page, err := s.o.Store.HiddenFiles(ctx, q)
		if err != nil {
			return err
		}
		var ids []string
		blobs := 0
		for _, f := range page {
			if s.o.Busy(f.ID) {
				continue
			}
			if len(ids) > 0 && blobs+f.Blobs > blobsAtPurge {
				if err := s.purgeFiles(ctx, ids); err != nil {
					return err
				}
				ids, blobs = ids[:0], 0
			}
			ids = append(ids, f.ID)
			blobs += f.Blobs
		}
		if err := s.purgeFiles(ctx, ids); err != nil {
			return err
		}
		if len(page) < filesAtOnce {
			return nil
		}
		q.After = page[len(page)-1]
	}
}

// purgeFiles purges some files together, so that what two of them share goes too. Where a blob cannot be deleted they are
// tried one by one: a file that stays must not keep the others.
func (s *Sweeper) purgeFiles(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	keys, err := s.o.Store.LastReferences(ctx, ids)
	if err != nil {
		return err
	}
	if err := s.deleteBlobs(ctx, keys); err != nil {
		if ctx.Err() != nil {
			return err
		}
		if len(ids) == 1 {
			s.o.Logger.Error("bytes of a deleted file not removed; trying again at the next turn", "file", ids[0], "error", err)
			return nil
		}
		for _, id := range ids {
			if err := s.purgeFiles(ctx, []string{id}); err != nil {
				return err
			}
		}
		return nil
	}
	failpoint.Hit(failpoint.BlobsDeleted)
	_, err = s.o.Store.PurgeFiles(ctx, ids)
	return err
}

// dropped deletes blobs that lost their last reference otherwise than by a file, as long ago, and forgets them.
func (s *Sweeper) dropped(ctx context.Context, now time.Time) error {
	for {
		keys, err := s.o.Store.DroppedBlobs(ctx, now.Add(-store.DeletedStay), now.Add(store.DeletedStay), blobsAtOnce)
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := s.deleteBlobs(ctx, keys); err != nil {
			return err
		}
		if err := s.o.Store.ForgetDroppedBlobs(ctx, keys); err != nil {
			return err
		}
		if len(keys) < blobsAtOnce {
			return nil
		}
	}
}

// deleteBlobs deletes blobs, as many as it can, and returns the first error.
func (s *Sweeper) deleteBlobs(ctx context.Context, keys []string) error {
	var first error
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.o.Blobs.Delete(ctx, key); err != nil && first == nil {
			first = fmt.Errorf("delete blob %s: %w", key, err)
		}
	}
	return first
}
