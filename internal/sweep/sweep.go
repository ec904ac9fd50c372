// Package sweep does the periodic maintenance: it stops batches whose window has passed, deletes expired files, frees the
// bytes of deleted ones, ends uploads that nobody will complete, forgets idempotency keys and old deliveries, and collects
// blobs that nothing refers to. It decides when to look; the store decides what is due. It promises to delete the blobs of a
// file only once that is hidden and nobody here reads it, and a blob of unknown origin only once it has been found
// unreferenced twice, a day of this process's own clock apart.
package sweep

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/store"
)

// How often each kind of maintenance runs.
const (
	// windowsEvery is short because a batch should expire within a second of the end of its window. A look that finds
	// nothing is one indexed query.
	windowsEvery = 250 * time.Millisecond
	// filesEvery decides how soon an expired file's stay begins, and how long after it bytes go at the latest: reads leave the
	// file out from the moment it expires. store.DeletedGone has room for two turns.
	filesEvery = 10 * time.Second
	// keysEvery and blobsEvery only decide how soon space is freed. Looking at blobs lists all of them.
	keysEvery  = 10 * time.Minute
	blobsEvery = time.Hour
)

// How long things are kept before they go, and how many of them one step takes.
const (
	// blobGrace is how long an unreferenced blob waits between the two looks at it. It must be longer than any write takes
	// from putting a blob to committing the row that refers to it, without a lease in the blob's key: an upload in parts
	// refers to each part at once, so a day is ample.
	blobGrace = 24 * time.Hour
	// deliveriesKept is how long a webhook's delivery can be looked up after it is over, uploadsKept an upload.
	deliveriesKept = 30 * 24 * time.Hour
	uploadsKept    = 24 * time.Hour
	// rowsAtOnce bounds one transaction, so that maintenance never holds up other writes for long. blobsAtOnce bounds the
	// keys that one query asks about.
	rowsAtOnce  = 500
	blobsAtOnce = 500
)

// Store is the part of the metadata store that maintenance needs.
type Store interface {
	SettleWindows(ctx context.Context, shift time.Duration) (int, error)
	ExpireBatches(ctx context.Context, now time.Time) ([]string, error)
	DeleteExpiredFiles(ctx context.Context, now time.Time, n int) (int, error)
	HiddenFiles(ctx context.Context, q store.HiddenQuery) ([]store.HiddenFile, error)
	LastReferences(ctx context.Context, fileIDs []string) ([]string, error)
	PurgeFiles(ctx context.Context, fileIDs []string) (int, error)
	DroppedBlobs(ctx context.Context, before, beyond time.Time, n int) ([]string, error)
	ForgetDroppedBlobs(ctx context.Context, keys []string) error
	Freeing(ctx context.Context, tenant string, now time.Time) (store.Freeing, error)
	ExpireUploads(ctx context.Context, now time.Time, n int) (int, error)
	ForgetUploads(ctx context.Context, before time.Time, n int) (int, error)
	ForgetIdempotencyKeys(ctx context.Context, before time.Time, n int) (int, error)
	ForgetDeliveries(ctx context.Context, before time.Time, n int) (int, error)
	Unreferenced(ctx context.Context, keys []string) ([]string, error)
	LiveLeases(ctx context.Context) (map[batch.LeaseID]bool, error)
}

// Options configures a Sweeper; all fields but Agreed are required.
type Options struct {
	Store Store
	Blobs blob.Store
	// Expired is called with each batch whose window has just passed.
	Expired func(batchID string)
	// Busy reports whether somebody in this process reads a file, or did until less than store.DeletedStay ago.
	Busy func(fileID string) bool
	// Deleted is called after each turn with how many bytes of what is deleted or over wait to go.
	Deleted func(bytes int64)
	// Now is the clock that decides what has expired, as package clock says. Agreed reports whether the wall clock agrees
	// with it, and the sum of the steps that it has taken; nil stands for clocks that always agree. How long a blob waits is
	// measured by the monotonic clock.
	Now    func() time.Time
	Agreed func() (shift time.Duration, agreed bool)
	Logger *slog.Logger
}

// Sweeper does the maintenance of one store.
type Sweeper struct {
	o Options
	// marked holds the keys of blobs found unreferenced, and when. Only blobs touches it.
	marked map[string]time.Time
}

// New returns a sweeper that has marked nothing.
func New(o Options) *Sweeper {
	if o.Agreed == nil {
		o.Agreed = func() (time.Duration, bool) { return 0, true }
	}
	return &Sweeper{o: o, marked: make(map[string]time.Time)}
}

// Run does each kind of maintenance at its own pace until ctx ends. Kinds wait for each other, but for windows, which wait
// for nothing; a failure is logged, and that kind tried again at its next turn.
func (s *Sweeper) Run(ctx context.Context) {
	var looking sync.WaitGroup
	looking.Go(func() {
		windows := time.NewTicker(windowsEvery)
		defer windows.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-windows.C:
				s.tell(ctx, s.windows(ctx))
			}
		}
	})
	defer looking.Wait()
	files, keys, blobs := time.NewTicker(filesEvery), time.NewTicker(keysEvery), time.NewTicker(blobsEvery)
	defer files.Stop()
	defer keys.Stop()
	defer blobs.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-files.C:
			err = s.files(ctx)
		case <-keys.C:
			err = s.keys(ctx)
		case <-blobs.C:
			err = s.blobs(ctx)
		}
		s.tell(ctx, err)
	}
}

// tell logs what went wrong in a turn.
func (s *Sweeper) tell(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		s.o.Logger.Error("sweep; trying again at the next turn", "error", err)
	}
}

// windows stops the batches whose window has passed, and has the executor take notice. Windows of batches that were made
// while the clocks differed are settled first, if they agree again.
func (s *Sweeper) windows(ctx context.Context) error {
	if shift, agreed := s.o.Agreed(); agreed {
		if _, err := s.o.Store.SettleWindows(ctx, shift); err != nil {
			return err
		}
	}
	ids, err := s.o.Store.ExpireBatches(ctx, s.o.Now())
	for _, id := range ids {
		s.o.Expired(id)
	}
	return err
}

// files hides expired files, ends expired uploads, and frees the bytes of what nobody here can still be reading.
func (s *Sweeper) files(ctx context.Context) error {
	now := s.o.Now()
	err := inTurn(
		func() (int, error) { return s.o.Store.DeleteExpiredFiles(ctx, now, rowsAtOnce) },
		func() (int, error) { return s.o.Store.ExpireUploads(ctx, now, rowsAtOnce) },
	)
	if err != nil {
		return err
	}
	if err := s.purge(ctx, now); err != nil {
		return err
	}
	left, err := s.o.Store.Freeing(ctx, "", now)
	if err != nil {
		return err
	}
	s.o.Deleted(left.Bytes + left.Held)
	return nil
}

// keys forgets the idempotency keys that the store no longer honours, and uploads and deliveries that nobody will ask
// about.
func (s *Sweeper) keys(ctx context.Context) error {
	now := s.o.Now()
	return inTurn(
		func() (int, error) {
			return s.o.Store.ForgetIdempotencyKeys(ctx, now.Add(-store.IdempotencyKeyTTL), rowsAtOnce)
		},
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
