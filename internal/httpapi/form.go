package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"

	"batchd/internal/batch"
)

// Bounds of a form's text fields. SDKs send four fields.
const (
	maxFields     = 32
	maxFieldBytes = 4 * batch.KiB
)

// form is an upload's form, read part by part in whatever order they come.
type form struct {
	*call
	fields map[string]string
	// filename is the file part's own name, "" while there is none.
	filename string
	blob     batch.Blob
	// stored is set while blob has to be removed if the upload fails.
	stored bool
	lines  lineScan
}

func newForm(c *call) *form { return &form{call: c, fields: make(map[string]string)} }

// read reads the form to its end. Every fault of it is the client's, unless the blob store fails.
func (f *form) read() error {
	parts, err := f.r.MultipartReader()
	if err != nil {
		return batch.Invalidf("file", "", "The request must be a multipart/form-data form with a boundary.")
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return cutShort()
		}
		if err := f.readPart(part); err != nil {
			return err
		}
	}
}

func (f *form) readPart(part *multipart.Part) error {
	name := part.FormName()
	switch {
	case name == "file" && part.FileName() != "":
		if f.filename != "" {
			return batch.Invalidf("file", "", "The form has more than one file.")
		}
		f.filename = part.FileName()
		return f.store(part)
	case len(f.fields) == maxFields:
		return batch.Invalidf("file", "", "The form has more than %d fields.", maxFields)
	}
	if _, twice := f.fields[name]; twice {
		return batch.Invalidf(clipWord(name), "", "The form has more than one field of this name.")
	}
	value, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
	if err != nil {
		return cutShort()
	}
	if int64(len(value)) > maxFieldBytes {
		return batch.Invalidf(clipWord(name), "", "The form has a field of more than %d bytes.", maxFieldBytes)
	}
	f.fields[name] = string(value)
	return nil
}

// store streams the file part into the blob store.
func (f *form) store(part io.Reader) error {
	key := newUploadKey()
	in := &fileReader{part: part, lines: &f.lines, limit: f.mount.Limits.MaxFileBytes, tooLarge: f.dialect.UploadTooLarge}
	var err error
	f.blob, err = f.Blobs.Put(f.r.Context(), key, in)
	if in.err != nil {
		return in.err
	}
	if err != nil {
		return fmt.Errorf("store upload: %w", err)
	}
	f.stored = true
	f.lines.end()
	return nil
}

// discard removes the stored bytes, if any. What cannot be removed now is unreferenced, and so found by sweeping.
func (f *form) discard() {
	if !f.stored {
		return
	}
	f.stored = false
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.r.Context()), tidyFor)
	defer cancel()
	if err := f.Blobs.Delete(ctx, f.blob.Key); err != nil {
		f.Logger.LogAttrs(ctx, slog.LevelWarn, "bytes of a refused upload not removed",
			slog.String("request_id", f.w.requestID), slog.Any("error", err))
	}
}

func cutShort() error {
	return batch.Invalidf("file", "", "The form ends before its last boundary, or a part of it is malformed. Send the upload again.")
}

// fileReader passes a file part on, scanning its lines and watching its size.
type fileReader struct {
	part     io.Reader
	lines    *lineScan
	read     int64
	limit    int64
	tooLarge func(limit int64) error
	// err is the fault that ended the reading early, to tell it from the blob store's own.
	err error
}

// Read reads from the part.
func (r *fileReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.part.Read(p)
	r.read += int64(n)
	if r.read > r.limit {
		r.err = r.tooLarge(r.limit)
		return 0, r.err
	}
	r.lines.write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = cutShort()
		return n, r.err
	}
	return n, err
}
