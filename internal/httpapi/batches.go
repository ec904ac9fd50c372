package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/failpoint"
	"batchd/internal/store"
)

// maxJSONBody bounds the body of a JSON call. It has room above 1 MiB so that one oversized value gets an error that
// names it.
const maxJSONBody = batch.MiB + 64*batch.KiB

// createBatch checks everything that needs no look into the file, and stores the batch. What is wrong inside the file
// is for validation to find.
func (c *call) createBatch() error {
	if err := c.refuseEncoding(); err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxJSONBody))
	if err != nil {
		return bodyFault(err)
	}
	asked, err := c.dialect.ParseCreateBatch(body, c.mount.CreateRules)
	if err != nil {
		return err
	}
	key, err := c.idempotencyKey(body)
	if err != nil {
		return err
	}
	b, err := c.storeBatch(asked, key)
	if err != nil {
		return err
	}
	return c.json(c.dialect.Batch(b))
}

// storeBatch stores a batch and returns it. Under a key that has a batch already it stores nothing, looks at nothing
// else, and returns that batch as it is now.
func (c *call) storeBatch(asked dialect.CreateBatch, key *store.IdempotencyKey) (batch.Batch, error) {
	ctx, now := c.r.Context(), c.Now()
	if key != nil {
		b, err := c.Store.BatchOfKey(ctx, c.who.Tenant, *key, now)
		if err == nil {
			return c.live(ctx, b)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return batch.Batch{}, createFault(err, asked)
		}
	}
	if err := c.checkInput(asked.InputFileID, now); err != nil {
		return batch.Batch{}, err
	}
	b, err := c.newBatch(asked, now)
	if err != nil {
		return batch.Batch{}, err
	}
	stored := b
	if key == nil {
		err = c.Store.CreateBatch(ctx, b)
	} else {
		stored, err = c.Store.CreateBatchOnce(ctx, b, *key)
	}
	if err != nil {
		return batch.Batch{}, createFault(err, asked)
	}
	if stored.ID != b.ID {
		return c.live(ctx, stored)
	}
	failpoint.Hit(failpoint.BatchCreated)
	c.Created(b.ID)
	return b, nil
}

// createFault words what the store says about a new batch.
func createFault(err error, asked dialect.CreateBatch) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return noInput(asked.InputFileID)
	case errors.Is(err, store.ErrKeyReused):
		return keyReused()
	default:
		return fmt.Errorf("create batch: %w", err)
	}
}

// bodyFault tells a body that is too large from one that did not arrive whole.
func bodyFault(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fmt.Errorf("read request body: %w", err)
	}
	return batch.Invalidf("", "", "The request body ended early. Send the request again.")
}

func (c *call) newBatch(asked dialect.CreateBatch, now time.Time) (batch.Batch, error) {
	window, err := batch.ParseWindow(asked.Window)
	if err != nil {
		return batch.Batch{}, fmt.Errorf("window accepted by dialect %s: %w", c.dialect.Name(), err)
	}
	life := time.Duration(asked.OutputTTLSeconds) * time.Second
	if life == 0 {
		life = c.OutputLife
	}
	return batch.Batch{
		ID: c.dialect.NewBatchID(), Tenant: c.who.Tenant, KeyID: c.who.KeyID, Dialect: c.dialect.Name(),
		Endpoint: asked.Endpoint, InputFileID: asked.InputFileID, Window: asked.Window, Metadata: asked.Metadata,
		OutputTTL: life, Status: batch.Validating, Stop: batch.StopNone, CreatedAt: now, ExpiresAt: now.Add(window),
	}, nil
}

// checkInput refuses an input file that this tenant does not have, or that is not for batches.
func (c *call) checkInput(id string, now time.Time) error {
	if !plausible(id) {
		return noInput(id)
	}
	f, err := c.Store.File(c.r.Context(), c.who.Tenant, id, now)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return noInput(id)
	case err != nil:
		return fmt.Errorf("input file %s: %w", id, err)
	case f.Purpose != batch.PurposeBatch:
		return batch.Invalidf("input_file_id", "", "File %s cannot be a batch's input: its purpose is '%s', not 'batch'.", id, f.Purpose)
	}
	return nil
}

func noInput(id string) error {
	if len(id) > maxID {
		id = "with this id"
	}
	return batch.Invalidf("input_file_id", "", "Cannot find file %s. It does not exist, or you do not have access to it.", id)
}

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
	return c.json(c.dialect.Batch(b))
}

// live puts the live counts in place of the stored ones of a running batch. If there are none, the batch may have
// ended since its row was read; the row is read again, because counts that were shown must never go back.
func (c *call) live(ctx context.Context, b batch.Batch) (batch.Batch, error) {
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
	paging := c.mount.Paging
	limit, err := paging.limit(query, paging.DefaultBatches, paging.MaxBatches)
	if err != nil {
		return err
	}
	after, err := cursor(query)
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	page, err := c.Store.ListBatches(ctx, c.who.Tenant, store.BatchQuery{After: after, Limit: limit})
	if err != nil {
		return listFault(err)
	}
	for i, b := range page.Items {
		if page.Items[i], err = c.live(ctx, b); err != nil {
			return err
		}
	}
	return c.json(c.dialect.BatchList(page.Items, page.HasMore))
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
		return c.dialect.CannotCancel(b)
	}
	if err != nil {
		return c.missing(err, "batch", id)
	}
	c.Cancelled(id)
	if b, err = c.live(ctx, b); err != nil {
		return err
	}
	return c.json(c.dialect.CancelledBatch(b))
}
