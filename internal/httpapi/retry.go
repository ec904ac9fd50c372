package httpapi

import (
	"context"
	"errors"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/store"
)

// retries reports whether the call's dialect and this server have the retry of batches, which is ours.
func (c *call) retries() bool { return c.Remainder != nil && c.dialect.Extensions() }

// retryBatch makes a new batch of those lines of an ended one that have no good result.
func (c *call) retryBatch() error {
	body, err := c.body()
	if err != nil {
		return err
	}
	asked, err := c.dialect.ParseRetryBatch(body, c.mount.CreateRules)
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
	return c.json(c.dialect.Batch(b))
}

// continueBatch stores what is left of a batch as a file, and a batch that reads it. Without the batch the file goes
// again.
func (c *call) continueBatch(ended batch.Batch, asked dialect.RetryBatch, key *store.IdempotencyKey) (batch.Batch, error) {
	if err := retryable(ended); err != nil {
		return batch.Batch{}, err
	}
	if err := c.StorageFull(); err != nil {
		return batch.Batch{}, c.fullOr(err)
	}
	if asked.Window == "" {
		asked.Window = ended.Window
	}
	b, err := c.newBatch(dialect.CreateBatch{
		InputFileID: c.dialect.NewFileID(), Endpoint: ended.Endpoint, Window: asked.Window, Metadata: ended.Metadata,
		Remark: ended.Remark, CallbackURL: ended.CallbackURL,
	})
	if err != nil {
		return batch.Batch{}, err
	}
	// The lines are those of the dialect that the ended batch was made in: only it is sure to understand them.
	b.Dialect, b.OutputTTL, b.ContinuedFrom = ended.Dialect, ended.OutputTTL, ended.ID
	if err := c.keepRemainder(ended, b); err != nil {
		return batch.Batch{}, err
	}
	stored, err := c.keepBatch(b, key)
	if err != nil || stored.ID != b.ID {
		c.dropInput(b)
	}
	return stored, err
}

// retryable refuses a batch of which nothing is left to run, or may not be run yet.
func retryable(b batch.Batch) error {
	fault := &batch.Error{Class: batch.Conflict}
	switch {
	case !b.Status.Terminal():
		fault.Code, fault.Message = "batch_not_ended", "This batch has not ended yet. Wait until it has, or cancel it, before you retry it."
	case b.Status == batch.Failed:
		fault.Code, fault.Message = "batch_failed", "This batch failed validation, so none of its lines was run. Correct its input file and create a new batch."
	case b.Counts.Total == 0:
		fault.Code, fault.Message = "nothing_to_retry", "This batch ended before its input file was read. Create a new batch with the same file."
	case b.Counts.Total == b.Counts.Completed:
		fault.Code, fault.Message = "nothing_to_retry", "Every line of this batch has a good result. There is nothing to retry."
	default:
		return nil
	}
	return fault
}

// keepRemainder stores the lines of a batch that have no good result as the input file of the next one.
func (c *call) keepRemainder(ended, next batch.Batch) error {
	ctx := c.r.Context()
	rest, lines, err := c.Remainder(ctx, ended)
	if err != nil {
		return fmt.Errorf("remainder of batch %s: %w", ended.ID, err)
	}
	file := batch.File{
		ID: next.InputFileID, Tenant: c.who.Tenant, Dialect: next.Dialect, Name: ended.ID + "_retry.jsonl",
		Purpose: batch.PurposeBatch, Bytes: rest.Size, Lines: lines, CreatedAt: next.CreatedAt,
		Content: batch.Manifest{}.Append(rest, 0, rest.Size),
	}
	if c.mount.InputLife > 0 {
		file.ExpiresAt = next.CreatedAt.Add(c.mount.InputLife)
	}
	err = c.Store.CreateFile(ctx, file)
	var quota *store.QuotaError
	if errors.As(err, &quota) {
		// The row is certainly not there, and a client that is over its quota may try often.
		c.discardBlob(rest)
	}
	if err != nil {
		return fmt.Errorf("create file %s: %w", file.ID, c.quotaFault(err))
	}
	return nil
}

// dropInput deletes the file that was made for a batch which was not stored. Its bytes follow with sweeping, as those of
// every deleted file do.
func (c *call) dropInput(b batch.Batch) {
	c.tidy(func(ctx context.Context) error { return c.Store.DeleteFile(ctx, b.Tenant, b.InputFileID, c.Now()) })
}
