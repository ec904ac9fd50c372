package batches

import (
	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
	"batchd/internal/retry"
	"batchd/internal/store"
)

// retries reports whether the call's dialect has the retry of batches, which is ours.
func retries(c *httpapi.Call, _ string) bool { return c.Dialect.Extensions() }

// retry makes a new batch of those lines of an ended one that have no good result.
func (a *API) retry(c *httpapi.Call) error {
	body, err := c.Body()
	if err != nil {
		return err
	}
	asked, err := c.Dialect.ParseRetryBatch(body, c.CreateRules)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(c, body)
	if err != nil {
		return err
	}
	ended, err := a.batch(c)
	if err != nil {
		return err
	}
	b, err := a.once(c, key, func() (batch.Batch, error) { return a.continueBatch(c, ended, asked, key) })
	if err != nil {
		return err
	}
	return c.JSON(c.Dialect.Batch(b))
}

// continueBatch retries a batch if that can be done and there is room for a copy of its lines.
func (a *API) continueBatch(c *httpapi.Call, ended batch.Batch, asked dialect.RetryBatch, key *store.IdempotencyKey) (batch.Batch, error) {
	if err := retry.Check(ended); err != nil {
		return batch.Batch{}, err
	}
	if err := c.CheckRoom(); err != nil {
		return batch.Batch{}, err
	}
	return a.retrier.Retry(c.Context(), retry.Request{
		Ended: ended, FileID: c.Dialect.NewFileID(), BatchID: c.Dialect.NewBatchID(), KeyID: c.Who.KeyID,
		Window: asked.Window, InputTTL: c.InputTTL,
		Create: func(next batch.Batch) (batch.Batch, error) { return a.keep(c, next, key) },
	})
}
