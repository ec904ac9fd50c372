// Package form takes the multipart forms by which files and their parts are uploaded: the file's bytes go to the blob store
// as they arrive, within the limit of the call and the room that its tenant has left. What is refused leaves nothing
// behind. What the bytes are for is its callers' to say.
package form

import (
	"context"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/failpoint"
	"batchd/internal/httpapi"
	"batchd/internal/store"
)

// overhead is how much longer than its file a form may be before its declared length alone is refused, in bytes. It is far
// more than any form's boundaries and fields take, so that the exact limit is always that of the file.
const overhead = batch.MiB

// Store is the part of the metadata store that knows how much room tenants have.
type Store interface {
	// StorageLeft is how many bytes more a tenant may store.
	StorageLeft(ctx context.Context, tenant string) (int64, error)
	// Tenant returns a tenant by its id, or store.ErrNotFound.
	Tenant(ctx context.Context, id string) (store.Tenant, error)
}

// Receiver receives forms. One serves all calls that upload, since it counts the bytes that are on their way for each
// tenant. It may be used concurrently.
type Receiver struct {
	store Store
	blobs blob.Store
	// incoming counts the bytes of uploads under way.
	incoming incoming
}

// NewReceiver returns a receiver that stores files in blobs.
func NewReceiver(s Store, blobs blob.Store) *Receiver { return &Receiver{store: s, blobs: blobs} }

// Want describes the file that a form is to hold.
type Want struct {
	// Field is the part's name. If Named is set, a part of this name that looks like a text field is one.
	Field string
	Named bool
	// FirstLine is set if the file's first line is looked at, which is kept for that.
	FirstLine bool
	// Limit is the longest file, in bytes; TooLarge is the error for a longer one.
	Limit    int64
	TooLarge func(limit int64) error
}

// Receive reads a form and stores the bytes of its file. What is refused leaves nothing behind. The form must be
// released once the bytes are counted by the store or discarded.
func (r *Receiver) Receive(c *httpapi.Call, want Want) (*Form, error) {
	room, err := r.admit(c, want)
	if err != nil {
		return nil, c.RefuseUnread(err)
	}
	f := &Form{Fields: make(map[string]string), call: c, receiver: r, want: want, room: room}
	if !want.FirstLine {
		f.Lines.SkipFirst()
	}
	if err := f.read(); err != nil {
		f.Discard()
		f.Release()
		return nil, c.RefuseUnread(err)
	}
	failpoint.Hit(failpoint.UploadStored)
	return f, nil
}

// admit checks all that can be said of an upload before any of its bytes are read, and asks what the caller may still store.
// A body that is too long by its own account is refused unread.
func (r *Receiver) admit(c *httpapi.Call, want Want) (*allowance, error) {
	if err := c.CheckRoom(); err != nil {
		return nil, err
	}
	if err := c.RefuseEncoding(); err != nil {
		return nil, err
	}
	if c.Request.ContentLength > want.Limit+overhead {
		return nil, want.TooLarge(want.Limit)
	}
	left, err := r.store.StorageLeft(c.Context(), c.Who.Tenant)
	if err != nil {
		return nil, fmt.Errorf("storage left: %w", err)
	}
	left = max(left, 0)
	if c.Request.ContentLength-overhead > left {
		return nil, r.overQuota(c, left)
	}
	return &allowance{incoming: &r.incoming, tenant: c.Who.Tenant, left: left}, nil
}

// overQuota returns the error that the store would return for a file that passes the tenant's quota of bytes, of which left
// are left.
func (r *Receiver) overQuota(c *httpapi.Call, left int64) error {
	t, err := r.store.Tenant(c.Context(), c.Who.Tenant)
	if err != nil {
		return fmt.Errorf("limit of stored bytes: %w", err)
	}
	return &store.QuotaError{Quota: store.QuotaStoredBytes, Limit: t.Limits.StoredBytes, Used: t.Limits.StoredBytes - left}
}
