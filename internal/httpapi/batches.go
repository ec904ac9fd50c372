package httpapi

import (
	"context"
	"errors"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// batch looks up the batch named in the path.
func (c *call) batch() (batch.Batch, error) {
	id, err := c.id("batch")
	if err != nil {
		return batch.Batch{}, err
	}
	b, err := c.Store.Batch(c.r.Context(), c.who.Tenant, id)
	return b, c.missing(err, "batch", id)
}

func (c *call) retrieveBatch() error {
	b, err := c.batch()
	if err != nil {
		return err
	}
	if b, err = c.live(c.r.Context(), b); err != nil {
		return err
	}
	return c.json(c.Dialect.Batch(b))
}

// live puts the live counts in place of the stored ones of a running batch, and adds what it waits for. If there are none, the batch may have
// ended since its row was read; the row is read again, because counts that were shown must never go back.
func (c *call) live(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	b.WaitingFor = c.waitingFor(b)
	if c.Progress == nil || b.Status.Terminal() || b.Status == batch.Validating {
		return b, nil
	}
	if counts, ok := c.Progress(b.ID); ok {
		b.Counts = counts
		return b, nil
	}
	again, err := c.Store.Batch(ctx, b.Tenant, b.ID)
	return again, c.missing(err, "batch", b.ID)
}

func (c *call) listBatches() error {
	query := c.r.URL.Query()
	selected, err := c.filters(query)
	if err != nil {
		return err
	}
	if selected.Limit, err = pageLimit(query, c.Paging.Batches, c.Paging.Clamp); err != nil {
		return err
	}
	if selected.After, err = cursor(query); err != nil {
		return err
	}
	ctx := c.r.Context()
	page, err := c.Store.ListBatches(ctx, c.who.Tenant, selected)
	if err != nil {
		return listFault(err)
	}
	for i, b := range page.Items {
		if page.Items[i], err = c.live(ctx, b); err != nil {
			return err
		}
	}
	return c.json(c.Dialect.BatchList(page.Items, page.HasMore))
}

// cancelBatch asks for a batch to stop. Asking again is no fault.
func (c *call) cancelBatch() error {
	id, err := c.id("batch")
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	b, err := c.Store.CancelBatch(ctx, c.who.Tenant, id, c.Now())
	if errors.Is(err, store.ErrConflict) {
		return c.Dialect.CannotCancel(b)
	}
	if err != nil {
		return c.missing(err, "batch", id)
	}
	c.Cancelled(id)
	if b, err = c.live(ctx, b); err != nil {
		return err
	}
	return c.json(c.Dialect.CancelledBatch(b))
}
