package uploads

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/failpoint"
	"batchd/internal/httpapi"
	"batchd/internal/httpapi/linescan"
	"batchd/internal/store"
)

// maxInlineManifest is the longest encoded manifest that stands in the file's row.
const maxInlineManifest = 64 << 10

// complete makes a file of an upload's parts. No byte of them is copied: the file is a list of where they are. A
// call that is sent again gets the same answer.
func (a *API) complete(c *httpapi.Call, up dialect.Uploader) error {
	body, err := c.Body()
	if err != nil {
		return err
	}
	asked, err := up.ParseCompleteUpload(body)
	if err != nil {
		return err
	}
	u, file, err := a.completed(c, asked)
	if err != nil {
		return err
	}
	return c.JSON(up.Upload(u, file, c.Now()))
}

// completed completes the upload, unless it is completed already, and returns it with its file.
func (a *API) completed(c *httpapi.Call, asked dialect.CompleteUpload) (batch.Upload, *batch.File, error) {
	id, err := c.ID("upload")
	if err != nil {
		return batch.Upload{}, nil, err
	}
	// Parts go when an upload stops being pending. They are read first, so that those of a pending one are all there.
	parts, err := a.store.Parts(c.Context(), c.Who.Tenant, id)
	if err != nil {
		return batch.Upload{}, nil, c.Missing(err, "upload", id)
	}
	now := c.Now()
	u, file, err := a.upload(c, now)
	if err != nil {
		return u, nil, err
	}
	switch u.StatusAt(now) {
	case batch.UploadCompleted:
		return u, file, nil
	case batch.UploadPending:
		return a.assemble(c, u, parts, asked)
	default:
		return u, nil, closedUpload(u, now)
	}
}

// assemble checks the file that the parts make, and stores it.
func (a *API) assemble(c *httpapi.Call, u batch.Upload, parts []batch.Part, asked dialect.CompleteUpload) (batch.Upload, *batch.File, error) {
	manifest, span, err := joinParts(parts, asked.PartIDs)
	if err != nil {
		return u, nil, err
	}
	if err := a.checkWhole(c, u, manifest, asked.MD5); err != nil {
		return u, nil, err
	}
	now := c.Now()
	file := batch.File{
		ID: c.Dialect.NewFileID(), Tenant: u.Tenant, Dialect: c.Dialect.Name(), Name: u.Name, Purpose: u.Purpose,
		Bytes: manifest.Size(), CreatedAt: now, ExpiresAt: c.InputExpiresAt(now, u.FileTTL),
	}
	if u.Purpose == batch.PurposeBatch {
		file.Lines = span.Lines()
	}
	if err := a.setContent(c.Context(), &file, manifest); err != nil {
		return u, nil, err
	}
	return a.keep(c, u, file)
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
	if !httpapi.PlausibleID(id) {
		id = httpapi.Clip(id)
	}
	return batch.Invalidf("part_ids", "", "The upload has no part '%s'.", id)
}

// checkWhole checks the content of the file that an upload is to become; the digest last, which reads all of it.
func (a *API) checkWhole(c *httpapi.Call, u batch.Upload, m batch.Manifest, digest string) error {
	size, limit := m.Size(), c.Limits.MaxFileBytes
	switch {
	case size != u.Bytes:
		return batch.Invalidf("part_ids", "", "The parts have %d bytes in all, but the upload was created for %d.", size, u.Bytes)
	case size > limit:
		return aboutParts(c.Dialect.UploadTooLarge(limit))
	}
	if u.Purpose == batch.PurposeBatch {
		if err := a.checkFirstLine(c, u, m); err != nil {
			return err
		}
	}
	if digest == "" {
		return nil
	}
	sum := md5.New() // what the API asks for: against accidents, not attackers
	if err := a.copyContent(c.Context(), sum, u, m, size); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
		return batch.Invalidf("md5", "", "The file that the parts make has the MD5 digest %s, not the one given. The upload is still pending.", got)
	}
	return nil
}

// checkFirstLine looks at the first line of a batch file, which may lie in several parts.
func (a *API) checkFirstLine(c *httpapi.Call, u batch.Upload, m batch.Manifest) error {
	var head bytes.Buffer
	if err := a.copyContent(c.Context(), &head, u, m, min(m.Size(), int64(linescan.MaxFirst)+1)); err != nil {
		return err
	}
	var lines linescan.Scan
	lines.KeepFirst(head.Bytes())
	if !lines.FirstIsObject() {
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
func (a *API) copyContent(ctx context.Context, dst io.Writer, u batch.Upload, m batch.Manifest, n int64) error {
	r := blob.NewReader(ctx, a.blobs, m, 0, n)
	defer r.Close()
	if _, err := io.Copy(dst, r); err != nil {
		return fmt.Errorf("read parts of upload %s: %w", u.ID, err)
	}
	return nil
}

// setContent puts the manifest into the file, or into an object of its own if it is large.
func (a *API) setContent(ctx context.Context, f *batch.File, m batch.Manifest) error {
	encoded := batch.EncodeManifest(m)
	if len(encoded) <= maxInlineManifest {
		f.Content = m
		return nil
	}
	stored, err := a.blobs.Put(ctx, blob.RandomKey("manifests/uploads"), bytes.NewReader(encoded))
	if err != nil {
		return fmt.Errorf("store manifest of file %s: %w", f.ID, err)
	}
	f.ContentBlob = stored
	return nil
}

// keep makes the file the upload's, also if the client goes away meanwhile. If another call was faster, its file
// is the upload's.
func (a *API) keep(c *httpapi.Call, u batch.Upload, f batch.File) (batch.Upload, *batch.File, error) {
	ctx, cancel := c.Detached()
	defer cancel()
	done, file, err := a.store.CompleteUpload(ctx, u.Tenant, u.ID, f, f.CreatedAt)
	if lost := err == nil && done.FileID != f.ID; !f.ContentBlob.Zero() && (lost || err != nil && refused(err)) {
		c.Tidy(func(ctx context.Context) error { return a.blobs.Delete(ctx, f.ContentBlob.Key) })
	}
	switch {
	case err == nil:
		failpoint.Hit(failpoint.FileCreated)
		return done, file, nil
	case errors.Is(err, store.ErrConflict):
		return u, nil, a.closedMeanwhile(ctx, c, u, err)
	default:
		return u, nil, fmt.Errorf("complete upload %s: %w", u.ID, err)
	}
}
