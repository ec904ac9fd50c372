package httpapi

import (
	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/retry"
	"batchd/internal/store"
)

// retries reports whether the call's dialect and this server have the retry of batches, which is ours.
func (c *Call) retries() bool { return c.Retry != nil && c.Dialect.Extensions() }

// retryBatch makes a new batch of those lines of an ended one that have no good result.
func (c *Call) retryBatch() error {
	body, err := c.Body()
	if err != nil {
		return err
	}
	asked, err := c.Dialect.ParseRetryBatch(body, c.CreateRules)
	if err != nil {
		return err
	}
	key, err := c.idempotencyKey(body)
	if err != nil {
		return err
	}
	ended, err := c.batch()
	if err != nil {
		return err
	}
	b, err := c.once(key, func() (batch.Batch, error) { return c.continueBatch(ended, asked, key) })
	if err != nil {
		return err
	}
	return c.JSON(c.Dialect.Batch(b))
}

// continueBatch retries a batch if that can be done and there is room for a copy of its lines.
func (c *Call) continueBatch(ended batch.Batch, asked dialect.RetryBatch, key *store.IdempotencyKey) (batch.Batch, error) {
	if err := retry.Check(ended); err != nil {
		return batch.Batch{}, err
	}
	if err := c.CheckRoom(); err != nil {
		return batch.Batch{}, err
	}
	return c.Retry.Retry(c.Context(), retry.Request{
		Ended: ended, FileID: c.Dialect.NewFileID(), BatchID: c.Dialect.NewBatchID(), KeyID: c.Who.KeyID,
		Window: asked.Window, InputTTL: c.InputTTL,
		Create: func(next batch.Batch) (batch.Batch, error) { return c.keepBatch(next, key) },
	})
}
