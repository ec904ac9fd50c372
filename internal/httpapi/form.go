package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

// Bounds of a form's text fields. SDKs send four fields.
const (
	maxFields     = 32
	maxFieldBytes = 4 * batch.KiB
)

// What a file is called that came without a name. OpenAI's SDK for Python sends bytes under the second; as a batch's
// input it has the ending that programs look for.
const (
	namelessInput = "upload.jsonl"
	namelessFile  = "upload"
)

// formFile says which part of a form is its file, and how much of it is too much.
type formFile struct {
	// field is the part's name. If named is set, a part of this name that looks like a text field is one.
	field string
	named bool
	// firstLine is set if the file's first line is looked at, which is kept for that.
	firstLine bool
	// limit is the longest file, in bytes; tooLarge is the error for a longer one.
	limit    int64
	tooLarge func(limit int64) error
}

// form is an upload's form, read part by part in whatever order they come.
type form struct {
	*Call
	want   formFile
	room   *allowance
	fields map[string]string
	// hasFile is set from the file part on; filename is its own name.
	hasFile  bool
	filename string
	blob     batch.Blob
	// stored is set while blob has to be removed if the upload fails.
	stored bool
	lines  lineScan
}

// newForm returns a form whose file may take up room. It must be released.
func newForm(c *Call, want formFile, room *allowance) *form {
	return &form{
		Call: c, want: want, room: room, fields: make(map[string]string), lines: lineScan{firstDone: !want.firstLine},
	}
}

// release gives back the room for bytes on their way: by now they are stored and counted by the store, or gone.
func (f *form) release() { f.room.release() }

// read reads the form to its end. Every fault of it is the client's, unless the blob store fails.
func (f *form) read() error {
	// Only the boundary is looked at: some documentation has clients send a form under another media type.
	_, params, err := mime.ParseMediaType(f.Request.Header.Get("Content-Type"))
	if err != nil || params["boundary"] == "" {
		return f.invalid("The request must be a multipart/form-data form with a boundary.")
	}
	parts := multipart.NewReader(f.Request.Body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return f.cutShort(err)
		}
		if err := f.readPart(part); err != nil {
			return err
		}
	}
}

func (f *form) readPart(part *multipart.Part) error {
	name := part.FormName()
	switch {
	case name == f.want.field && (!f.want.named || isFile(part)):
		if f.hasFile {
			return f.invalid("The form has more than one file.")
		}
		f.hasFile, f.filename = true, part.FileName()
		return f.store(part)
	case len(f.fields) == maxFields:
		return f.invalid("The form has more than %d fields.", maxFields)
	}
	if _, twice := f.fields[name]; twice {
		return batch.Invalidf(Clip(name), "", "The form has more than one field of this name.")
	}
	value, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
	if err != nil {
		return f.cutShort(err)
	}
	if int64(len(value)) > maxFieldBytes {
		if name == f.want.field {
			return f.invalid("The part '%s' has neither a filename nor a Content-Type, so that it is no file. Send it with a filename.", name)
		}
		return batch.Invalidf(Clip(name), "", "The form has a field of more than %d bytes.", maxFieldBytes)
	}
	f.fields[name] = string(value)
	return nil
}

// isFile reports whether a part is a file and no text field: it has a file name, be it empty, or a media type.
func isFile(part *multipart.Part) bool {
	_, params, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition")) // a part of a name has a good one
	_, named := params["filename"]
	return named || part.Header.Get("Content-Type") != ""
}

// name returns what the form's file is to be called; "" for a form without a file.
func (f *form) name() string {
	switch {
	case !f.hasFile || f.filename != "":
		return f.filename
	case f.fields["purpose"] == string(batch.PurposeBatch):
		return namelessInput
	default:
		return namelessFile
	}
}

// store streams the file part into the blob store.
func (f *form) store(part io.Reader) error {
	in := &fileReader{form: f, part: part}
	var err error
	f.blob, err = f.Blobs.Put(f.Context(), blob.RandomKey(blob.Files), in)
	if in.err != nil {
		return in.err
	}
	if err != nil {
		return fmt.Errorf("store upload: %w", err)
	}
	f.stored = true
	return nil
}

// discard removes the stored bytes, if any. What cannot be removed now is unreferenced, and so found by sweeping.
func (f *form) discard() {
	if f.stored {
		f.stored = false
		f.discardBlob(f.blob)
	}
}

// discardBlob removes an object that nothing refers to. One that cannot be removed now is found by sweeping.
func (c *Call) discardBlob(b batch.Blob) {
	c.Tidy(func(ctx context.Context) error { return c.Blobs.Delete(ctx, b.Key) })
}

func (f *form) invalid(format string, args ...any) error {
	return batch.Invalidf(f.want.field, "", format, args...)
}

// cutShort returns the client's fault behind a form that could not be read on: it was too slow, or else it broke off.
func (f *form) cutShort(err error) error {
	var fault *batch.Error
	if errors.As(err, &fault) {
		return fault
	}
	return f.invalid("The form ends before its last boundary, or a part of it is malformed. Send the upload again.")
}

// fileReader passes a file part on, scanning its lines and watching its size.
type fileReader struct {
	form *form
	part io.Reader
	read int64
	// err is the fault that ended the reading early, to tell it from the blob store's own.
	err error
}

// Read reads from the part.
func (r *fileReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.part.Read(p)
	if r.err = r.take(int64(n)); r.err != nil {
		return 0, r.err
	}
	r.form.lines.write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = r.form.cutShort(err)
		return n, r.err
	}
	return n, err
}

// take counts n more bytes, or returns the limit that they pass.
func (r *fileReader) take(n int64) error {
	r.read += n
	if want := r.form.want; r.read > want.limit {
		return want.tooLarge(want.limit)
	}
	if !r.form.room.take(n) {
		return r.form.overQuota(r.form.room.left)
	}
	return nil
}
