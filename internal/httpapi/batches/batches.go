// Package batches answers the calls on batches: create, retrieve, list, edit, cancel, retry. It stores what is asked for
// and tells the executor; what a batch's lines come to is not its business.
package batches

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/httpapi"
	"batchd/internal/retry"
	"batchd/internal/store"
)

// Executor runs batches. Its methods may be called concurrently and must not block.
type Executor interface {
	// Counts returns the live counts of a running batch, which are ahead of the stored ones. A batch has them from before
	// it can be seen as running until after its terminal state is stored; false means that it may have ended meanwhile.
	Counts(batchID string) (batch.Counts, bool)
	// WaitingFor returns why lines of a running batch wait, nil for nothing.
	WaitingFor(batchID string) []batch.Waiting
	// Created and Cancelled are told of batches right after the change is stored, Ended that something happened which
	// webhooks may be due for.
	Created(batchID string)
	Cancelled(batchID string)
	Ended()
	// CheckCallback refuses, with a *batch.Error, an address that may not be told of a batch's end.
	CheckCallback(url string) error
}

// Store is the part of the metadata store that the API needs.
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

// Routes returns the routes of OpenAI's Batch API and of what batchd adds to it.
func (a *API) Routes() []httpapi.Route {
	return []httpapi.Route{
		{Path: "/batches", Methods: map[string]httpapi.Handler{"POST": a.create, "GET": a.list}},
		{
			Path:    "/batches/{id}",
			Methods: map[string]httpapi.Handler{"GET": a.retrieve, "PATCH": a.edit},
			Offered: func(c *httpapi.Call, method string) bool { return method != http.MethodPatch || edits(c) },
		},
		{Path: "/batches/{id}/cancel", Methods: map[string]httpapi.Handler{"POST": a.cancel}},
		{Path: "/batches/{id}/retry", Methods: map[string]httpapi.Handler{"POST": a.retry}, Offered: retries},
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

func (a *API) retrieve(c *httpapi.Call) error {
	b, err := a.batch(c)
	if err != nil {
		return err
	}
	if b, err = a.live(c, b); err != nil {
		return err
	}
	return c.JSON(c.Dialect.Batch(b))
}

// live puts the live counts in place of the stored ones of a running batch, and adds what it waits for. If there are none,
// the batch may have ended since its row was read; the row is read again, because counts that were shown must never go
// back.
func (a *API) live(c *httpapi.Call, b batch.Batch) (batch.Batch, error) {
	b.WaitingFor = a.waitingFor(c, b)
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

func (a *API) list(c *httpapi.Call) error {
	selected, err := filters(c)
	if err != nil {
		return err
	}
	if selected.Limit, err = c.PageLimit(c.Paging.Batches); err != nil {
		return err
	}
	if selected.After, err = c.After(); err != nil {
		return err
	}
	page, err := a.store.ListBatches(c.Context(), c.Who.Tenant, selected)
	if err != nil {
		return fmt.Errorf("list batches: %w", err)
	}
	for i, b := range page.Items {
		if page.Items[i], err = a.live(c, b); err != nil {
			return err
		}
	}
	return c.JSON(c.Dialect.BatchList(page.Items, page.HasMore))
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
	a.executor.Cancelled(id)
	if b, err = a.live(c, b); err != nil {
		return err
	}
	return c.JSON(c.Dialect.CancelledBatch(b))
}

// waitingFor returns what a running batch waits for, as far as the caller may know: an upstream's own words are for the
// operator, and for the batch whose line got them.
func (a *API) waitingFor(c *httpapi.Call, b batch.Batch) []batch.Waiting {
	if !c.Dialect.Extensions() || b.Status != batch.InProgress || b.Stop != batch.StopNone {
		return nil
	}
	all := a.executor.WaitingFor(b.ID)
	if c.Who.Operator {
		return all
	}
	all = slices.Clone(all)
	for i := range all {
		if !all[i].Own {
			all[i].Message = ""
		}
	}
	return all
}
