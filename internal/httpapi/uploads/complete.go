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

// maxInlineManifest is the longest encoded manifest, in bytes, that stands in the file's row: some two hundred full parts.
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
	id, err := c.ID("upload")
	if err != nil {
		return err
	}
	// Parts go when an upload stops being pending. They are read first, so that those of a pending one are all there.
	parts, err := a.store.Parts(c.Context(), c.Who.Tenant, id)
	if err != nil {
		return c.Missing(err, "upload", id)
	}
	now := c.Steady()
	u, file, err := a.upload(c, now)
	if err != nil {
		return err
	}
	switch u.StatusAt(now) {
	case batch.UploadCompleted:
		// Sent again. What it names does not count any more: the file is what the first call made.
	case batch.UploadPending:
		if u, file, err = a.assemble(c, u, parts, asked); err != nil {
			return err
		}
	default:
		return closedUpload(u, now)
	}
	return c.JSON(up.Upload(u, file, c.Steady()))
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
	// The time is read after all bytes were: the file's TTL counts from when it can be used.
	now := c.Time()
	file := batch.File{
		ID: c.Dialect.NewFileID(), Tenant: u.Tenant, Dialect: c.Dialect.Name(), Name: u.Name, Purpose: u.Purpose,
		Bytes: manifest.Size(), CreatedAt: now.Wall, ExpiresAt: c.InputExpiresAt(now.Later(), u.FileTTL),
	}
	if u.Purpose == batch.PurposeBatch {
		// Counted as the parts came, so that no byte is read again; create calls check it against the limit.
		file.Lines = span.Lines()
	}
	// A manifest of many parts is an object of its own: rows are read whole whenever a file is looked up or listed.
	if encoded := batch.EncodeManifest(manifest); len(encoded) <= maxInlineManifest {
		file.Content = manifest
	} else if file.ContentBlob, err = a.blobs.Put(c.Context(), blob.RandomKey("manifests/uploads"), bytes.NewReader(encoded)); err != nil {
		return u, nil, fmt.Errorf("store manifest of file %s: %w", file.ID, err)
	}
	return a.keep(c, u, file)
}

// joinParts returns the content that the named parts make in that order, with its lines. Lines that run from one part into
// the next are counted once, which is why parts keep spans and not counts.
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
			if !httpapi.PlausibleID(id) {
				id = httpapi.Clip(id) // which may be anything, and long
			}
			return nil, span, batch.Invalidf("part_ids", "", "The upload has no part '%s'.", id)
		}
		delete(left, id)
		manifest = manifest.Append(p.Content, 0, p.Content.Size)
		span = span.Join(p.Lines)
	}
	return manifest, span, nil
}

// checkWhole checks the content of the file that an upload is to become; the digest last, which reads all of it. A fault
// leaves the upload pending, so that the client can name other parts or send more.
func (a *API) checkWhole(c *httpapi.Call, u batch.Upload, m batch.Manifest, digest string) error {
	size, limit := m.Size(), c.Limits.MaxFileBytes
	switch {
	case size != u.Bytes:
		return batch.Invalidf("part_ids", "", "The parts have %d bytes in all, but the upload was created for %d.", size, u.Bytes)
	case size > limit: // the call that announced it may have spoken another dialect, or known other settings
		return aboutParts(c.Dialect.UploadTooLarge(limit))
	}
	if u.Purpose == batch.PurposeBatch {
		// Which part comes first is known only now, and the first line may lie in several.
		var head bytes.Buffer
		if err := a.copyContent(c.Context(), &head, u, m, min(size, int64(linescan.MaxFirst)+1)); err != nil {
			return err
		}
		var lines linescan.Scan
		lines.KeepFirst(head.Bytes())
		if fault, bad := lines.FirstFault(); bad {
			return aboutParts(c.Dialect.BadFirstLine(u.Name, fault))
		}
	}
	if digest == "" {
		return nil
	}
	// MD5 is what the API asks for. It is against accidents, not attackers: the client that names it is who sent the bytes.
	sum := md5.New()
	if err := a.copyContent(c.Context(), sum, u, m, size); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
		return batch.Invalidf("md5", "", "The file that the parts make has the MD5 digest %s, not the one given. The upload is still pending.", got)
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

// keep makes the file the upload's, also if the client goes away meanwhile. If another call was faster, its file
// is the upload's: an upload becomes one file, and the store decides which.
func (a *API) keep(c *httpapi.Call, u batch.Upload, f batch.File) (batch.Upload, *batch.File, error) {
	ctx, cancel := c.Detached()
	defer cancel()
	done, file, err := a.store.CompleteUpload(ctx, u.Tenant, u.ID, f, c.Steady())
	// The manifest's object goes only if no row can refer to it: another call's file is the upload's, or nothing was stored.
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
