// Package assemble makes a batch's result files out of its sealed units. It owns the manifests of the output and
// the error file, and the merge that puts their lines into input order when the units are not. It promises that
// every line of every unit is in exactly one of the files and that doing it again gives the same bytes; memory does
// not depend on the number of lines. It never parses a line, and does not decide how a batch ends: the store's closing
// transaction does.
package assemble

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/extsort"
	"batchd/internal/journal"
	"batchd/internal/store"
)

// maxInlineManifest is the longest encoded manifest that stands in the file's row: some hundreds of extents. A longer
// one would make every page of a list of files slow to read.
const maxInlineManifest = 64 << 10

// defaultSortMemory bounds a merge whose caller says nothing. A batch has one merge at a time and the server finalizes
// two batches at a time, so that merges take at most twice as much.
const defaultSortMemory = 32 << 20

// Seals is the part of the metadata store that is needed.
type Seals interface {
	// SealedUnits returns the seals of a batch from ordinal first on, at most n, in order.
	SealedUnits(ctx context.Context, batchID string, first, n int) ([]batch.Seal, error)
}

// Input configures one Assemble.
type Input struct {
	Seals Seals
	Blobs blob.Store
	// Batch is a batch whose units are all sealed; Lease is the caller's right to finalize it, and part of the keys
	// of the blobs that are put.
	Batch batch.Batch
	Lease batch.LeaseID
	// NewFileID mints the files' ids.
	NewFileID func() string
	// Now is when the files are created, TTLFrom the time from which their TTL counts; zero stands for Now.
	Now     time.Time
	TTLFrom time.Time
	// Temp and SortMemory are for the merge; SortMemory is in bytes, and 0 means 32 MiB.
	Temp       extsort.Temp
	SortMemory int64
	Logger     *slog.Logger
}

// Assemble returns the output file and the error file of a batch, nil where no line went there. Blobs that it put
// are not removed on an error: nothing refers to them, and they carry the lease's id. A unit without a seal, and
// seals that do not add up to the batch's lines, are errors. Damage to a segment is blob.ErrCorrupt.
func Assemble(ctx context.Context, in Input) (output, failed *store.ResultFile, err error) {
	if in.Logger == nil {
		in.Logger = slog.New(slog.DiscardHandler)
	}
	a := assembler{Input: in}
	out, bad := part{name: "output"}, part{name: "error", errors: true}
	if err := a.collect(ctx, &out, &bad); err != nil {
		return nil, nil, err
	}
	if output, err = a.file(ctx, &out); err != nil {
		return nil, nil, err
	}
	if failed, err = a.file(ctx, &bad); err != nil {
		return nil, nil, err
	}
	return output, failed, nil
}

type assembler struct{ Input }

// part is one of the two result files: the same part of every segment.
type part struct {
	// name stands in the file's name and in keys.
	name string
	// errors says which part of a segment it is.
	errors   bool
	manifest batch.Manifest
	lines    int64
}

// extent returns the part's bytes within the segment of s, and how many lines they are.
func (p *part) extent(s batch.Seal) (offset, length, lines int64) {
	if p.errors {
		return s.OutputBytes, s.ErrorBytes, s.ErrorLines
	}
	return 0, s.OutputBytes, s.OutputLines
}

// collect fills the parts from all seals, and checks that none is missing.
func (a *assembler) collect(ctx context.Context, parts ...*part) error {
	units := 0
	err := a.eachSeal(ctx, func(s batch.Seal) error {
		if s.Ordinal != units {
			return fmt.Errorf("unit %d has no seal", units)
		}
		if s.OutputBytes < 0 || s.ErrorBytes < 0 || s.OutputBytes > s.Segment.Size-s.ErrorBytes {
			return fmt.Errorf("seal of unit %d names more bytes than segment %s has", units, s.Segment.Key)
		}
		for _, p := range parts {
			offset, length, lines := p.extent(s)
			if length > 0 {
				p.manifest = p.manifest.Append(s.Segment, offset, length)
			}
			p.lines += lines
		}
		units++
		return nil
	})
	if err != nil {
		return fmt.Errorf("collect units of %s: %w", a.Batch.ID, err)
	}
	var lines int64
	for _, p := range parts {
		lines += p.lines
	}
	if units != a.Batch.Units || lines != a.Batch.Counts.Total {
		return fmt.Errorf("collect units of %s: %d seals with %d lines, want %d with %d",
			a.Batch.ID, units, lines, a.Batch.Units, a.Batch.Counts.Total)
	}
	return nil
}

// eachSeal calls fn for every seal of the batch, in order.
func (a *assembler) eachSeal(ctx context.Context, fn func(batch.Seal) error) error {
	const page = 1000
	for first := 0; ; first += page {
		seals, err := a.Seals.SealedUnits(ctx, a.Batch.ID, first, page)
		if err != nil {
			return err
		}
		for _, s := range seals {
			if err := fn(s); err != nil {
				return err
			}
		}
		if len(seals) < page {
			return nil
		}
	}
}

// file makes the file of a part, or nil if no line went there.
func (a *assembler) file(ctx context.Context, p *part) (*store.ResultFile, error) {
	if p.lines == 0 {
		return nil, nil
	}
	if !a.Batch.InLineOrder && len(p.manifest) > 1 {
		if err := a.merge(ctx, p); err != nil {
			return nil, fmt.Errorf("merge %s of %s: %w", p.name, a.Batch.ID, err)
		}
	}
	f := batch.File{
		ID:        a.NewFileID(),
		Tenant:    a.Batch.Tenant,
		Dialect:   a.Batch.Dialect,
		Name:      a.Batch.ID + "_" + p.name + ".jsonl",
		Purpose:   batch.PurposeBatchOutput,
		Bytes:     p.manifest.Size(),
		Lines:     p.lines,
		CreatedAt: a.Now,
	}
	if a.Batch.OutputTTL > 0 {
		from := a.TTLFrom
		if from.IsZero() {
			from = a.Now
		}
		f.ExpiresAt = from.Add(a.Batch.OutputTTL)
	}
	blobs := p.manifest.Blobs()
	encoded := batch.EncodeManifest(p.manifest)
	if len(encoded) <= maxInlineManifest {
		f.Content = p.manifest
		return &store.ResultFile{File: f, Blobs: blobs}, nil
	}
	key := fmt.Sprintf("manifests/%s/%s-%s", a.Batch.ID, a.Lease, p.name)
	stored, err := a.Blobs.Put(ctx, key, bytes.NewReader(encoded))
	if err != nil {
		return nil, fmt.Errorf("store manifest of %s: %w", f.Name, err)
	}
	f.ContentBlob = stored
	return &store.ResultFile{File: f, Blobs: append(blobs, stored.Key)}, nil
}

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
