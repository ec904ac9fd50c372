// Package retry finds the input lines of an ended batch that have no good result: those that failed, expired or
// were cancelled. They are exactly the lines of its error file, and both files are in input order, so one pass over
// the two in step finds them in the memory of one line. It decides nothing about what is done with the lines.
package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/store"
)

// Store is the part of the metadata store that is needed.
type Store interface {
	File(ctx context.Context, tenant, id string, now time.Time) (batch.File, error)
	InputFile(ctx context.Context, batchID string) (batch.File, error)
}

// Options are what a Finder works with; all fields are required.
type Options struct {
	Store   Store
	Blobs   blob.Store
	Dialect func(name string) (dialect.Dialect, error)
	// MaxLine is the longest input line in bytes.
	MaxLine int64
	Now     func() time.Time
}

// Finder finds lines. It may be used concurrently.
type Finder struct{ o Options }

// New returns a finder.
func New(o Options) *Finder { return &Finder{o: o} }

// Put stores the lines of an ended batch that have no good result as one blob, in input order and byte for byte, and
// returns it with their number. Faults that the user can do something about are *batch.Error: a file that is needed
// has been deleted or has expired. The blob belongs to nothing yet.
func (f *Finder) Put(ctx context.Context, b batch.Batch) (batch.Blob, int64, error) {
	d, err := f.o.Dialect(b.Dialect)
	if err != nil {
		return batch.Blob{}, 0, err
	}
	input, results, err := f.files(ctx, b)
	if err != nil {
		return batch.Blob{}, 0, err
	}
	lines := newLines(blob.NewReader(ctx, f.o.Blobs, input, 0, input.Size()), blob.NewReader(ctx, f.o.Blobs, results, 0, results.Size()),
		f.o.MaxLine, customIDs{d, dialect.LineRules{Endpoint: b.Endpoint}})
	defer lines.close()
	out, err := f.o.Blobs.Put(ctx, blob.RandomKey(blob.Files), lines)
	if err != nil {
		return batch.Blob{}, 0, fmt.Errorf("put remainder of batch %s: %w", b.ID, err)
	}
	if lines.found == 0 {
		_ = f.o.Blobs.Delete(ctx, out.Key) // what stays is unreferenced, and so swept
		return batch.Blob{}, 0, &batch.Error{Class: batch.Conflict, Code: "nothing_to_retry", Message: fmt.Sprintf(
			"Batch %s cannot be retried: none of its unfinished lines can be read back. Upload the requests again.", b.ID)}
	}
	return out, lines.found, nil
}

// files returns what the batch's input file and error file consist of.
func (f *Finder) files(ctx context.Context, b batch.Batch) (input, results batch.Manifest, err error) {
	in, err := f.o.Store.InputFile(ctx, b.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, gone(b, "its input file "+b.InputFileID)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("find input file of batch %s: %w", b.ID, err)
	}
	failed, err := f.o.Store.File(ctx, b.Tenant, b.ErrorFileID, f.o.Now())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, gone(b, "its error file "+b.ErrorFileID)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("find error file of batch %s: %w", b.ID, err)
	}
	if input, err = blob.Content(ctx, f.o.Blobs, in); err == nil {
		results, err = blob.Content(ctx, f.o.Blobs, failed)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read manifests of batch %s: %w", b.ID, err)
	}
	return input, results, nil
}

func gone(b batch.Batch, what string) *batch.Error {
	return &batch.Error{Class: batch.Conflict, Code: "file_deleted", Message: fmt.Sprintf(
		"Batch %s cannot be retried: %s has been deleted or has expired. Upload the requests again.", b.ID, what)}
}
