package batches

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/failpoint"
	"batchd/internal/httpapi"
	"batchd/internal/store"
)

// create checks everything that needs no look into the file, and stores the batch. What is wrong inside the file
// is for validation to find.
func (a *API) create(c *httpapi.Call) error {
	body, err := c.Body()
	if err != nil {
		return err
	}
	asked, err := c.Dialect.ParseCreateBatch(body, c.CreateRules)
	if err != nil {
		return err
	}
	key, err := keyOfCreate(c, asked, body)
	if err != nil {
		return err
	}
	// The key comes before every check that looks something up: a call that is sent again gets its batch even if the input
	// file was deleted or a limit was reached since.
	b, err := a.once(c, key, func() (batch.Batch, error) { return a.storeBatch(c, asked, key) })
	if err != nil {
		return err
	}
	return c.JSON(c.Dialect.Batch(b))
}

// storeBatch makes the batch that was asked for, checks it against what the tenant has, and stores it.
func (a *API) storeBatch(c *httpapi.Call, asked dialect.CreateBatch, key *store.IdempotencyKey) (batch.Batch, error) {
	if asked.CallbackURL != "" {
		if err := a.executor.CheckCallback(asked.CallbackURL); err != nil {
			return batch.Batch{}, err
		}
	}
	window, err := batch.ParseWindow(asked.Window)
	if err != nil {
		return batch.Batch{}, fmt.Errorf("window accepted by dialect %s: %w", c.Dialect.Name(), err)
	}
	now := c.Time()
	b := batch.Batch{
		ID: c.Dialect.NewBatchID(), Tenant: c.Who.Tenant, KeyID: c.Who.KeyID, Dialect: c.Dialect.Name(),
		Endpoint: asked.Endpoint, InputFileID: asked.InputFileID, Window: asked.Window, Metadata: asked.Metadata,
		OutputTTL: cmp.Or(time.Duration(asked.OutputTTLSeconds)*time.Second, c.OutputTTL), Remark: asked.Remark, CallbackURL: asked.CallbackURL,
		Status: batch.Validating, Stop: batch.StopNone, CreatedAt: now.Wall, ExpiresAt: now.Wall.Add(window),
		Ahead: now.Ahead(), Shift: now.Shift,
	}
	if err = a.checkInput(c, b); err == nil {
		b, err = a.keep(c, b, key) // which finds, in its transaction, that the file was deleted since
	}
	var unusable *unusableInput
	if !errors.As(err, &unusable) || !c.MissingFileFails {
		return b, err
	}
	return a.keepFailed(c, b, key)
}

// keepFailed stores a batch that has failed for want of its input file. Of calls under one key only the first makes one; the
// others get that one.
func (a *API) keepFailed(c *httpapi.Call, b batch.Batch, key *store.IdempotencyKey) (batch.Batch, error) {
	why := []batch.LineError{c.Dialect.InputMissing(b.InputFileID)}
	var failed batch.Batch
	var err error
	if key == nil {
		failed, err = a.store.CreateFailedBatch(c.Context(), b, why)
	} else {
		failed, err = a.store.CreateFailedBatchOnce(c.Context(), b, *key, why)
	}
	switch {
	case errors.Is(err, store.ErrKeyReused):
		return batch.Batch{}, keyReused()
	case err != nil:
		return batch.Batch{}, fmt.Errorf("create failed batch: %w", err)
	case failed.ID != b.ID:
		return a.Live(c, failed)
	}
	a.executor.Ended()
	return failed, nil
}

// keep stores a batch and tells the executor, in this order: what it is told of must be found after a crash. Under a key that
// another call has taken meanwhile for the same request it stores nothing, and returns the batch of that call.
func (a *API) keep(c *httpapi.Call, b batch.Batch, key *store.IdempotencyKey) (batch.Batch, error) {
	ctx := c.Context()
	stored, err := b, error(nil)
	if key == nil {
		err = a.store.CreateBatch(ctx, b)
	} else {
		stored, err = a.store.CreateBatchOnce(ctx, b, *key)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return b, noInput(b.InputFileID)
	case errors.Is(err, store.ErrKeyReused):
		return b, keyReused()
	case err != nil:
		return b, fmt.Errorf("create batch: %w", err)
	case stored.ID != b.ID:
		return a.Live(c, stored)
	}
	// From here on the batch is found after a crash, and run; the client that got no answer asks again, or lists.
	failpoint.Hit(failpoint.BatchCreated)
	a.executor.Created(b.ID)
	return b, nil
}

// checkInput refuses an input file that this tenant does not have, that is not for batches, or that has more lines than
// a batch may have.
func (a *API) checkInput(c *httpapi.Call, b batch.Batch) error {
	id := b.InputFileID
	if !httpapi.PlausibleID(id) {
		// No batch may be made of it, even one that has failed, since it may be anything.
		if id == "" || len(id) > httpapi.MaxID {
			id = "with this id"
		}
		return batch.Invalidf("input_file_id", "", noInputWords, id)
	}
	f, err := a.store.File(c.Context(), c.Who.Tenant, id, c.Steady())
	most := c.Limits.MaxLines
	switch {
	case errors.Is(err, store.ErrNotFound):
		return noInput(id)
	case err != nil:
		return fmt.Errorf("input file %s: %w", id, err)
	case f.Purpose != batch.PurposeBatch:
		return &unusableInput{batch.Invalidf("input_file_id", "", "File %s cannot be a batch's input: its purpose is '%s', not 'batch'.", id, f.Purpose)}
	case most > 0 && f.Lines > most:
		return batch.Invalidf("input_file_id", "", "File %s has %d lines. A batch may have at most %d; split the file.", id, f.Lines, most)
	}
	return nil
}

// unusableInput is the fault of an input file that is not there, or is for something else. Some servers refuse the call
// because of it, others create a batch that has failed; Profile.MissingFileFails says which.
type unusableInput struct{ fault *batch.Error }

// Error returns the fault's message.
func (e *unusableInput) Error() string { return e.fault.Error() }

// Unwrap returns the fault.
func (e *unusableInput) Unwrap() error { return e.fault }

// noInputWords is the same for a file that is another tenant's: whose it is, and that it is there, is not told.
const noInputWords = "Cannot find file %s. It does not exist, or you do not have access to it."

func noInput(id string) error {
	return &unusableInput{batch.Invalidf("input_file_id", "", noInputWords, id)}
}
