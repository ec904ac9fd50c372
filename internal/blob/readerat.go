package blob

import (
	"context"
	"io"

	"batchd/internal/batch"
)

// ReaderAt returns an io.ReaderAt over an object of the store: what Store.ReadAt says, under one context.
func ReaderAt(ctx context.Context, s Store, b batch.Blob) io.ReaderAt {
	return readerAt{ctx: ctx, store: s, blob: b}
}

// readerAt keeps the context it was made with, as readers of one blob do.
type readerAt struct {
	ctx   context.Context
	store Store
	blob  batch.Blob
}

// ReadAt implements io.ReaderAt.
func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	return r.store.ReadAt(r.ctx, r.blob, p, off)
}
