package httpapi

import (
	"errors"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// file looks up the file named in the path.
func (c *call) file() (batch.File, error) {
	id, err := c.id("file")
	if err != nil {
		return batch.File{}, err
	}
	f, err := c.Store.File(c.r.Context(), c.who.Tenant, id, c.Now())
	if errors.Is(err, store.ErrExpired) {
		return batch.File{}, c.Dialect.FileExpired(id)
	}
	return f, c.missing(err, "file", id)
}

// missing words the store's ErrNotFound in the dialect, and names the object in any other error.
func (c *call) missing(err error, kind, id string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return c.Dialect.NotFound(kind, id)
	default:
		return fmt.Errorf("%s %s: %w", kind, id, err)
	}
}

func (c *call) retrieveFile() error {
	f, err := c.file()
	if err != nil {
		return err
	}
	return c.json(c.Dialect.File(f))
}

// deleteFile hides the file at once. A batch that reads it, and downloads under way, go on undisturbed.
func (c *call) deleteFile() error {
	id, err := c.id("file")
	if err != nil {
		return err
	}
	if err := c.Store.DeleteFile(c.r.Context(), c.who.Tenant, id, c.Now()); err != nil {
		return c.missing(err, "file", id)
	}
	return c.json(c.Dialect.DeletedFile(id))
}

func (c *call) listFiles() error {
	query := c.r.URL.Query()
	limit, err := pageLimit(query, c.Paging.Files, c.Paging.Clamp)
	if err != nil {
		return err
	}
	after, err := cursor(query)
	if err != nil {
		return err
	}
	order := query.Get("order")
	if order != "" && order != "asc" && order != "desc" {
		return batch.Invalidf("order", "invalid_value", "Invalid value: '%s'. Supported values are: 'asc' and 'desc'.", clipWord(order))
	}
	page, err := c.Store.ListFiles(c.r.Context(), c.who.Tenant, store.FileQuery{
		Purpose: batch.Purpose(query.Get("purpose")), After: after, Limit: limit, Ascending: order == "asc", Now: c.Now(),
	})
	if err != nil {
		return listFault(err)
	}
	return c.json(c.Dialect.FileList(page.Items, page.HasMore))
}
