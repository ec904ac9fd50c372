// Package batches answers the calls on batches: create, retrieve, list, edit, cancel, retry. It stores what is asked for
// and wakes the executor; it never looks into files.
package batches

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
	"batchd/internal/retry"
	"batchd/internal/store"
)

// Executor runs batches. Its methods may be called concurrently and must not block.
type Executor interface {
	// Counts returns the live counts of a running batch, which are ahead of the stored ones. A batch has them from before
	// it can be seen as running until after its terminal state is stored; false means that it may have ended meanwhile.
	Counts(batchID string) (batch.Counts, bool)
	// WaitingFor returns why lines of a running batch, or a step of one that has not ended, wait; nil for nothing.
	WaitingFor(batchID string) []batch.Waiting
	// Damaged returns which files of a batch were found damaged, nil for none.
	Damaged(b batch.Batch) []batch.DamagedFile
	// Created and Cancelled are called right after the change of a batch is stored, so that what they tell of outlives a
	// crash; Ended is called after something for which webhooks may be due.
	Created(batchID string)
	Cancelled(batchID string)
	Ended()
	// CheckCallback refuses, with a *batch.Error, an address that may not be told of a batch's end.
	CheckCallback(url string) error
}

// Store is the part of the metadata store that the API needs. Each of its methods is one atomic step, so that no call here
// holds a lock or a transaction.
type Store interface {
	store.Batches
	// File returns a file, or store.ErrNotFound.
	File(ctx context.Context, tenant, id string, now time.Time) (batch.File, error)
}

// API answers calls on batches. It may be used concurrently.
type API struct {
	store    Store
	executor Executor
	retrier  *retry.Retrier
}

// New returns an API on the batches in s, which executor runs and of which retrier makes further ones.
func New(s Store, executor Executor, retrier *retry.Retrier) *API {
	return &API{store: s, executor: executor, retrier: retrier}
}

// Routes returns the routes of OpenAI's Batch API and of what batchd adds to it: edit and retry, which no strict dialect has.
func (a *API) Routes() []httpapi.Route {
	edits := func(c *httpapi.Call) bool {
		_, ok := c.Dialect.(dialect.Editor)
		return ok && c.Dialect.Extensions()
	}
	return []httpapi.Route{
		{Path: "/batches", Methods: map[string]httpapi.Handler{"POST": a.create, "GET": a.list}, ActFor: []string{"GET"}},
		{
			Path:    "/batches/{id}",
			Methods: map[string]httpapi.Handler{"GET": a.retrieve, "PATCH": a.edit},
			ActFor:  []string{"GET", "PATCH"},
			Offered: func(c *httpapi.Call, method string) bool { return method != http.MethodPatch || edits(c) },
		},
		{Path: "/batches/{id}/cancel", Methods: map[string]httpapi.Handler{"POST": a.cancel}, ActFor: []string{"POST"}},
		{
			Path:    "/batches/{id}/retry",
			Methods: map[string]httpapi.Handler{"POST": a.retry},
			ActFor:  []string{"POST"}, // of lines that the tenant has sent once already
			Offered: func(c *httpapi.Call, _ string) bool { return c.Dialect.Extensions() },
		},
	}
}

// batch looks up the batch named in the path.
func (a *API) batch(c *httpapi.Call) (batch.Batch, error) {
	id, err := c.ID("batch")
	if err != nil {
		return batch.Batch{}, err
	}
	b, err := a.store.Batch(c.Context(), c.Who.Tenant, id)
	return b, c.Missing(err, "batch", id)
}

// retrieve answers with a batch as it is now.
func (a *API) retrieve(c *httpapi.Call) error {
	b, err := a.batch(c)
	if err != nil {
		return err
	}
	if b, err = a.Live(c, b); err != nil {
		return err
	}
	return c.JSON(c.Dialect.Batch(b))
}

