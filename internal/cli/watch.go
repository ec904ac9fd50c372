package cli

import (
	"fmt"
	"time"

	"batchd/internal/client"
)

// watchEvery is how often a server is asked how far a batch is. Twice a second looks live; more often would use up
// the tenant's requests per minute where these are limited.
const watchEvery = 500 * time.Millisecond

// watchBatch shows progress on standard error, and the batch as it ended on standard output. It ends with 1 if the batch did not
// complete, with 3 if lines of it failed.
type watchBatch struct {
	ID string `arg:"" name:"batch-id" help:"Id of the batch."`
}

// Run watches until the batch has ended; leaving early does nothing to the batch.
func (c *watchBatch) Run(s *invocation, g *grammar) error {
	api, err := g.Batches.client(s)
	if err != nil {
		return err
	}
	return s.watch(api, c.ID, g.Batches.JSON)
}

// watch shows a batch's progress until it has ended.
func (s *invocation) watch(api *client.Client, id string, raw bool) error {
	d := newDisplay(s.Stderr, time.Now)
	b, err := s.follow(api, id, d)
	d.close()
	if s.ctx.Err() != nil {
		fmt.Fprintf(s.Stderr, "interrupted; the batch goes on. Watch it again with: batchd batches watch %s\n", id)
		return errInterrupted
	}
	if err != nil {
		return err
	}
	if err := s.showBatch(b, raw); err != nil {
		return err
	}
	return verdict(b)
}

// follow asks for the batch again and again until it has ended or the context has. A server that cannot be asked is an error at
// once: the batch goes on without being watched.
func (s *invocation) follow(api *client.Client, id string, d *display) (client.Batch, error) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		b, err := api.Batch(s.ctx, id)
		if err != nil {
			return b, err
		}
		now, waits := time.Now(), waitsOf(b)
		d.show(view{
			status: b.Status, total: b.Counts.Total, completed: b.Counts.Completed, failed: b.Counts.Failed,
			inFlight: -1, tokens: b.Usage.OutputTokens, retryIn: retryIn(waits, now), notes: notesOf(waits, now),
		})
		if b.Ended() {
			return b, nil
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return b, nil // watch says that it was interrupted
		}
	}
}

// verdict returns the error, and so the exit code, of a command that waited for a batch which ended like this.
func verdict(b client.Batch) error {
	switch {
	case b.Status != "completed":
		return errFailed
	case b.Counts.Failed > 0:
		return errSomeFailed
	default:
		return nil
	}
}
