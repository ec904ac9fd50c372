// Package plan turns an input file into work. It owns the check of every line in one streaming pass, the plan (the
// lines of a batch as fixed-size entries in the order in which they are to be run) and the cutting of a plan into
// units. It promises that every bad line is found and counted, that no plan exists for a file with a bad line, and
// that memory depends neither on the number of lines nor on what is wrong with them. It knows no vendor's wording, no
// SQL and no upstream.
package plan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/extsort"
)

// EntrySize is the length in bytes of an entry in a plan blob, which is encoded as it was sorted.
const EntrySize = extsort.RecordSize

// Entry is one line of a batch in its plan. Plans are ordered by model, then prefix key, then line.
type Entry struct {
	// Model is the ordinal of the line's model in the batch's table of models.
	Model uint32
	// Prefix groups lines that begin alike, so that an upstream's prefix cache serves them one after the other. It
	// is zero for now, which keeps the lines of one model in the order of the file.
	Prefix uint64
	// Line is the number of the line in the input file, counting from 1.
	Line uint32
	// Offset and Length give the line's bytes in the input file, without its line break.
	Offset int64
	Length uint32
}

// record packs e so that the order of records is the order of plans. The last 32 bits are reserved and zero.
func (e Entry) record() extsort.Record {
	return extsort.Record{
		A: uint64(e.Model)<<32 | e.Prefix>>32,
		B: e.Prefix<<32 | uint64(e.Line),
		C: uint64(e.Offset),
		D: uint64(e.Length) << 32,
	}
}

// entryOf reverses record.
func entryOf(r extsort.Record) Entry {
	return Entry{
		Model:  uint32(r.A >> 32),
		Prefix: r.A<<32 | r.B>>32,
		Line:   uint32(r.B),
		Offset: int64(r.C),
		Length: uint32(r.D >> 32),
	}
}

// AppendTo appends the EntrySize bytes of e to out. Comparing encoded entries as byte strings compares the entries.
func (e Entry) AppendTo(out []byte) []byte { return e.record().AppendTo(out) }

// DecodeEntry reverses AppendTo; raw holds at least EntrySize bytes. Bytes that AppendTo would not have written are
// an error.
func DecodeEntry(raw []byte) (Entry, error) {
	r := extsort.DecodeRecord(raw)
	e := entryOf(r)
	if e.Line == 0 || e.Offset < 0 || e.record() != r {
		return Entry{}, errors.New("malformed plan entry")
	}
	return e, nil
}

// ReadEntries returns n entries of a plan from the first-th on, counting from 0. All of them must lie in the plan.
// Damage to the blob is blob.ErrCorrupt.
func ReadEntries(ctx context.Context, blobs blob.Store, plan batch.Blob, first int64, n int) ([]Entry, error) {
	total := plan.Size / EntrySize
	if first < 0 || n < 0 || first > total || int64(n) > total-first {
		return nil, fmt.Errorf("read plan %s: entries %d+%d lie outside its %d", plan.Key, first, n, total)
	}
	raw := make([]byte, n*EntrySize)
	if got, err := blobs.ReadAt(ctx, plan, raw, first*EntrySize); got < len(raw) {
		if err == nil || errors.Is(err, io.EOF) {
			err = blob.ErrCorrupt
		}
		return nil, fmt.Errorf("read plan %s: %w", plan.Key, err)
	}
	entries := make([]Entry, n)
	for i := range entries {
		e, err := DecodeEntry(raw[i*EntrySize:])
		if err != nil {
			return nil, fmt.Errorf("read plan %s: entry %d: %w: %w", plan.Key, first+int64(i), blob.ErrCorrupt, err)
		}
		entries[i] = e
	}
	return entries, nil
}

// maxLineNumber is the largest line number that an entry can hold.
const maxLineNumber = math.MaxUint32
