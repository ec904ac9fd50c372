// Package uploads answers the calls on files that arrive in parts. Each part is a blob of its own; the file that they become
// is a list of them, so that completing an upload copies no byte. Parts of an upload that is cancelled, or expires, are
// dropped with it.
package uploads

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
	"batchd/internal/httpapi/form"
	"batchd/internal/store"
)

// dataField is the field of a form that holds the bytes of a part.
const dataField = "data"

// API answers calls on uploads. It may be used concurrently.
type API struct {
	store store.Uploads
	blobs blob.Store
	forms *form.Receiver
}

// New returns an API on the uploads in s, whose parts are in blobs.
func New(s store.Uploads, blobs blob.Store, forms *form.Receiver) *API {
	return &API{store: s, blobs: blobs, forms: forms}
}

// Routes returns the routes of OpenAI's Uploads API, for dialects that take files in parts.
func (a *API) Routes() []httpapi.Route {
	takesParts := func(c *httpapi.Call, _ string) bool {
		_, ok := c.Dialect.(dialect.Uploader)
		return ok
	}
	route := func(path string, handle func(*httpapi.Call, dialect.Uploader) error, actFor ...string) httpapi.Route {
		post := func(c *httpapi.Call) error {
			up, ok := c.Dialect.(dialect.Uploader)
			if !ok {
				return httpapi.NoRoute()
			}
			return handle(c, up)
		}
		return httpapi.Route{Path: path, Methods: map[string]httpapi.Handler{"POST": post}, ActFor: actFor, Offered: takesParts}
	}
	return []httpapi.Route{
		route("/uploads", a.create),
		route("/uploads/{id}/parts", a.addPart),
		route("/uploads/{id}/complete", a.complete),
		route("/uploads/{id}/cancel", a.cancel, "POST"),
	}
}

// create announces a file that will arrive in parts. Its bytes are announced too, so that the store can refuse at once what
// the tenant's limits do not have room for.
func (a *API) create(c *httpapi.Call, up dialect.Uploader) error {
	if err := c.CheckRoom(); err != nil {
		return err
	}
	body, err := c.Body()
	if err != nil {
		return err
	}
	asked, err := up.ParseCreateUpload(body, c.Limits.MaxFileBytes)
	if err != nil {
		return err
	}
	now := c.Time()
	u := batch.Upload{
		ID: up.NewUploadID(), Tenant: c.Who.Tenant, Dialect: c.Dialect.Name(),
		Name: asked.Filename, Purpose: asked.Purpose, MIMEType: asked.MIMEType, Bytes: asked.Bytes,
		FileTTL: time.Duration(asked.TTLSeconds) * time.Second,
		Status:  batch.UploadPending, CreatedAt: now.Wall, ExpiresAt: now.Later().Add(batch.UploadTTL),
	}
	// A client that goes away here leaves an upload without parts, which expires like any other.
	if err := a.store.CreateUpload(c.Context(), u); err != nil {
		return fmt.Errorf("create upload %s: %w", u.ID, err)
	}
	return c.JSON(up.Upload(u, nil, now.Steady))
}

// cancel drops the parts of an upload. Asking again is no fault.
func (a *API) cancel(c *httpapi.Call, up dialect.Uploader) error {
	id, err := c.ID("upload")
	if err != nil {
		return err
	}
	now := c.Steady()
	u, err := a.store.CancelUpload(c.Context(), c.Who.Tenant, id, now)
	if errors.Is(err, store.ErrConflict) {
		return closedUpload(u, now)
	}
	if err != nil {
		return c.Missing(err, "upload", id)
	}
	return c.JSON(up.Upload(u, nil, now))
}

// upload looks up the upload named in the path, and the file that it became. One that has expired is found like any other:
// its status at now says so, whether or not it has been swept.
func (a *API) upload(c *httpapi.Call, now time.Time) (batch.Upload, *batch.File, error) {
	id, err := c.ID("upload")
	if err != nil {
		return batch.Upload{}, nil, err
	}
	u, file, err := a.store.Upload(c.Context(), c.Who.Tenant, id, now)
	return u, file, c.Missing(err, "upload", id)
}

