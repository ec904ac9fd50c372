// Package sweep is periodic care: windows that have passed, files whose life has ended, uploads that nobody will
// complete, idempotency keys that nobody will send again, deliveries that are long over, blobs that nothing refers to.
// It decides when to look; the store decides what is due. It promises never to delete a blob before it has been found
// unreferenced twice, a day of this process's own clock apart.
package sweep

import (
	"context"
	"log/slog"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/store"
)

// How often each kind of care is due, and how long things are kept before they go.
const (
	windowsEvery = 250 * time.Millisecond
	filesEvery   = 10 * time.Second
	keysEvery    = 10 * time.Minute
	blobsEvery   = time.Hour
	// downloadGrace is how long a deleted file's bytes stay for downloads under way.
	downloadGrace = time.Hour
	// blobGrace is how long an unreferenced blob waits between the two looks at it.
	blobGrace = 24 * time.Hour
	// deliveriesKept is how long a webhook's delivery can be looked up after it is over, uploadsKept an upload.
	deliveriesKept = 30 * 24 * time.Hour
	uploadsKept    = 24 * time.Hour
	// rowsAtOnce bounds one transaction, blobsAtOnce one question.
	rowsAtOnce  = 500
	blobsAtOnce = 500
)

// Store is the part of the metadata store that care needs.
type Store interface {
	ExpireBatches(ctx context.Context, now time.Time) ([]string, error)
	DeleteExpiredFiles(ctx context.Context, now time.Time, n int) (int, error)
	PurgeFiles(ctx context.Context, before time.Time, n int) (int, error)
	ExpireUploads(ctx context.Context, now time.Time, n int) (int, error)
	ForgetUploads(ctx context.Context, before time.Time, n int) (int, error)
	ForgetIdempotencyKeys(ctx context.Context, before time.Time, n int) (int, error)
	ForgetDeliveries(ctx context.Context, before time.Time, n int) (int, error)
	Unreferenced(ctx context.Context, keys []string) ([]string, error)
	LiveLeases(ctx context.Context) (map[batch.LeaseID]bool, error)
}

// Options are what a Sweeper works with; all fields are required.
type Options struct {
	Store Store
	Blobs blob.Store
	// Expired is called with each batch whose window has just passed.
	Expired func(batchID string)
	// Now is the wall clock, for windows and lives; waiting is measured by the monotonic clock that it carries.
	Now    func() time.Time
	Logger *slog.Logger
}

// Sweeper cares until told to stop.
type Sweeper struct {
	o Options
	// marked holds the blobs found unreferenced, and when.
	marked map[string]time.Time
}

// New returns a sweeper that has marked nothing.
func New(o Options) *Sweeper { return &Sweeper{o: o, marked: make(map[string]time.Time)} }

// Run cares for everything at its own pace until ctx ends.
func (s *Sweeper) Run(ctx context.Context) {
	windows, files := time.NewTicker(windowsEvery), time.NewTicker(filesEvery)
	keys, blobs := time.NewTicker(keysEvery), time.NewTicker(blobsEvery)
	defer windows.Stop()
	defer files.Stop()
	defer keys.Stop()
	defer blobs.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-windows.C:
			err = s.windows(ctx)
		case <-files.C:
			err = s.files(ctx)
		case <-keys.C:
			err = s.keys(ctx)
		case <-blobs.C:
			err = s.blobs(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.o.Logger.Error("sweep; trying again at the next turn", "error", err)
		}
	}
}

// windows stops the batches whose window has passed.
func (s *Sweeper) windows(ctx context.Context) error {
	ids, err := s.o.Store.ExpireBatches(ctx, s.o.Now())
	for _, id := range ids {
		s.o.Expired(id)
	}
	return err
}

// files hides files whose life has ended, ends uploads whose time is over, and forgets hidden files that no download can
// still be reading.
func (s *Sweeper) files(ctx context.Context) error {
	now := s.o.Now()
	return inTurn(
		func() (int, error) { return s.o.Store.DeleteExpiredFiles(ctx, now, rowsAtOnce) },
		func() (int, error) { return s.o.Store.ExpireUploads(ctx, now, rowsAtOnce) },
		func() (int, error) { return s.o.Store.PurgeFiles(ctx, now.Add(-downloadGrace), rowsAtOnce) },
	)
}

// keys forgets the idempotency keys that the store no longer honours, and uploads and deliveries that nobody will ask
// about.
func (s *Sweeper) keys(ctx context.Context) error {
	now := s.o.Now()
	return inTurn(
		func() (int, error) { return s.o.Store.ForgetIdempotencyKeys(ctx, now.Add(-store.KeyLife), rowsAtOnce) },
		func() (int, error) { return s.o.Store.ForgetUploads(ctx, now.Add(-uploadsKept), rowsAtOnce) },
		func() (int, error) { return s.o.Store.ForgetDeliveries(ctx, now.Add(-deliveriesKept), rowsAtOnce) },
	)
}

// inTurn repeats each step until it found fewer than rowsAtOnce things to do, which means that it found them all.
func inTurn(steps ...func() (int, error)) error {
	for _, step := range steps {
		for {
			done, err := step()
			if err != nil {
				return err
			}
			if done < rowsAtOnce {
				break
			}
		}
	}
	return nil
}
