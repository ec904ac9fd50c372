package httpapi

import (
	"batchd/internal/dialect"
	"batchd/internal/store"
)

// edits reports whether the call's dialect has the editing of batches, which is ours.
func (c *Call) edits() bool {
	_, ok := c.Dialect.(dialect.Editor)
	return ok && c.Dialect.Extensions()
}

// editBatch changes what may be changed of a batch in any state.
func (c *Call) editBatch() error {
	editor, ok := c.Dialect.(dialect.Editor)
	if !ok {
		return NoRoute()
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
	ctx := c.Context()
	b, err := c.Store.EditBatch(ctx, c.Who.Tenant, id, store.Edit{Remark: asked.Remark}, c.Now())
	if err != nil {
		return c.Missing(err, "batch", id)
	}
	if b, err = c.live(ctx, b); err != nil {
		return err
	}
	return c.JSON(c.Dialect.Batch(b))
}
