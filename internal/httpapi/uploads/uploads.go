// Package uploads answers the calls on files that arrive in parts. No byte of a part is copied when it becomes part of a
// file.
package uploads

import (
	"errors"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
	"batchd/internal/httpapi/form"
	"batchd/internal/store"
)

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
	route := func(path string, handle func(*httpapi.Call, dialect.Uploader) error) httpapi.Route {
		return httpapi.Route{Path: path, Methods: map[string]httpapi.Handler{"POST": inParts(handle)}, Offered: takesParts}
	}
	return []httpapi.Route{
		route("/uploads", a.create),
		route("/uploads/{id}/parts", a.addPart),
		route("/uploads/{id}/complete", a.complete),
		route("/uploads/{id}/cancel", a.cancel),
	}
}

// takesParts reports whether the call's dialect takes files in parts, whatever the method.
func takesParts(c *httpapi.Call, _ string) bool {
	_, ok := c.Dialect.(dialect.Uploader)
	return ok
}

// inParts makes a handler of one that needs a dialect which takes files in parts.
func inParts(handle func(*httpapi.Call, dialect.Uploader) error) httpapi.Handler {
	return func(c *httpapi.Call) error {
		up, ok := c.Dialect.(dialect.Uploader)
		if !ok {
			return httpapi.NoRoute()
		}
		return handle(c, up)
	}
}

// create announces a file that will arrive in parts.
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
	now := c.Now()
	u := batch.Upload{
		ID: up.NewUploadID(), Tenant: c.Who.Tenant, Dialect: c.Dialect.Name(),
		Name: asked.Filename, Purpose: asked.Purpose, MIMEType: asked.MIMEType, Bytes: asked.Bytes,
		FileTTL: time.Duration(asked.TTLSeconds) * time.Second,
		Status:  batch.UploadPending, CreatedAt: now, ExpiresAt: now.Add(batch.UploadTTL),
	}
	if err := a.store.CreateUpload(c.Context(), u); err != nil {
		return fmt.Errorf("create upload %s: %w", u.ID, err)
	}
	return c.JSON(up.Upload(u, nil, now))
}

// cancel drops the parts of an upload. Asking again is no fault.
func (a *API) cancel(c *httpapi.Call, up dialect.Uploader) error {
	id, err := c.ID("upload")
	if err != nil {
		return err
	}
	now := c.Now()
	u, err := a.store.CancelUpload(c.Context(), c.Who.Tenant, id, now)
	if errors.Is(err, store.ErrConflict) {
		return closedUpload(u, now)
	}
	if err != nil {
		return c.Missing(err, "upload", id)
	}
	return c.JSON(up.Upload(u, nil, now))
}

// upload looks up the upload named in the path, and the file that it became.
func (a *API) upload(c *httpapi.Call, now time.Time) (batch.Upload, *batch.File, error) {
	id, err := c.ID("upload")
	if err != nil {
		return batch.Upload{}, nil, err
	}
	u, file, err := a.store.Upload(c.Context(), c.Who.Tenant, id, now)
	return u, file, c.Missing(err, "upload", id)
}

// closedUpload returns the error of a call that only a pending upload takes. One whose time ran out is gone, which says
// that nothing the client could have asked instead would have passed.
func closedUpload(u batch.Upload, now time.Time) *batch.Error {
	status := u.StatusAt(now)
	if status == batch.UploadExpired {
		return &batch.Error{
			Class: batch.Gone, Message: fmt.Sprintf("Upload %s is %s. It must be completed within an hour of its creation; create a new one.", u.ID, status),
		}
	}
	return batch.Invalidf("", "", "Upload %s is %s. Only a pending upload can be added to, completed or cancelled.", u.ID, status)
}
