package files

import (
	"errors"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/failpoint"
	"batchd/internal/httpapi"
	"batchd/internal/httpapi/form"
	"batchd/internal/store"
)

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
	if err := a.keep(c, file, f); err != nil {
		return err
	}
	return c.JSON(c.Dialect.File(file))
}

// newFile checks the whole form and returns the file it makes.
func newFile(c *httpapi.Call, f *form.Form) (batch.File, error) {
	u, err := c.Dialect.CheckUpload(f.Fields, f.Name())
	if err != nil {
		return batch.File{}, err
	}
	now := c.Now()
	file := batch.File{
		ID: c.Dialect.NewFileID(), Tenant: c.Who.Tenant, Dialect: c.Dialect.Name(), Name: u.Filename,
		Purpose: u.Purpose, Bytes: f.Blob.Size, CreatedAt: now,
		ExpiresAt: c.InputExpiresAt(now, time.Duration(u.TTLSeconds)*time.Second),
	}
	if u.Purpose == batch.PurposeBatch {
		if !f.Lines.FirstIsObject() {
			return batch.File{}, c.Dialect.BadFirstLine(u.Filename)
		}
		file.Lines = f.Lines.Count()
	}
	if f.Blob.Size > 0 {
		file.Content = batch.Manifest{}.Append(f.Blob, 0, f.Blob.Size)
	}
	return file, nil
}

// keep stores the file's row, also if the client goes away meanwhile. If that fails, the bytes are removed only
// once it is certain that no row refers to them; otherwise they are left for sweeping.
func (a *API) keep(c *httpapi.Call, file batch.File, f *form.Form) error {
	ctx, cancel := c.Detached()
	defer cancel()
	err := a.store.CreateFile(ctx, file)
	if err != nil {
		if _, lookup := a.store.File(ctx, file.Tenant, file.ID, file.CreatedAt); errors.Is(lookup, store.ErrNotFound) {
			f.Discard()
		}
		return fmt.Errorf("create file %s: %w", file.ID, err)
	}
	failpoint.Hit(failpoint.FileCreated)
	if file.Content == nil {
		f.Discard()
	}
	return nil
}
