package assemble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/extsort"
	"batchd/internal/journal"
)

// defaultSortMemory bounds a merge whose caller says nothing. A batch has one merge at a time and the server finalizes
// two batches at a time, so that merges take at most twice as much.
const defaultSortMemory = 32 << 20

// errLostLines means that what a merge put out is not what went in.
var errLostLines = errors.New("merge does not add up")

// merge replaces the part's manifest by that of one blob with the same lines in input order. The lines of one model
// come in order, so the sorter has at most as many runs as there are models.
func (a *assembler) merge(ctx context.Context, p *part) error {
	memory := a.SortMemory
	if memory <= 0 {
		memory = defaultSortMemory
	}
	s := extsort.New(extsort.Options{Temp: a.Temp, MaxMemory: memory, Payloads: true})
	defer func() {
		if err := s.Close(); err != nil {
			a.Logger.Warn("merge left temporary files", slog.Any("error", err))
		}
	}()
	if err := a.eachSeal(ctx, func(seal batch.Seal) error { return a.addLines(ctx, s, p, seal) }); err != nil {
		return err
	}
	if err := s.Sort(ctx); err != nil {
		return err
	}
	key := fmt.Sprintf("files/%s-%s-%s", a.Batch.ID, a.Lease, p.name)
	stored, err := a.Blobs.Put(ctx, key, &sortedLines{ctx: ctx, sorter: s})
	if err != nil {
		return err
	}
	if want := p.manifest.Size(); stored.Size != want {
		return fmt.Errorf("%w: %d bytes came out of %d", errLostLines, stored.Size, want)
	}
	p.manifest = batch.Manifest(nil).Append(stored, 0, stored.Size)
	return nil
}

// addLines puts the lines of one part of a segment into the sorter.
func (a *assembler) addLines(ctx context.Context, s *extsort.Sorter, p *part, seal batch.Seal) error {
	offset, length, _ := p.extent(seal)
	if length == 0 {
		return nil
	}
	entries, err := journal.ReadIndex(blob.ReaderAt(ctx, a.Blobs, seal.Segment), seal.Segment.Size)
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
		if err := s.Add(extsort.Record{A: uint64(e.Line), D: uint64(e.Length + 1)}, texts); err != nil {
			return fmt.Errorf("segment %s: line %d: %w", seal.Segment.Key, e.Line, err)
		}
	}
	return nil
}

// sortedLines reads the payloads of a sorter one after the other. It keeps its context because it is read as an
// io.Reader.
type sortedLines struct {
	ctx    context.Context
	sorter *extsort.Sorter
	// last is the line that was begun last, 0 before the first.
	last uint64
	// err is what ended the reading, io.EOF included.
	err error
}

// Read fills p as far as it can. A line that comes twice is an error: some other one would be missing.
func (l *sortedLines) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && l.err == nil {
		var got int
		got, l.err = l.sorter.Read(p[n:])
		n += got
		if !errors.Is(l.err, io.EOF) {
			continue
		}
		if l.ctx.Err() != nil {
			l.err = context.Cause(l.ctx)
			break
		}
		var r extsort.Record
		if r, l.err = l.sorter.Next(); l.err == nil {
			if r.A <= l.last {
				l.err = fmt.Errorf("%w: line %d comes twice", errLostLines, r.A)
			}
			l.last = r.A
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, l.err
}
