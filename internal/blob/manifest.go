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

// piece is a run of a file's bytes that lies in one blob.
type piece struct {
	blob           batch.Blob
	offset, length int64
}

// pieceAt returns the piece of the file that m describes which begins at offset and has at most length bytes, and false
// where the file has no byte there. It is the only place that walks across extents.
func pieceAt(m batch.Manifest, offset, length int64) (piece, bool) {
	i := m.Find(offset)
	if i == len(m) || offset < m[i].Start {
		return piece{}, false
	}
	skip := offset - m[i].Start
	return piece{m[i].Blob, m[i].Offset + skip, min(length, m[i].Length-skip)}, true
}

// ReadFileAt fills p with the bytes of the file that m describes, from offset on. It reads through the store's cache of
// blocks, as readers of small pieces here and there want it; NewReader goes past it. Every byte has been checked;
// damage, and a range that leaves the file, are ErrCorrupt: whoever asks knows from elsewhere where the file ends.
func ReadFileAt(ctx context.Context, s Store, m batch.Manifest, p []byte, offset int64) error {
	for len(p) > 0 {
		from, ok := pieceAt(m, offset, int64(len(p)))
		if !ok {
			return fmt.Errorf("read file at %d: %w: it ends before", offset, ErrCorrupt)
		}
		n, err := s.ReadAt(ctx, from.blob, p[:from.length], from.offset)
		if int64(n) < from.length {
			if err == nil || errors.Is(err, io.EOF) {
				err = ErrCorrupt
			}
			return fmt.Errorf("read file at %d: %w", offset, err)
		}
		p, offset = p[n:], offset+int64(n)
	}
	return nil
}

// NewReader returns a reader of length bytes of the file that m describes, from offset on. Extents are opened one
// after the other when their turn comes, so it holds one block at a time however large the file is. Every byte it
// returns has been checked; damage is ErrCorrupt, and a range that leaves the file ends in io.ErrUnexpectedEOF.
// The reader is for one goroutine, and the caller closes it.
func NewReader(ctx context.Context, s Store, m batch.Manifest, offset, length int64) io.ReadCloser {
	return &manifestReader{ctx: ctx, store: s, manifest: m, position: offset, left: length}
}

// manifestReader reads across extents. It keeps the context it was opened with, as readers of one blob do.
type manifestReader struct {
	ctx      context.Context
	store    Store
	manifest batch.Manifest
	// position is where in the file the next byte lies; left is how many bytes are still to be returned.
	position, left int64
	// current reads the extent under way, in the blob of that key, which has currentLeft bytes to give; nil between
	// extents.
	current     io.ReadCloser
	currentKey  string
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
	if r.current == nil {
		next, ok := pieceAt(r.manifest, r.position, r.left)
		if !ok {
			return 0, fmt.Errorf("read file at %d: past its end: %w", r.position, io.ErrUnexpectedEOF)
		}
		r.currentKey, r.currentLeft = next.blob.Key, next.length
		r.current = r.store.Open(r.ctx, next.blob, next.offset, next.length)
	}
	n, err := r.current.Read(p[:min(int64(len(p)), r.currentLeft)])
	r.position, r.left, r.currentLeft = r.position+int64(n), r.left-int64(n), r.currentLeft-int64(n)
	if r.currentLeft == 0 {
		return n, r.closeExtent()
	}
	if errors.Is(err, io.EOF) {
		return n, fmt.Errorf("read %s: %w: %d bytes are missing", r.currentKey, ErrCorrupt, r.currentLeft)
	}
	return n, err
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
