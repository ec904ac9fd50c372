package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/jsonl"
	"batchd/internal/openfile"
	"batchd/internal/store"
)

// Store is the part of the metadata store that a Copier needs.
type Store interface {
	File(ctx context.Context, tenant, id string, now time.Time) (batch.File, error)
}

// CopierOptions configures a Copier; all fields are required.
type CopierOptions struct {
	Store Store
	Blobs blob.Store
	// Reading keeps the bytes of files that are being copied.
	Reading *openfile.Registry
	Dialect func(name string) (dialect.Dialect, error)
	// MaxLine is the longest input line in bytes.
	MaxLine int64
	// Now is the clock that decides what has expired.
	Now func() time.Time
}

// Copier copies the unfinished lines of ended batches. They are exactly the lines of the batch's error file, and both
// the input file and the error file are in input order: one pass over the two side by side finds the lines in the
// memory of one. A Copier may be used concurrently.
type Copier struct{ o CopierOptions }

// NewCopier returns a copier.
func NewCopier(o CopierOptions) *Copier { return &Copier{o: o} }

// CopyUnfinished stores the lines of an ended batch that have no good result as one blob, in input order and byte for
// byte, and returns it with their number. Refusals that the user can do something about are *batch.Error: a file that
// is needed has been deleted or has expired, or no line can be read back. Nothing refers to the blob yet. It takes as
// long as reading both files, some seconds for a million lines.
func (c *Copier) CopyUnfinished(ctx context.Context, b batch.Batch) (batch.Blob, int64, error) {
	d, err := c.o.Dialect(b.Dialect)
	if err != nil {
		return batch.Blob{}, 0, err
	}
	for _, id := range []string{b.InputFileID, b.ErrorFileID} {
		defer c.o.Reading.Hold(id).Release()
	}
	input, results, err := c.files(ctx, b)
	if err != nil {
		return batch.Blob{}, 0, err
	}
	requests := blob.NewReader(ctx, c.o.Blobs, input, 0, input.Size())
	defer requests.Close()
	failures := blob.NewReader(ctx, c.o.Blobs, results, 0, results.Size())
	defer failures.Close()
	lines := &lines{
		ids: customIDs{d, dialect.LineRules{Endpoint: b.Endpoint}}, scanner: jsonl.NewScanner(requests, c.o.MaxLine),
		decoder: jsontext.NewDecoder(failures, jsontext.AllowDuplicateNames(true)),
	}
	out, err := c.o.Blobs.Put(ctx, blob.RandomKey(blob.Files), lines)
	if err != nil {
		return batch.Blob{}, 0, fmt.Errorf("store unfinished lines of batch %s: %w", b.ID, err)
	}
	if lines.found == 0 {
		_ = c.o.Blobs.Delete(ctx, out.Key) // if this fails, the sweeper finds it: nothing refers to it
		return batch.Blob{}, 0, &batch.Error{Class: batch.Conflict, Code: codeNothing, Message: fmt.Sprintf(
			"Batch %s cannot be retried: none of its unfinished lines can be read back. Upload the requests again.", b.ID)}
	}
	return out, lines.found, nil
}

// files returns what the batch's input file and error file consist of.
func (c *Copier) files(ctx context.Context, b batch.Batch) (input, results batch.Manifest, err error) {
	// As the tenant sees them: bytes of a deleted file may still be there, and are not brought back in a new one.
	in, err := c.o.Store.File(ctx, b.Tenant, b.InputFileID, c.o.Now())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, gone(b, "its input file "+b.InputFileID)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("find input file of batch %s: %w", b.ID, err)
	}
	failed, err := c.o.Store.File(ctx, b.Tenant, b.ErrorFileID, c.o.Now())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, gone(b, "its error file "+b.ErrorFileID)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("find error file of batch %s: %w", b.ID, err)
	}
	if input, err = blob.Content(ctx, c.o.Blobs, in); err == nil {
		results, err = blob.Content(ctx, c.o.Blobs, failed)
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
