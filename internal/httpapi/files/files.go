// Package files answers the calls on files: upload, list, retrieve, delete, content. No byte of a file is sent that has
// not been checked first.
package files

import (
	"errors"
	"fmt"
	"sync"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/httpapi"
	"batchd/internal/httpapi/form"
	"batchd/internal/store"
)

// API answers calls on files. It may be used concurrently.
type API struct {
	store store.Files
	blobs blob.Store
	forms *form.Receiver
	// buffers keeps *[]byte of pieceBytes between downloads.
	buffers sync.Pool
}

// New returns an API on the files in s, whose bytes are in blobs.
func New(s store.Files, blobs blob.Store, forms *form.Receiver) *API {
	return &API{store: s, blobs: blobs, forms: forms}
}

// Routes returns the routes of OpenAI's Files API.
func (a *API) Routes() []httpapi.Route {
	return []httpapi.Route{
		{Path: "/files", Methods: map[string]httpapi.Handler{"POST": a.upload, "GET": a.list}},
		{Path: "/files/{id}", Methods: map[string]httpapi.Handler{"GET": a.retrieve, "DELETE": a.remove}},
		{Path: "/files/{id}/content", Methods: map[string]httpapi.Handler{"GET": a.content}},
	}
}

// file looks up the file named in the path.
func (a *API) file(c *httpapi.Call) (batch.File, error) {
	id, err := c.ID("file")
	if err != nil {
		return batch.File{}, err
	}
	f, err := a.store.File(c.Context(), c.Who.Tenant, id, c.Now())
	if errors.Is(err, store.ErrExpired) {
		return batch.File{}, c.Dialect.FileExpired(id)
	}
	return f, c.Missing(err, "file", id)
}

func (a *API) retrieve(c *httpapi.Call) error {
	f, err := a.file(c)
	if err != nil {
		return err
	}
	return c.JSON(c.Dialect.File(f))
}

// remove hides the file at once. A batch that reads it, and downloads under way, go on undisturbed.
func (a *API) remove(c *httpapi.Call) error {
	id, err := c.ID("file")
	if err != nil {
		return err
	}
	if err := a.store.DeleteFile(c.Context(), c.Who.Tenant, id, c.Now()); err != nil {
		return c.Missing(err, "file", id)
	}
	return c.JSON(c.Dialect.DeletedFile(id))
}

func (a *API) list(c *httpapi.Call) error {
	query := c.Request.URL.Query()
	limit, err := c.PageLimit(c.Paging.Files)
	if err != nil {
		return err
	}
	after, err := c.After()
	if err != nil {
		return err
	}
	order := query.Get("order")
	if order != "" && order != "asc" && order != "desc" {
		return batch.Invalidf("order", "invalid_value", "Invalid value: '%s'. Supported values are: 'asc' and 'desc'.", httpapi.Clip(order))
	}
	page, err := a.store.ListFiles(c.Context(), c.Who.Tenant, store.FileQuery{
		Purpose: batch.Purpose(query.Get("purpose")), After: after, Limit: limit, Ascending: order == "asc", Now: c.Now(),
	})
	if err != nil {
		return fmt.Errorf("list files: %w", err)
	}
	return c.JSON(c.Dialect.FileList(page.Items, page.HasMore))
}
