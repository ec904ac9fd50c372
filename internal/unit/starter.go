package unit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dispatch"
	"batchd/internal/readwait"
)

// startRetry is the pause before a batch is handed to the dispatcher again after an error.
const startRetry = 2 * time.Second

// startStep is what handing a batch over is called where it waits for stored bytes.
const startStep = "start"

// Dispatcher is what running batches are handed to; *dispatch.Dispatcher is one.
type Dispatcher interface {
	Add(b batch.Batch, work dispatch.Job, adopted []dispatch.Unit)
	Stop(batchID string, stop batch.Stop)
}

// StarterStore is the part of the metadata store that a Starter needs.
type StarterStore interface {
	BatchByID(ctx context.Context, id string) (batch.Batch, error)
	InputFile(ctx context.Context, batchID string) (batch.File, error)
	ReclaimUnits(ctx context.Context, node string) (int, error)
	RunningBatches(ctx context.Context) ([]batch.Batch, error)
}

// StarterOptions configures a Starter. All fields are required.
type StarterOptions struct {
	Keeper     *Keeper
	Store      StarterStore
	Blobs      blob.Store
	Dispatcher Dispatcher
	// Replan makes the plan of a batch again.
	Replan func(ctx context.Context, b batch.Batch) error
	// Unread is the account of what waits because stored bytes cannot be read.
	Unread *readwait.Waits
	// Node is the random name of this process.
	Node string
}

// Starter hands running batches to the dispatcher: those that an earlier process left behind, with the units whose
// journals were adopted, and those that validation starts.
type Starter struct {
	o StarterOptions

	// resuming are the batches found running at the start, oldest first, and adopted their units, until Resume.
	resuming []string
	adopted  map[string][]*Adopted
	// starting counts the goroutines that hand batches over.
	starting sync.WaitGroup

	// mu guards ctx, under which batches are started. It is nil before Resume.
	mu  sync.Mutex
	ctx context.Context
}

// NewStarter returns a Starter that has found nothing yet.
func NewStarter(o StarterOptions) *Starter {
	return &Starter{o: o, adopted: make(map[string][]*Adopted)}
}

// Recover adopts journals, makes the other units of dead processes free again, and loads the shown counts. It is called
// once, before Resume and before anybody is shown a count.
func (s *Starter) Recover(ctx context.Context) error {
	found, err := s.o.Keeper.Recover(ctx, s.o.Node)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	counts := make(map[string]batch.Counts)
	for _, a := range found {
		id := a.Unit.Batch
		s.adopted[id] = append(s.adopted[id], a)
		counts[id] = counts[id].Add(a.Counts)
	}
	if _, err := s.o.Store.ReclaimUnits(ctx, s.o.Node); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	running, err := s.o.Store.RunningBatches(ctx)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	for _, b := range running {
		s.o.Keeper.o.Progress.Load(b.ID, b.Counts.Add(counts[b.ID]))
		s.resuming = append(s.resuming, b.ID)
	}
	if len(running) > 0 {
		s.o.Keeper.o.Logger.Info("resuming batches", "batches", len(running), "journals", len(found))
	}
	return nil
}

// Resume hands over the batches that were running. From then until ctx ends, Start may be called.
func (s *Starter) Resume(ctx context.Context) {
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	for _, id := range s.resuming {
		s.start(id, s.adopted[id])
	}
	s.resuming, s.adopted = nil, nil
}

// Start hands over a batch that validation has just started. It does not wait for that.
func (s *Starter) Start(batchID string) { s.start(batchID, nil) }

// Wait returns once nothing is being handed over any more, which is soon after the end of Resume's context.
func (s *Starter) Wait() { s.starting.Wait() }

// start hands a batch over, trying again until it works or the process stops: a batch must not be stuck because its input
// could not be read for a moment.
func (s *Starter) start(batchID string, adopted []*Adopted) {
	s.mu.Lock()
	ctx := s.ctx
	s.mu.Unlock()
	s.starting.Go(func() {
		for ctx.Err() == nil {
			err := s.handOver(ctx, batchID, adopted)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				s.o.Unread.Done(batchID, startStep)
				return
			}
			wait := startRetry
			if readwait.Is(err) {
				wait = s.o.Unread.Failed(batchID, startStep, err)
			} else {
				s.o.Keeper.o.Logger.Error("bring batch to the dispatcher; trying again", "batch", batchID, "error", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
	})
}

func (s *Starter) handOver(ctx context.Context, batchID string, adopted []*Adopted) error {
	b, err := s.o.Store.BatchByID(ctx, batchID)
	if err != nil {
		return fmt.Errorf("read batch: %w", err)
	}
	file, err := s.o.Store.InputFile(ctx, batchID)
	if err != nil {
		return fmt.Errorf("find input file: %w", err)
	}
	content, err := blob.Content(ctx, s.o.Blobs, file)
	if err != nil {
		return fmt.Errorf("read manifest of input file: %w", err)
	}
	in := NewInput(b, content, s.o.Blobs)
	in.Replan = func(ctx context.Context) error { return s.o.Replan(ctx, b) }
	var open []dispatch.Unit
	for _, a := range adopted {
		u, err := s.o.Keeper.Resume(ctx, in, a)
		if err != nil {
			return err
		}
		open = append(open, u)
	}
	if _, loaded := s.o.Keeper.o.Progress.Counts(batchID); !loaded {
		s.o.Keeper.o.Progress.Load(batchID, b.Counts)
	}
	s.o.Dispatcher.Add(b, s.o.Keeper.Job(in), open)
	// A stop that was stored after b was read found no job to stop.
	if b, err = s.o.Store.BatchByID(ctx, batchID); err == nil && b.Stop != batch.StopNone {
		s.o.Dispatcher.Stop(batchID, b.Stop)
	}
	return nil
}
