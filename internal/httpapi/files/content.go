package files

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
)

const (
	// pieceBytes is how much of a file one download holds in memory. Blocks are checked, and kept for all downloads
	// together, by the blob store.
	pieceBytes = 64 * int(batch.KiB)
	// stallFor is how long a client may take for one piece before its connection is cut.
	stallFor = 5 * time.Minute
)

// content sends a file, or the range of it that was asked for. The first piece is read and checked before the
// header goes out, so that damage there is an error; damage further on cuts the connection.
func (a *API) content(c *httpapi.Call) error {
	f, err := a.file(c)
	if err != nil {
		return err
	}
	tag, packed := entityTag(f), packs(c, f)
	if matchesTag(c.Request.Header.Get("If-None-Match"), tag) {
		setValidators(c.Header(), f, packed)
		c.Response().WriteHeader(http.StatusNotModified)
		return nil
	}
	span, partial, err := selectRange(c.Request, f.Bytes, tag, lastModified(f))
	if err != nil {
		c.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(f.Bytes, 10))
		return err
	}
	download, err := a.openDownload(c, f, span)
	if err != nil {
		return err
	}
	defer download.close()
	if packed {
		return download.sendPacked(f)
	}
	return download.send(f, partial)
}

// packs reports whether the file goes out in gzip. A client that asks for a range gets plain bytes also where the range
// does not count, since it may want to go on where plain bytes broke off.
func packs(c *httpapi.Call, f batch.File) bool {
	return c.TakesGzip() && f.Bytes > httpapi.MinGzip && c.Request.Header.Get("Range") == ""
}

// entityTag is strong: the bytes of an id never change.
func entityTag(f batch.File) string {
	return `"` + f.ID + "-" + strconv.FormatInt(f.Bytes, 16) + `"`
}

// setValidators sets the headers by which a client tells whether what it has still holds. Packed content has a weak tag
// and no date: neither can be used to go on, with plain bytes, where packed ones broke off.
func setValidators(h http.Header, f batch.File, packed bool) {
	if f.Bytes > httpapi.MinGzip {
		h.Add("Vary", "Accept-Encoding")
	}
	if packed {
		h.Set("Etag", "W/"+entityTag(f))
		return
	}
	h.Set("Etag", entityTag(f))
	h.Set("Last-Modified", lastModified(f))
}

// lastModified is when the file was made: nothing changes it afterwards.
func lastModified(f batch.File) string { return f.CreatedAt.UTC().Format(http.TimeFormat) }

// download is a file's bytes on their way to a client.
type download struct {
	*httpapi.Call
	blobs blob.Store
	span  byteRange
	// manifest says where the bytes are; next is the position in the file after those in piece.
	manifest batch.Manifest
	next     int64
	// buffer is what piece is read into, borrowed from pool.
	buffer *[]byte
	pool   *sync.Pool
	piece  []byte
}

// openDownload finds the file's extents and reads the first piece.
func (a *API) openDownload(c *httpapi.Call, f batch.File, span byteRange) (*download, error) {
	manifest, err := blob.Content(c.Context(), a.blobs, f)
	if err != nil {
		return nil, unreadable(c, f, err)
	}
	d := &download{Call: c, blobs: a.blobs, span: span, manifest: manifest, next: span.start, pool: &a.buffers}
	var ok bool
	if d.buffer, ok = d.pool.Get().(*[]byte); !ok {
		fresh := make([]byte, pieceBytes)
		d.buffer = &fresh
	}
	if err := d.read(); err != nil {
		d.close()
		return nil, unreadable(c, f, err)
	}
	return d, nil
}

// unreadable tells the operator of damage before anything was sent, and returns what the client is told of it.
func unreadable(c *httpapi.Call, f batch.File, err error) error {
	err = fmt.Errorf("content of file %s: %w", f.ID, err)
	if !errors.Is(err, blob.ErrCorrupt) && !errors.Is(err, blob.ErrNotExist) {
		return err
	}
	c.LogFailure(err)
	return &batch.Error{
		Class: batch.Unreadable, Code: "content_unavailable",
		Message: "File content not available: its stored bytes are damaged or gone. Tell the server's operator the request id " + c.RequestID() + ".",
	}
}

func (d *download) close() { d.pool.Put(d.buffer) }

// read fills the piece with the next bytes of the range; at the end it is empty.
func (d *download) read() error {
	d.piece = (*d.buffer)[:min(int64(pieceBytes), d.span.end()-d.next)]
	at := d.next
	d.next += int64(len(d.piece))
	return blob.ReadFileAt(d.Context(), d.blobs, d.manifest, d.piece, at)
}

// send writes the header and all pieces as they are.
func (d *download) send(f batch.File, partial bool) error {
	h := d.Header()
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.FormatInt(d.span.length, 10))
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		h.Set("Content-Range", d.span.header(f.Bytes))
	}
	d.begin(f, status, false)
	if d.Request.Method == http.MethodHead {
		return nil
	}
	out := newClientWriter(d.Response())
	defer out.end()
	return d.copyTo(out, f)
}

// sendPacked writes the header and all pieces in gzip. The length is not known before the end, and an answer that is cut
// off before it has neither the end of the gzip nor that of the response.
func (d *download) sendPacked(f batch.File) error {
	d.Header().Set("Content-Encoding", "gzip")
	d.begin(f, http.StatusOK, true)
	if d.Request.Method == http.MethodHead {
		return nil
	}
	out := newClientWriter(d.Response())
	defer out.end()
	z, release := d.Gzip(out)
	defer release()
	if err := d.copyTo(z, f); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// begin writes the header.
func (d *download) begin(f batch.File, status int, packed bool) {
	h := d.Header()
	setValidators(h, f, packed)
	h.Set("Content-Type", contentType(d.Dialect, f.Purpose))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Disposition", disposition(f.Name))
	d.Response().WriteHeader(status)
}

// contentType is the type of a file's content: the vendor's word where it has one.
func contentType(d dialect.Dialect, purpose batch.Purpose) string {
	if typed, ok := d.(dialect.ContentTyper); ok {
		return typed.ContentType(purpose)
	}
	return "application/octet-stream"
}

// copyTo writes all pieces to dst, which is the client or leads to it.
func (d *download) copyTo(dst io.Writer, f batch.File) error {
	for len(d.piece) > 0 {
		if _, err := dst.Write(d.piece); err != nil {
			// The client has gone or has stalled: there is nobody to tell.
			panic(http.ErrAbortHandler)
		}
		if err := d.read(); err != nil {
			return fmt.Errorf("content of file %s: %w", f.ID, err)
		}
	}
	return nil
}

// clientWriter writes to a client that may stall, but not for longer than stallFor.
type clientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newClientWriter(w http.ResponseWriter) clientWriter {
	return clientWriter{w: w, control: http.NewResponseController(w)}
}

// Write writes p within its own time. Deadlines of a connection are times of the machine's clock; a writer without a
// connection has none.
func (c clientWriter) Write(p []byte) (int, error) {
	_ = c.control.SetWriteDeadline(time.Now().Add(stallFor))
	return c.w.Write(p)
}

// end takes the last deadline off the connection, which may go on to serve other requests.
func (c clientWriter) end() { _ = c.control.SetWriteDeadline(time.Time{}) }
