// Package files answers the calls on files: upload, list, retrieve, delete, content. No byte of a file is sent that has
// not been checked first.
package files

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/failpoint"
	"batchd/internal/httpapi"
	"batchd/internal/httpapi/form"
	"batchd/internal/openfile"
	"batchd/internal/store"
)

// API answers calls on files. It may be used concurrently.
type API struct {
	store store.Files
	blobs blob.Store
	forms *form.Receiver
	// reading is told of each download that is under way.
	reading *openfile.Registry
	// buffers keeps *[]byte of pieceBytes between downloads.
	buffers sync.Pool
}

// New returns an API on the files in s, whose bytes are in blobs. Downloads that are under way are in reading.
func New(s store.Files, blobs blob.Store, forms *form.Receiver, reading *openfile.Registry) *API {
	return &API{store: s, blobs: blobs, forms: forms, reading: reading}
}

// Routes returns the routes of OpenAI's Files API.
func (a *API) Routes() []httpapi.Route {
	return []httpapi.Route{
		{Path: "/files", Methods: map[string]httpapi.Handler{"POST": a.upload, "GET": a.list}, ActFor: []string{"GET"}},
		{Path: "/files/{id}", Methods: map[string]httpapi.Handler{"GET": a.retrieve, "DELETE": a.remove}, ActFor: []string{"GET", "DELETE"}},
		{Path: "/files/{id}/content", Methods: map[string]httpapi.Handler{"GET": a.content}},
	}
}

// file looks up the file named in the path.
func (a *API) file(c *httpapi.Call) (batch.File, error) {
	id, err := c.ID("file")
	if err != nil {
		return batch.File{}, err
	}
	f, err := a.store.File(c.Context(), c.Who.Tenant, id, c.Steady())
	if errors.Is(err, store.ErrExpired) {
		return batch.File{}, c.Dialect.FileExpired(id)
	}
	return f, c.Missing(err, "file", id)
}

// upload stores the file of a form. The bytes go to the blob store as they arrive, since what they are for often
// follows them; the file exists for anybody only after every check has passed.
func (a *API) upload(c *httpapi.Call) error {
	f, err := a.forms.Receive(c, form.Want{
		Field: "file", Named: true, FirstLine: true, Limit: c.Limits.MaxFileBytes, TooLarge: c.Dialect.UploadTooLarge,
	})
	if err != nil {
		return err
	}
	defer f.Release()
	file, err := newFile(c, f)
	if err != nil {
		f.Discard()
		return err
	}
	// The row is stored also if the client goes away: the bytes are there, and most clients that go ask again.
	ctx, cancel := c.Detached()
	defer cancel()
	if err := a.store.CreateFile(ctx, file); err != nil {
		// The bytes are removed only once it is certain that no row refers to them; otherwise they are left for sweeping.
		if _, lookup := a.store.File(ctx, file.Tenant, file.ID, c.Steady()); errors.Is(lookup, store.ErrNotFound) {
			f.Discard()
		}
		return fmt.Errorf("create file %s: %w", file.ID, err)
	}
	failpoint.Hit(failpoint.FileCreated)
	if file.Content == nil {
		f.Discard() // an empty file refers to no blob
	}
	return c.JSON(c.Dialect.File(file))
}

// newFile checks the whole form and returns the file it makes.
func newFile(c *httpapi.Call, f *form.Form) (batch.File, error) {
	u, err := c.Dialect.CheckUpload(f.Fields, f.Name())
	if err != nil {
		return batch.File{}, f.Explain(err)
	}
	now := c.Time()
	file := batch.File{
		ID: c.Dialect.NewFileID(), Tenant: c.Who.Tenant, Dialect: c.Dialect.Name(), Name: u.Filename,
		Purpose: u.Purpose, Bytes: f.Blob.Size, CreatedAt: now.Wall,
		ExpiresAt: c.InputExpiresAt(now.Later(), time.Duration(u.TTLSeconds)*time.Second),
	}
	if u.Purpose == batch.PurposeBatch {
		if fault, bad := f.Lines.FirstFault(); bad {
			return batch.File{}, c.Dialect.BadFirstLine(u.Filename, fault)
		}
		file.Lines = f.Lines.Count()
	}
	if f.Blob.Size > 0 {
		file.Content = batch.Manifest{}.Append(f.Blob, 0, f.Blob.Size)
	}
	return file, nil
}

// retrieve answers with what is known of a file.
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
	if err := a.store.DeleteFile(c.Context(), c.Who.Tenant, id, c.Steady()); err != nil {
		return c.Missing(err, "file", id)
	}
	return c.JSON(c.Dialect.DeletedFile(id))
}

// list answers with a page of files, newest first unless the client asks otherwise.
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
		Purpose: batch.Purpose(query.Get("purpose")), After: after, Limit: limit, Ascending: order == "asc", Now: c.Steady(),
	})
	if err != nil {
		return fmt.Errorf("list files: %w", err)
	}
	return c.JSON(c.Dialect.FileList(page.Items, page.HasMore))
}
