package check

import (
	"context"
	"errors"
	"fmt"
	"io"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

// rowsAtOnce bounds how many rows are read at a time.
const rowsAtOnce = 200

// readRange reads and checks bytes of an object that lie in one block.
func (c *checker) readRange(ctx context.Context, b batch.Blob, offset, length int64) error {
	r := c.blobs.Open(ctx, b, offset, length)
	n, err := io.Copy(io.Discard, r)
	if err == nil && n < length {
		err = io.ErrUnexpectedEOF
	}
	return errors.Join(err, r.Close())
}

func isAbsent(err error) bool { return errors.Is(err, blob.ErrNotExist) }

// files reads every file that is not hidden from its tenant.
func (c *checker) files(ctx context.Context) error {
	for after := int64(0); ; {
		page, err := c.store.AllFiles(ctx, after, rowsAtOnce)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, f := range page {
			c.sum.Files++
			after = f.Seq
			err := c.confirm(ctx, func() ([]Finding, error) { return c.file(ctx, f.Seq) })
			if err != nil {
				return err
			}
		}
	}
}

// file reads the file of that number, if it is still there.
func (c *checker) file(ctx context.Context, seq int64) ([]Finding, error) {
	page, err := c.store.AllFiles(ctx, seq-1, 1)
	if err != nil || len(page) == 0 || page[0].Seq != seq {
		return nil, err
	}
	f := page[0]
	kind, remedy := Upload, "the file must be uploaded again"
	if f.Purpose == batch.PurposeBatchOutput {
		kind, remedy = Result, "the lines in these bytes must be run again, as by `batchd batches retry`; downloads of the file fail there"
	}
	return c.content(ctx, f, Finding{State: LostState, Kind: kind, FileID: f.ID, Remedy: remedy})
}

// content reads the bytes of a file and returns what is wrong with them as findings like f.
func (c *checker) content(ctx context.Context, file batch.File, f Finding) ([]Finding, error) {
	m, err := blob.Content(ctx, c.blobs, file)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		f.File = c.o.Objects.File(file.ContentBlob.Key)
		f.Kind, f.Problem = Manifest, "the list of the file's extents cannot be read: "+err.Error()
		return []Finding{f}, nil
	}
	var found []Finding
	if m.Size() != file.Bytes {
		bad := f
		bad.Problem = fmt.Sprintf("the row says %d bytes, and its extents have %d", file.Bytes, m.Size())
		found = append(found, bad)
	}
	for _, e := range m {
		problem, err := c.verify(ctx, e.Blob, e.Offset, e.Length)
		if err != nil {
			return nil, err
		}
		if problem == "" {
			continue
		}
		bad := f
		bad.File, bad.Problem = c.o.Objects.File(e.Blob.Key), problem
		if o := ParseKey(e.Blob.Key); o.Batch != "" {
			bad.BatchID = o.Batch
			if bad.Kind = o.Kind; o.Kind == Segment {
				bad.Unit = &o.Unit
			}
		}
		found = append(found, bad)
	}
	return found, nil
}

// parts reads what was uploaded in parts and is not a file yet.
func (c *checker) parts(ctx context.Context) error {
	for after := int64(0); ; {
		page, err := c.store.AllParts(ctx, after, rowsAtOnce)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, p := range page {
			after = p.Seq
			err := c.confirm(ctx, func() ([]Finding, error) {
				again, err := c.store.AllParts(ctx, p.Seq-1, 1)
				if err != nil || len(again) == 0 || again[0].Seq != p.Seq {
					return nil, err
				}
				problem, err := c.verify(ctx, p.Content, 0, p.Content.Size)
				if err != nil || problem == "" {
					return nil, err
				}
				return []Finding{{
					State: LostState, Kind: Upload, File: c.o.Objects.File(p.Content.Key), UploadID: p.Upload, Problem: problem,
					Remedy: "the part must be uploaded again",
				}}, nil
			})
			if err != nil {
				return err
			}
		}
	}
}
