package httpapi

import (
	"batchd/internal/dialect"
	"batchd/internal/store"
)

// edits reports whether the call's dialect has the editing of batches, which is ours.
func (c *call) edits() bool {
	_, ok := c.Dialect.(dialect.Editor)
	return ok && c.Dialect.Extensions()
}

// editBatch changes what may be changed of a batch in any state.
func (c *call) editBatch() error {
	editor, ok := c.Dialect.(dialect.Editor)
	if !ok {
		return noRoute()
	}
	id, err := c.id("batch")
	if err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	asked, err := editor.ParseEditBatch(body)
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	b, err := c.Store.EditBatch(ctx, c.who.Tenant, id, store.Edit{Remark: asked.Remark}, c.Now())
	if err != nil {
		return c.missing(err, "batch", id)
	}
	if b, err = c.live(ctx, b); err != nil {
		return err
	}
	return c.json(c.Dialect.Batch(b))
}