// Live returns a running batch with its live counts in place of the stored ones, any that has not ended with what it
// waits for, and each with those of its files that are damaged. If there are no
// live counts, the batch may have ended since its row was read; the row is read again, because counts that were shown must never go
// back. The executor drops counts only after the final ones are stored.
func (a *API) Live(c *httpapi.Call, b batch.Batch) (batch.Batch, error) {
	b.WaitingFor = a.waitingFor(c, b)
	if c.Dialect.Extensions() {
		b.Damaged = a.executor.Damaged(b)
	}
	if b.Status.Terminal() || b.Status == batch.Validating {
		return b, nil
	}
	if counts, ok := a.executor.Counts(b.ID); ok {
		b.Counts = counts
		return b, nil
	}
	again, err := a.store.Batch(c.Context(), b.Tenant, b.ID)
	return again, c.Missing(err, "batch", b.ID)
}

// waitingFor returns what a batch that has not ended waits for, as far as the caller may know: an upstream's own words are for
// the operator, and for the batch whose line got them. Lines wait for something only while they are being sent; what else a
// batch waits for is about no line.
func (a *API) waitingFor(c *httpapi.Call, b batch.Batch) []batch.Waiting {
	if !c.Dialect.Extensions() || b.Status.Terminal() {
		return nil
	}
	// The executor may hand the same slice to other calls, some of which may show the message.
	all := slices.Clone(a.executor.WaitingFor(b.ID))
	if b.Status != batch.InProgress || b.Stop != batch.StopNone {
		all = slices.DeleteFunc(all, func(w batch.Waiting) bool { return w.Lines > 0 })
	}
	for i := range all {
		if !all[i].Own && !c.Who.Operator {
			all[i].Message = ""
		}
	}
	return all
}

// cancel asks for a batch to stop. Asking again is no fault.
func (a *API) cancel(c *httpapi.Call) error {
	id, err := c.ID("batch")
	if err != nil {
		return err
	}
	b, err := a.store.CancelBatch(c.Context(), c.Who.Tenant, id, c.Now())
	if errors.Is(err, store.ErrConflict) {
		return c.Dialect.CannotCancel(b)
	}
	if err != nil {
		return c.Missing(err, "batch", id)
	}
	// After the store: a crash in between leaves a batch that the next start finds stopped, not one that goes on.
	a.executor.Cancelled(id)
	if b, err = a.Live(c, b); err != nil {
		return err
	}
	return c.JSON(c.Dialect.CancelledBatch(b))
}

// edit changes what may be changed of a batch in any state: a note beside it, nothing that its run depends on.
func (a *API) edit(c *httpapi.Call) error {
	editor, ok := c.Dialect.(dialect.Editor) // Offered has refused every other dialect already
	if !ok {
		return httpapi.NoRoute()
	}
	id, err := c.ID("batch")
	if err != nil {
		return err
	}
	body, err := c.Body()
	if err != nil {
		return err
	}
	asked, err := editor.ParseEditBatch(body)
	if err != nil {
		return err
	}
	b, err := a.store.EditBatch(c.Context(), c.Who.Tenant, id, store.Edit{Remark: asked.Remark}, c.Now())
	if err != nil {
		return c.Missing(err, "batch", id)
	}
	if b, err = a.Live(c, b); err != nil {
		return err
	}
	return c.JSON(c.Dialect.Batch(b))
}

// retry makes a new batch of those lines of an ended one that have no good result, if there is room for a copy of them.
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
	// A call that is sent again is answered with the batch that the first one made, whatever holds by now: the checks are
	// for calls that would make one.
	next, err := a.once(c, key, func() (batch.Batch, error) {
		if err := retry.Check(ended); err != nil {
			return batch.Batch{}, err
		}
		if err := c.CheckRoom(); err != nil {
			return batch.Batch{}, err
		}
		return a.retrier.Retry(c.Context(), retry.Request{
			Ended: ended, FileID: c.Dialect.NewFileID(), BatchID: c.Dialect.NewBatchID(), KeyID: c.Who.KeyID,
			Window: asked.Window, InputTTL: c.InputTTL,
			Create: func(b batch.Batch) (batch.Batch, error) { return a.keep(c, b, key) },
		})
	})
	if err != nil {
		return err
	}
	return c.JSON(c.Dialect.Batch(next))
}
