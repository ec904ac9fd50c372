package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"batchd/internal/batch"
)

// Content returns the manifest of f's bytes, reading it from s when it is too large for the file's row. A stored
// manifest that does not decode, or that does not describe a file of f's length, is ErrCorrupt.
func Content(ctx context.Context, s Store, f batch.File) (batch.Manifest, error) {
	if f.ContentBlob.Zero() {
		return f.Content, nil
	}
	raw := make([]byte, f.ContentBlob.Size)
	r := s.Open(ctx, f.ContentBlob, 0, f.ContentBlob.Size)
	defer r.Close()
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, fmt.Errorf("read manifest of file %s: %w", f.ID, err)
	}
	m, err := batch.DecodeManifest(raw)
	if err != nil {
		return nil, fmt.Errorf("decode manifest of file %s: %w: %w", f.ID, ErrCorrupt, err)
	}
	if m.Size() != f.Bytes {
		return nil, fmt.Errorf("manifest of file %s: %w: it covers %d bytes of %d", f.ID, ErrCorrupt, m.Size(), f.Bytes)
	}
	return m, nil
}

// NewReader returns a reader of length bytes of the file that m describes, from offset on. Extents are opened one
// after the other when their turn comes, so it holds one block at a time however large the file is. Every byte it
// returns has been checked; damage is ErrCorrupt, and a range that leaves the file ends in io.ErrUnexpectedEOF.
// The reader is for one goroutine, and the caller closes it.
func NewReader(ctx context.Context, s Store, m batch.Manifest, offset, length int64) io.ReadCloser {
	return &manifestReader{ctx: ctx, store: s, manifest: m, next: m.Find(offset), position: offset, left: length}
}

// manifestReader reads across extents. It keeps the context it was opened with, as readers of one blob do.
type manifestReader struct {
	ctx      context.Context
	store    Store
	manifest batch.Manifest
	// next is the index of the extent to open when the current one ends.
	next int
	// position is where in the file the next byte lies; left is how many bytes are still to be returned.
	position, left int64
	// current reads the current extent, which has currentLeft bytes to give; nil between extents.
	current     io.ReadCloser
	currentLeft int64
}

// Read returns bytes of at most one extent.
func (r *manifestReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.current == nil && !r.open() {
		return 0, fmt.Errorf("read file at %d: past its end: %w", r.position, io.ErrUnexpectedEOF)
	}
	n, err := r.current.Read(p[:min(int64(len(p)), r.currentLeft)])
	r.position, r.left, r.currentLeft = r.position+int64(n), r.left-int64(n), r.currentLeft-int64(n)
	if r.currentLeft == 0 {
		return n, r.closeExtent()
	}
	if errors.Is(err, io.EOF) {
		key := r.manifest[r.next-1].Blob.Key
		return n, fmt.Errorf("read %s: %w: %d bytes are missing", key, ErrCorrupt, r.currentLeft)
	}
	return n, err
}

// open starts the next extent that has bytes to give and reports whether there is one.
func (r *manifestReader) open() bool {
	for r.next < len(r.manifest) {
		e := r.manifest[r.next]
		skip := r.position - e.Start
		r.next++
		if skip < 0 || skip >= e.Length {
			continue
		}
		r.currentLeft = min(e.Length-skip, r.left)
		r.current = r.store.Open(r.ctx, e.Blob, e.Offset+skip, r.currentLeft)
		return true
	}
	return false
}

// closeExtent closes the current extent, if there is one.
func (r *manifestReader) closeExtent() error {
	if r.current == nil {
		return nil
	}
	err := r.current.Close()
	r.current = nil
	return err
}

// Close ends the reading; what is read afterwards is io.EOF.
func (r *manifestReader) Close() error {
	r.left = 0
	return r.closeExtent()
}
