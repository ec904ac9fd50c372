package httpapi

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/failpoint"
	"batchd/internal/store"
)

// maxInlineManifest is the longest encoded manifest that stands in the file's row.
const maxInlineManifest = 64 << 10

// completeUpload makes a file of an upload's parts. No byte of them is copied: the file is a list of where they are. A
// call that is sent again gets the same answer.
func (c *Call) completeUpload(up dialect.Uploader) error {
	body, err := c.Body()
	if err != nil {
		return err
	}
	asked, err := up.ParseCompleteUpload(body)
	if err != nil {
		return err
	}
	u, file, err := c.completed(asked)
	if err != nil {
		return err
	}
	return c.JSON(up.Upload(u, file, c.Now()))
}

// completed completes the upload, unless it is completed already, and returns it with its file.
func (c *Call) completed(asked dialect.CompleteUpload) (batch.Upload, *batch.File, error) {
	id, err := c.ID("upload")
	if err != nil {
		return batch.Upload{}, nil, err
	}
	// Parts go when an upload stops being pending. They are read first, so that those of a pending one are all there.
	parts, err := c.Store.Parts(c.Context(), c.Who.Tenant, id)
	if err != nil {
		return batch.Upload{}, nil, c.Missing(err, "upload", id)
	}
	now := c.Now()
	u, file, err := c.upload(now)
	if err != nil {
		return u, nil, err
	}
	switch u.StatusAt(now) {
	case batch.UploadCompleted:
		return u, file, nil
	case batch.UploadPending:
		return c.assemble(u, parts, asked)
	default:
		return u, nil, closedUpload(u, now)
	}
}

// assemble checks the file that the parts make, and stores it.
func (c *Call) assemble(u batch.Upload, parts []batch.Part, asked dialect.CompleteUpload) (batch.Upload, *batch.File, error) {
	manifest, span, err := joinParts(parts, asked.PartIDs)
	if err != nil {
		return u, nil, err
	}
	if err := c.checkWhole(u, manifest, asked.MD5); err != nil {
		return u, nil, err
	}
	now := c.Now()
	file := batch.File{
		ID: c.Dialect.NewFileID(), Tenant: u.Tenant, Dialect: c.Dialect.Name(), Name: u.Name, Purpose: u.Purpose,
		Bytes: manifest.Size(), CreatedAt: now, ExpiresAt: expiry(now, u.FileTTL, c.InputTTL),
	}
	if u.Purpose == batch.PurposeBatch {
		file.Lines = span.Lines()
	}
	if err := c.setContent(&file, manifest); err != nil {
		return u, nil, err
	}
	return c.keepUpload(u, file)
}

// joinParts returns the content that the named parts make in that order, with its lines.
func joinParts(parts []batch.Part, ids []string) (batch.Manifest, batch.LineSpan, error) {
	left := make(map[string]batch.Part, len(parts))
	for _, p := range parts {
		left[p.ID] = p
	}
	var manifest batch.Manifest
	var span batch.LineSpan
	for _, id := range ids {
		p, ok := left[id]
		if !ok {
			return nil, span, noPart(id)
		}
		delete(left, id)
		manifest = manifest.Append(p.Content, 0, p.Content.Size)
		span = span.Join(p.Lines)
	}
	return manifest, span, nil
}

func noPart(id string) error {
	if !PlausibleID(id) {
		id = Clip(id)
	}
	return batch.Invalidf("part_ids", "", "The upload has no part '%s'.", id)
}

// checkWhole checks the content of the file that an upload is to become; the digest last, which reads all of it.
func (c *Call) checkWhole(u batch.Upload, m batch.Manifest, digest string) error {
	size, limit := m.Size(), c.Limits.MaxFileBytes
	switch {
	case size != u.Bytes:
		return batch.Invalidf("part_ids", "", "The parts have %d bytes in all, but the upload was created for %d.", size, u.Bytes)
	case size > limit:
		return aboutParts(c.Dialect.UploadTooLarge(limit))
	}
	if u.Purpose == batch.PurposeBatch {
		if err := c.checkFirstLine(u, m); err != nil {
			return err
		}
	}
	if digest == "" {
		return nil
	}
	sum := md5.New() // what the API asks for: against accidents, not attackers
	if err := c.copyContent(sum, u, m, size); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
		return batch.Invalidf("md5", "", "The file that the parts make has the MD5 digest %s, not the one given. The upload is still pending.", got)
	}
	return nil
}

// checkFirstLine looks at the first line of a batch file, which may lie in several parts.
func (c *Call) checkFirstLine(u batch.Upload, m batch.Manifest) error {
	var head bytes.Buffer
	if err := c.copyContent(&head, u, m, min(m.Size(), int64(maxFirstLine)+1)); err != nil {
		return err
	}
	var lines lineScan
	lines.keepFirst(head.Bytes())
	if !lines.firstIsObject() {
		return aboutParts(c.Dialect.BadFirstLine(u.Name))
	}
	return nil
}

// aboutParts makes a fault of a file one of the parts that were named, since the call has no file.
func aboutParts(err error) error {
	var fault *batch.Error
	if !errors.As(err, &fault) {
		return err
	}
	about := *fault
	about.Param = "part_ids"
	return &about
}

// copyContent writes the first n bytes of an upload's content to dst, which does not fail.
func (c *Call) copyContent(dst io.Writer, u batch.Upload, m batch.Manifest, n int64) error {
	r := blob.NewReader(c.Context(), c.Blobs, m, 0, n)
	defer r.Close()
	if _, err := io.Copy(dst, r); err != nil {
		return fmt.Errorf("read parts of upload %s: %w", u.ID, err)
	}
	return nil
}

// setContent puts the manifest into the file, or into an object of its own if it is large.
func (c *Call) setContent(f *batch.File, m batch.Manifest) error {
	encoded := batch.EncodeManifest(m)
	if len(encoded) <= maxInlineManifest {
		f.Content = m
		return nil
	}
	stored, err := c.Blobs.Put(c.Context(), blob.RandomKey("manifests/uploads"), bytes.NewReader(encoded))
	if err != nil {
		return fmt.Errorf("store manifest of file %s: %w", f.ID, err)
	}
	f.ContentBlob = stored
	return nil
}

// keepUpload makes the file the upload's, also if the client goes away meanwhile. If another call was faster, its file
// is the upload's.
func (c *Call) keepUpload(u batch.Upload, f batch.File) (batch.Upload, *batch.File, error) {
	ctx, cancel := c.Detached()
	defer cancel()
	done, file, err := c.Store.CompleteUpload(ctx, u.Tenant, u.ID, f, f.CreatedAt)
	if lost := err == nil && done.FileID != f.ID; !f.ContentBlob.Zero() && (lost || err != nil && refused(err)) {
		c.discardBlob(f.ContentBlob)
	}
	switch {
	case err == nil:
		failpoint.Hit(failpoint.FileCreated)
		return done, file, nil
	case errors.Is(err, store.ErrConflict):
		return u, nil, c.closedMeanwhile(ctx, u, err)
	default:
		return u, nil, fmt.Errorf("complete upload %s: %w", u.ID, err)
	}
}
