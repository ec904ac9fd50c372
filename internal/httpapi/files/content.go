package files

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
)

// pieceBytes is how much of a file one download holds in memory. Blocks are checked, and kept for all downloads together, by
// the blob store.
const pieceBytes = 64 * int(batch.KiB)

// content sends a file, or the range of it that was asked for. The first piece is read and checked before the
// header goes out, so that damage there is an error; damage further on cuts the connection.
func (a *API) content(c *httpapi.Call) error {
	// Held before it is looked up: what is found here stays until it was sent, whoever deletes it meanwhile.
	hold := a.reading.Hold(c.Request.PathValue("id"))
	f, err := a.file(c)
	if err != nil {
		hold.Drop()
		return err
	}
	defer hold.Release()
	// A client that asks for a range gets plain bytes also where the range does not count, since it may want to go on where
	// plain bytes broke off.
	packed := f.Bytes > httpapi.MinGzip && c.Request.Header.Get("Range") == "" && c.TakeGzip()
	if packed {
		defer c.GiveGzip()
	}
	tag := entityTag(f)
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
	d := &download{Call: c, file: f, blobs: a.blobs, span: span, next: span.start}
	if d.manifest, err = blob.Content(c.Context(), a.blobs, f); err != nil {
		return d.unreadable(err)
	}
	var ok bool
	if d.buffer, ok = a.buffers.Get().(*[]byte); !ok {
		fresh := make([]byte, pieceBytes)
		d.buffer = &fresh
	}
	defer a.buffers.Put(d.buffer)
	if err := d.read(); err != nil {
		return d.unreadable(err)
	}
	return d.send(partial, packed)
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

// matchesTag reports whether an If-None-Match header names tag.
func matchesTag(header, tag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == tag || candidate == "*" {
			return true
		}
	}
	return false
}

// download is a file's bytes on their way to a client.
type download struct {
	*httpapi.Call
	file  batch.File
	blobs blob.Store
	span  byteRange
	// manifest says where the bytes are; next is the position in the file after those in piece.
	manifest batch.Manifest
	next     int64
	// buffer is what piece is read into. It is borrowed: piece means nothing once it is given back.
	buffer *[]byte
	piece  []byte
}

// unreadable tells the operator of damage before anything was sent, and returns what the client is told of it. It is a fault
// with a class of its own, since SDKs send a call again after any other 500.
func (d *download) unreadable(err error) error {
	err = fmt.Errorf("content of file %s: %w", d.file.ID, err)
	if !errors.Is(err, blob.ErrCorrupt) && !errors.Is(err, blob.ErrNotExist) {
		return err
	}
	d.LogFailure(err)
	return &batch.Error{
		Class: batch.Unreadable, Code: "content_unavailable",
		Message: "File content not available: its stored bytes are damaged or gone. Tell the server's operator the request id " + d.RequestID() + ".",
	}
}

// read fills the piece with the next bytes of the range; at the end it is empty.
func (d *download) read() error {
	d.piece = (*d.buffer)[:min(int64(pieceBytes), d.span.end()-d.next)]
	at := d.next
	d.next += int64(len(d.piece))
	return blob.ReadFileAt(d.Context(), d.blobs, d.manifest, d.piece, at)
}

// send writes the header and all pieces: as they are, as part of the file, or packed in gzip, which never is a part.
func (d *download) send(partial, packed bool) error {
	h, status := d.Header(), http.StatusOK
	setValidators(h, d.file, packed)
	h.Set("Content-Type", "application/octet-stream")
	if typed, ok := d.Dialect.(dialect.ContentTyper); ok {
		h.Set("Content-Type", typed.ContentType(d.file.Purpose))
	}
	// What is in a file is its user's; no browser may take it for a page or a script of this server.
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Disposition", disposition(d.file.Name))
	if packed {
		// The length is not known before the end. An answer that is cut off before it has neither the end of the gzip nor that
		// of the response, so that nobody takes it for whole.
		h.Set("Content-Encoding", "gzip")
	} else {
		h.Set("Accept-Ranges", "bytes")
		h.Set("Content-Length", strconv.FormatInt(d.span.length, 10))
	}
	if partial {
		status = http.StatusPartialContent
		h.Set("Content-Range", d.span.header(d.file.Bytes))
	}
	d.Response().WriteHeader(status)
	if d.Request.Method == http.MethodHead {
		return nil
	}
	if !packed {
		return d.copyTo(d.Response())
	}
	z, release := d.Gzip(d.Response())
	defer release()
	if err := d.copyTo(z); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		panic(http.ErrAbortHandler) // the client has gone, as in copyTo
	}
	return nil
}

// copyTo writes all pieces to dst, which is the client or leads to it.
func (d *download) copyTo(dst io.Writer) error {
	for len(d.piece) > 0 {
		if _, err := dst.Write(d.piece); err != nil {
			// The client has gone or has stalled: there is nobody to tell.
			panic(http.ErrAbortHandler)
		}
		if err := d.read(); err != nil {
			return fmt.Errorf("content of file %s: %w", d.file.ID, err)
		}
	}
	return nil
}

// disposition returns a Content-Disposition that offers name as the file to save. Names are users' data: the plain
// form has only characters that no client misreads, and the extended form (RFC 8187) carries the rest encoded.
func disposition(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\/%;`, r) {
			return '_'
		}
		return r
	}, name)
	header := `attachment; filename="` + plain + `"`
	if plain == name {
		return header
	}
	const hex = "0123456789ABCDEF"
	extended := []byte("; filename*=UTF-8''")
	for _, c := range []byte(name) {
		// The attr-char of RFC 8187 stand for themselves.
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			extended = append(extended, c)
		} else {
			extended = append(extended, '%', hex[c>>4], hex[c&15])
		}
	}
	return header + string(extended)
}
