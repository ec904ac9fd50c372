package assemble

import (
	"context"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/journal"
)

// addLines puts the lines of one part of a segment into the sorter.
func (a *assembler) addLines(ctx context.Context, s *sorter, p *part, seal batch.Seal) error {
	offset, length, _ := p.extent(seal)
	if length == 0 {
		return nil
	}
	entries, err := journal.ReadIndex(blobReaderAt{ctx, a.Blobs, seal.Segment}, seal.Segment.Size)
	if err != nil {
		return fmt.Errorf("segment %s: %w", seal.Segment.Key, err)
	}
	texts := a.Blobs.Open(ctx, seal.Segment, offset, length)
	defer texts.Close()
	for _, e := range entries {
		if p.errors == (e.Kind == batch.KindOutput) {
			continue
		}
		// Texts stand in the segment as the index lists them, each with its line break.
		if err := s.add(e.Line, e.Length+1, texts); err != nil {
			return fmt.Errorf("segment %s: %w", seal.Segment.Key, err)
		}
	}
	return nil
}

// blobReaderAt is one blob as an io.ReaderAt.
type blobReaderAt struct {
	ctx   context.Context
	blobs blob.Store
	blob  batch.Blob
}

// ReadAt implements io.ReaderAt.
func (r blobReaderAt) ReadAt(p []byte, off int64) (int, error) {
	return r.blobs.ReadAt(r.ctx, r.blob, p, off)
}
