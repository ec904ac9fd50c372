package batches

import (
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
	"batchd/internal/store"
)

// edits reports whether the call's dialect has the editing of batches, which is ours.
func edits(c *httpapi.Call) bool {
	_, ok := c.Dialect.(dialect.Editor)
	return ok && c.Dialect.Extensions()
}

// edit changes what may be changed of a batch in any state.
func (a *API) edit(c *httpapi.Call) error {
	editor, ok := c.Dialect.(dialect.Editor)
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
	if b, err = a.live(c, b); err != nil {
		return err
	}
	return c.JSON(c.Dialect.Batch(b))
}