// addPart stores a part of an upload. Parts may come at the same time and in any order; which place a part has is said
// at the end, and its lines are counted so that they can be joined then.
func (a *API) addPart(c *httpapi.Call, up dialect.Uploader) error {
	// The upload is looked up before its bytes are read, and again in the transaction that stores the part: it may be
	// completed, cancelled or expire while they arrive.
	now := c.Steady()
	u, _, err := a.upload(c, now)
	if err == nil && u.StatusAt(now) != batch.UploadPending {
		err = closedUpload(u, now)
	}
	if err != nil {
		return c.RefuseUnread(err)
	}
	f, err := a.forms.Receive(c, form.Want{Field: dataField, Limit: batch.MaxPartBytes, TooLarge: func(limit int64) error {
		e := batch.Invalidf(dataField, "", "Part is too large. The largest part that is accepted has %d bytes.", limit)
		e.Class = batch.TooLarge // and the part is cut off at the limit, so that no more of it is stored
		return e
	}})
	if err != nil {
		return err
	}
	defer f.Release()
	if f.Blob.Size == 0 {
		f.Discard()
		return f.Explain(batch.Invalidf(dataField, "", "The part has no bytes. Send them as a form field named '%s'.", dataField))
	}
	part := batch.Part{ID: up.NewPartID(), Upload: u.ID, Content: f.Blob, Lines: f.Lines.Span(), CreatedAt: c.Now()}
	if err := a.keepPart(c, u, part, f); err != nil {
		return err
	}
	return c.JSON(up.UploadPart(part))
}

// keepPart stores the part's row, also if the client goes away meanwhile. If that fails, the bytes are removed only
// once it is certain that no row refers to them; otherwise they are left for sweeping. What is refused for its size or
// number is the client's fault, and said in its terms.
func (a *API) keepPart(c *httpapi.Call, u batch.Upload, p batch.Part, f *form.Form) error {
	ctx, cancel := c.Detached()
	defer cancel()
	err := a.store.AddPart(ctx, c.Who.Tenant, p, p.CreatedAt)
	if err == nil {
		return nil
	}
	gone := refused(err)
	if !gone {
		// A commit whose answer was lost may have happened all the same, and a row without its bytes is worse than bytes without
		// a row, which sweeping finds.
		parts, lookup := a.store.Parts(ctx, c.Who.Tenant, p.Upload)
		gone = lookup == nil && !slices.ContainsFunc(parts, func(other batch.Part) bool { return other.ID == p.ID })
	}
	if gone {
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

// refused reports whether the store says for certain that it has done nothing, so that what was stored for it can go.
func refused(err error) bool {
	var quota *store.QuotaError
	return errors.As(err, &quota) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrTooLong) ||
		errors.Is(err, store.ErrTooManyParts) || errors.Is(err, store.ErrConflict)
}

// closedMeanwhile returns the error of a call whose upload was pending when the call began, and met conflict since.
func (a *API) closedMeanwhile(ctx context.Context, c *httpapi.Call, u batch.Upload, conflict error) error {
	now := c.Steady()
	closed, _, err := a.store.Upload(ctx, c.Who.Tenant, u.ID, now)
	switch {
	case err != nil:
		return c.Missing(err, "upload", u.ID)
	case closed.StatusAt(now) == batch.UploadPending:
		// It is the part's own id, or the file's, that is there already: it was minted twice.
		return fmt.Errorf("upload %s: %w", u.ID, conflict)
	default:
		return closedUpload(closed, now)
	}
}

// closedUpload returns the error of a call that only a pending upload takes. One that has expired is gone: the client has
// to begin again, whatever it meant to do with this one.
func closedUpload(u batch.Upload, now time.Time) *batch.Error {
	status := u.StatusAt(now)
	if status == batch.UploadExpired {
		return &batch.Error{
			Class: batch.Gone, Message: fmt.Sprintf("Upload %s is %s. It must be completed within an hour of its creation; create a new one.", u.ID, status),
		}
	}
	return batch.Invalidf("", "", "Upload %s is %s. Only a pending upload can be added to, completed or cancelled.", u.ID, status)
}
