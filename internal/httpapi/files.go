package httpapi

import (
	"errors"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// file looks up the file named in the path.
func (c *Call) file() (batch.File, error) {
	id, err := c.ID("file")
	if err != nil {
		return batch.File{}, err
	}
	f, err := c.Store.File(c.Context(), c.Who.Tenant, id, c.Now())
	if errors.Is(err, store.ErrExpired) {
		return batch.File{}, c.Dialect.FileExpired(id)
	}
	return f, c.Missing(err, "file", id)
}

func (c *Call) retrieveFile() error {
	f, err := c.file()
	if err != nil {
		return err
	}
	return c.JSON(c.Dialect.File(f))
}

// deleteFile hides the file at once. A batch that reads it, and downloads under way, go on undisturbed.
func (c *Call) deleteFile() error {
	id, err := c.ID("file")
	if err != nil {
		return err
	}
	if err := c.Store.DeleteFile(c.Context(), c.Who.Tenant, id, c.Now()); err != nil {
		return c.Missing(err, "file", id)
	}
	return c.JSON(c.Dialect.DeletedFile(id))
}

func (c *Call) listFiles() error {
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
		return batch.Invalidf("order", "invalid_value", "Invalid value: '%s'. Supported values are: 'asc' and 'desc'.", Clip(order))
	}
	page, err := c.Store.ListFiles(c.Context(), c.Who.Tenant, store.FileQuery{
		Purpose: batch.Purpose(query.Get("purpose")), After: after, Limit: limit, Ascending: order == "asc", Now: c.Now(),
	})
	if err != nil {
		return fmt.Errorf("list files: %w", err)
	}
	return c.JSON(c.Dialect.FileList(page.Items, page.HasMore))
}
