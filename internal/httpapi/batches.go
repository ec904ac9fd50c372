package httpapi

import (
	"context"
	"errors"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// batch looks up the batch named in the path.
func (c *Call) batch() (batch.Batch, error) {
	id, err := c.ID("batch")
	if err != nil {
		return batch.Batch{}, err
	}
	b, err := c.Store.Batch(c.Context(), c.Who.Tenant, id)
	return b, c.Missing(err, "batch", id)
}

func (c *Call) retrieveBatch() error {
	b, err := c.batch()
	if err != nil {
		return err
	}
	if b, err = c.live(c.Context(), b); err != nil {
		return err
	}
	return c.JSON(c.Dialect.Batch(b))
}

// live puts the live counts in place of the stored ones of a running batch, and adds what it waits for. If there are none, the batch may have
// ended since its row was read; the row is read again, because counts that were shown must never go back.
func (c *Call) live(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	b.WaitingFor = c.waitingFor(b)
	if c.Progress == nil || b.Status.Terminal() || b.Status == batch.Validating {
		return b, nil
	}
	if counts, ok := c.Progress(b.ID); ok {
		b.Counts = counts
		return b, nil
	}
	again, err := c.Store.Batch(ctx, b.Tenant, b.ID)
	return again, c.Missing(err, "batch", b.ID)
}

func (c *Call) listBatches() error {
	query := c.Request.URL.Query()
	selected, err := c.filters(query)
	if err != nil {
		return err
	}
	if selected.Limit, err = c.PageLimit(c.Paging.Batches); err != nil {
		return err
	}
	if selected.After, err = c.After(); err != nil {
		return err
	}
	ctx := c.Context()
	page, err := c.Store.ListBatches(ctx, c.Who.Tenant, selected)
	if err != nil {
		return fmt.Errorf("list batches: %w", err)
	}
	for i, b := range page.Items {
		if page.Items[i], err = c.live(ctx, b); err != nil {
			return err
		}
	}
	return c.JSON(c.Dialect.BatchList(page.Items, page.HasMore))
}

// cancelBatch asks for a batch to stop. Asking again is no fault.
func (c *Call) cancelBatch() error {
	id, err := c.ID("batch")
	if err != nil {
		return err
	}
	ctx := c.Context()
	b, err := c.Store.CancelBatch(ctx, c.Who.Tenant, id, c.Now())
	if errors.Is(err, store.ErrConflict) {
		return c.Dialect.CannotCancel(b)
	}
	if err != nil {
		return c.Missing(err, "batch", id)
	}
	c.Cancelled(id)
	if b, err = c.live(ctx, b); err != nil {
		return err
	}
	return c.JSON(c.Dialect.CancelledBatch(b))
}
