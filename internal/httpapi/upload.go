package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/failpoint"
	"batchd/internal/store"
)

// formOverhead is how much longer than its file a form may be before its declared length alone is refused.
const formOverhead = batch.MiB

// uploadFile stores the file of a form. The bytes go to the blob store as they arrive, since what they are for often
// follows them; the file exists for anybody only after every check has passed.
func (c *Call) uploadFile() error {
	form, err := c.receive(formFile{
		field: "file", named: true, firstLine: true, limit: c.Limits.MaxFileBytes, tooLarge: c.Dialect.UploadTooLarge,
	})
	if err != nil {
		return err
	}
	defer form.release()
	file, err := form.file()
	if err != nil {
		form.discard()
		return err
	}
	if err := c.keepFile(file, form); err != nil {
		return err
	}
	return c.JSON(c.Dialect.File(file))
}

// receive reads a form and stores the bytes of its file. What is refused leaves nothing behind. The form must be
// released once the bytes are counted by the store or discarded.
func (c *Call) receive(want formFile) (*form, error) {
	room, err := c.admit(want)
	if err != nil {
		return nil, c.RefuseUnread(err)
	}
	form := newForm(c, want, room)
	if err := form.read(); err != nil {
		form.discard()
		form.release()
		return nil, c.RefuseUnread(err)
	}
	failpoint.Hit(failpoint.UploadStored)
	return form, nil
}

// admit checks all that can be said of an upload before any of its bytes are read.
func (c *Call) admit(want formFile) (*allowance, error) {
	if err := c.CheckRoom(); err != nil {
		return nil, err
	}
	if err := c.RefuseEncoding(); err != nil {
		return nil, err
	}
	if c.Request.ContentLength > want.limit+formOverhead {
		return nil, want.tooLarge(want.limit)
	}
	return c.allowance()
}

// file checks the whole form and returns the file it makes.
func (f *form) file() (batch.File, error) {
	u, err := f.Dialect.CheckUpload(f.fields, f.name())
	if err != nil {
		return batch.File{}, err
	}
	now := f.Now()
	file := batch.File{
		ID: f.Dialect.NewFileID(), Tenant: f.Who.Tenant, Dialect: f.Dialect.Name(), Name: u.Filename,
		Purpose: u.Purpose, Bytes: f.blob.Size, CreatedAt: now,
	}
	if u.Purpose == batch.PurposeBatch {
		if !f.lines.firstIsObject() {
			return batch.File{}, f.Dialect.BadFirstLine(u.Filename)
		}
		file.Lines = f.lines.count()
	}
	if f.blob.Size > 0 {
		file.Content = batch.Manifest{}.Append(f.blob, 0, f.blob.Size)
	}
	file.ExpiresAt = expiry(now, time.Duration(u.TTLSeconds)*time.Second, f.InputTTL)
	return file, nil
}

// expiry returns when a file of this TTL, or of the server's if that is 0, expires; zero for never.
func expiry(now time.Time, ttl, fallback time.Duration) time.Time {
	if ttl = cmp.Or(ttl, fallback); ttl == 0 {
		return time.Time{}
	}
	return now.Add(ttl)
}

// keepFile stores the file's row, also if the client goes away meanwhile. If that fails, the bytes are removed only
// once it is certain that no row refers to them; otherwise they are left for sweeping.
func (c *Call) keepFile(file batch.File, f *form) error {
	ctx, cancel := c.Detached()
	defer cancel()
	err := c.Store.CreateFile(ctx, file)
	if err != nil {
		if _, lookup := c.Store.File(ctx, file.Tenant, file.ID, file.CreatedAt); errors.Is(lookup, store.ErrNotFound) {
			f.discard()
		}
		return fmt.Errorf("create file %s: %w", file.ID, err)
	}
	failpoint.Hit(failpoint.FileCreated)
	if file.Content == nil {
		f.discard()
	}
	return nil
}
