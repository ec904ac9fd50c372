package uploads

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
	"batchd/internal/httpapi/form"
	"batchd/internal/store"
)

// dataField is the field of a form that holds the bytes of a part.
const dataField = "data"

// addPart stores a part of an upload. Parts may come at the same time and in any order; which place a part has is said
// at the end, and its lines are counted so that they can be joined then.
func (a *API) addPart(c *httpapi.Call, up dialect.Uploader) error {
	now := c.Now()
	u, _, err := a.upload(c, now)
	if err == nil && u.StatusAt(now) != batch.UploadPending {
		err = closedUpload(u, now)
	}
	if err != nil {
		return c.RefuseUnread(err)
	}
	f, err := a.forms.Receive(c, form.Want{Field: dataField, Limit: batch.MaxPartBytes, TooLarge: partTooLarge})
	if err != nil {
		return err
	}
	defer f.Release()
	if f.Blob.Size == 0 {
		f.Discard()
		return batch.Invalidf(dataField, "", "The part has no bytes. Send them as a form field named '%s'.", dataField)
	}
	part := batch.Part{ID: up.NewPartID(), Upload: u.ID, Content: f.Blob, Lines: f.Lines.Span(), CreatedAt: c.Now()}
	if err := a.keepPart(c, u, part, f); err != nil {
		return err
	}
	return c.JSON(up.UploadPart(part))
}

// keepPart stores the part's row, also if the client goes away meanwhile. If that fails, the bytes are removed only
// once it is certain that no row refers to them; otherwise they are left for sweeping.
func (a *API) keepPart(c *httpapi.Call, u batch.Upload, p batch.Part, f *form.Form) error {
	ctx, cancel := c.Detached()
	defer cancel()
	err := a.store.AddPart(ctx, c.Who.Tenant, p, p.CreatedAt)
	if err == nil {
		return nil
	}
	if refused(err) || a.hasNoPart(ctx, c.Who.Tenant, p) {
		f.Discard()
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return c.Dialect.NotFound("upload", u.ID)
	case errors.Is(err, store.ErrTooLong):
		return batch.Invalidf(dataField, "", "The upload's parts would have more bytes than the %d that it was created for, also if each was sent twice.", u.Bytes)
	case errors.Is(err, store.ErrTooManyParts):
		return batch.Invalidf(dataField, "", "The upload has %d parts already, as many as one may have. Send larger parts.", batch.MaxParts)
	case errors.Is(err, store.ErrConflict):
		return a.closedMeanwhile(ctx, c, u, err)
	default:
		return fmt.Errorf("add part to upload %s: %w", u.ID, err)
	}
}

// refused reports whether the store says for certain that it has done nothing.
func refused(err error) bool {
	var quota *store.QuotaError
	return errors.As(err, &quota) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrTooLong) ||
		errors.Is(err, store.ErrTooManyParts) || errors.Is(err, store.ErrConflict)
}

// hasNoPart reports whether the store is certain not to have the part.
func (a *API) hasNoPart(ctx context.Context, tenant string, p batch.Part) bool {
	parts, err := a.store.Parts(ctx, tenant, p.Upload)
	return err == nil && !slices.ContainsFunc(parts, func(other batch.Part) bool { return other.ID == p.ID })
}

// closedMeanwhile returns the error of a call whose upload was pending when the call began, and met conflict since.
func (a *API) closedMeanwhile(ctx context.Context, c *httpapi.Call, u batch.Upload, conflict error) error {
	now := c.Now()
	closed, _, err := a.store.Upload(ctx, c.Who.Tenant, u.ID, now)
	switch {
	case err != nil:
		return c.Missing(err, "upload", u.ID)
	case closed.StatusAt(now) == batch.UploadPending:
		return fmt.Errorf("upload %s: %w", u.ID, conflict) // an id was minted twice
	default:
		return closedUpload(closed, now)
	}
}

func partTooLarge(limit int64) error {
	e := batch.Invalidf(dataField, "", "Part is too large. The largest part that is accepted has %d bytes.", limit)
	e.Class = batch.TooLarge
	return e
}
