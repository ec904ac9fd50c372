package blob

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"batchd/internal/batch"
)

// reader streams a range of an object. It goes past the block cache: a download would only push out the blocks that
// are read again. It keeps the context it was opened with, as readers of request bodies do.
type reader struct {
	ctx   context.Context
	store *store
	blob  batch.Blob
	// next is the position after the bytes in ready; end that after the range.
	next, end int64
	// buf holds the current block once there is one; ready is the part of it that is still to be returned.
	buf   *buffer
	ready []byte
	// err is returned when ready is empty.
	err error
}

// Read implements io.Reader. It returns bytes of at most one block.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !r.fill() {
		return 0, r.err
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// WriteTo implements io.WriterTo, which spares io.Copy a buffer and a copy.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for r.fill() {
		n, err := w.Write(r.ready)
		written += int64(n)
		r.ready = r.ready[n:]
		if err != nil {
			return written, err
		}
		if len(r.ready) > 0 {
			return written, io.ErrShortWrite
		}
	}
	if r.err == io.EOF { //nolint:errorlint // the end itself; an error that wraps it would be a failure
		return written, nil
	}
	return written, r.err
}

// fill makes sure that there are checked bytes to return. If there are none, it sets err and returns false.
func (r *reader) fill() bool {
	if len(r.ready) > 0 {
		return true
	}
	if r.err == nil {
		r.err = r.readNext()
	}
	if r.err != nil {
		r.release()
	}
	return r.err == nil
}

// readNext reads the block that holds the next byte.
func (r *reader) readNext() error {
	if r.next >= r.end {
		return io.EOF
	}
	if err := context.Cause(r.ctx); err != nil {
		return fmt.Errorf("read blob %s: %w", r.blob.Key, err)
	}
	if r.buf == nil {
		r.buf = r.store.buffers.take()
	}
	id := blockOf(r.blob, r.next/batch.BlobBlock)
	if err := r.store.readBlock(r.ctx, id, r.buf); err != nil {
		return err
	}
	start := id.index * batch.BlobBlock
	stop := min(r.end-start, int64(id.length))
	r.ready = r.buf[r.next-start : stop]
	r.next = start + stop
	return nil
}

// Close gives the reader's memory back. Reading afterwards fails with fs.ErrClosed; a second Close does nothing.
func (r *reader) Close() error {
	r.release()
	r.err = fs.ErrClosed
	return nil
}

func (r *reader) release() {
	r.ready = nil
	if r.buf != nil {
		r.store.buffers.give(r.buf)
		r.buf = nil
	}
}
