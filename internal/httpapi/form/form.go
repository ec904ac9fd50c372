package form

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/httpapi"
	"batchd/internal/httpapi/linescan"
)

// Bounds of a form's text fields. SDKs send four fields.
const (
	maxFields     = 32
	maxFieldBytes = 4 * batch.KiB
)

// The names of files that came without one. OpenAI's SDK for Python sends bytes under the second; as a batch's
// input it has the ending that programs look for.
const (
	namelessInput = "upload.jsonl"
	namelessFile  = "upload"
)

// Form is an upload's form, read part by part in whatever order they come, with the bytes of its file in the blob store.
// It is for one goroutine.
type Form struct {
	// Fields are the text fields by name.
	Fields map[string]string
	// Blob is the file's bytes, and Lines what was seen of them as they passed by.
	Blob  batch.Blob
	Lines linescan.Scan

	call     *httpapi.Call
	receiver *Receiver
	want     Want
	room     *allowance
	// hasFile is set from the file part on; filename is its own name.
	hasFile  bool
	filename string
	// stray says, as sentences, why the first part that seems to be the file is not taken for it; "" where there is none.
	stray string
	// stored is set while Blob has to be removed if the upload fails.
	stored bool
}

// Release gives back the room for bytes on their way: by now they are stored and counted by the store, or gone. The form
// must not be used afterwards.
func (f *Form) Release() { f.room.release() }

// read reads the form to its end. Every fault of it is the client's, unless the blob store fails.
func (f *Form) read() error {
	// Only the boundary is looked at: some documentation has clients send a form under another media type.
	_, params, err := mime.ParseMediaType(f.call.Request.Header.Get("Content-Type"))
	if err != nil || params["boundary"] == "" {
		return f.invalid("The request must be a multipart/form-data form with a boundary.")
	}
	parts := multipart.NewReader(f.call.Request.Body, params["boundary"])
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

// readPart takes the next part: the file, or a text field.
func (f *Form) readPart(part *multipart.Part) error {
	name := part.FormName()
	switch {
	case name == f.want.Field && (!f.want.Named || isFile(part)):
		if f.hasFile {
			return f.invalid("The form has more than one file.")
		}
		f.hasFile, f.filename = true, part.FileName()
		return f.store(part)
	case len(f.Fields) == maxFields:
		return f.invalid("The form has more than %d fields.", maxFields)
	}
	if _, twice := f.Fields[name]; twice {
		return batch.Invalidf(httpapi.Clip(name), "", "The form has more than one field of this name.")
	}
	stray := f.strayFile(part)
	value, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
	if err != nil {
		return f.cutShort(err)
	}
	if int64(len(value)) > maxFieldBytes {
		if stray != "" {
			return batch.Invalidf(httpapi.Clip(name), "", "%s", stray)
		}
		return batch.Invalidf(httpapi.Clip(name), "", "The form has a field of more than %d bytes.", maxFieldBytes)
	}
	f.stray = cmp.Or(f.stray, stray)
	f.Fields[name] = string(value)
	return nil
}

// strayFile says why a part that seems to be the form's file is not taken for it; "" for a text field.
func (f *Form) strayFile(part *multipart.Part) string {
	switch name := part.FormName(); {
	case name == f.want.Field:
		return fmt.Sprintf("The part '%s' has neither a filename nor a Content-Type, so that it is no file. Send it with a filename.", name)
	case hasFilename(part) && name != "purpose": // which some clients send like a file
		return fmt.Sprintf("The file is in a part named '%s'. It must be in one named '%s'.", httpapi.Clip(name), f.want.Field)
	default:
		return ""
	}
}

// Explain returns the fault of a form, in the words of what was sent in place of its file if that is why it has none.
func (f *Form) Explain(err error) error {
	var fault *batch.Error
	if f.hasFile || f.stray == "" || !errors.As(err, &fault) {
		return err
	}
	told := *fault
	told.Message = f.stray
	return &told
}

// isFile reports whether a part is a file and no text field: it has a file name, be it empty, or a media type.
func isFile(part *multipart.Part) bool {
	return hasFilename(part) || part.Header.Get("Content-Type") != ""
}

// hasFilename reports whether a part has a file name, be it empty.
func hasFilename(part *multipart.Part) bool {
	_, params, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition")) // a part of a name has a good one
	_, named := params["filename"]
	return named
}

// Name returns what the form's file is to be called; "" for a form without a file.
func (f *Form) Name() string {
	switch {
	case !f.hasFile || f.filename != "":
		return f.filename
	case f.Fields["purpose"] == string(batch.PurposeBatch):
		return namelessInput
	default:
		return namelessFile
	}
}

// store streams the file part into the blob store.
func (f *Form) store(part io.Reader) error {
	in := &fileReader{form: f, part: part}
	var err error
	f.Blob, err = f.receiver.blobs.Put(f.call.Context(), blob.RandomKey(blob.Files), in)
	if in.err != nil {
		return in.err
	}
	if err != nil {
		return fmt.Errorf("store upload: %w", err)
	}
	f.stored = true
	return nil
}

// Discard removes the stored bytes, if any. What cannot be removed now is unreferenced, and so found by sweeping.
func (f *Form) Discard() {
	if f.stored {
		f.stored = false
		f.call.Tidy(func(ctx context.Context) error { return f.receiver.blobs.Delete(ctx, f.Blob.Key) })
	}
}

func (f *Form) invalid(format string, args ...any) error {
	return batch.Invalidf(f.want.Field, "", format, args...)
}

// cutShort returns the client's fault behind a form that could not be read on: it was too slow, or else it broke off.
func (f *Form) cutShort(err error) error {
	var fault *batch.Error
	if errors.As(err, &fault) {
		return fault
	}
	return f.invalid("The form ends before its last boundary, or a part of it is malformed. Send the upload again.")
}

// fileReader passes a file part on, scanning its lines and watching its size.
type fileReader struct {
	form *Form
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
	r.form.Lines.Write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = r.form.cutShort(err)
		return n, r.err
	}
	return n, err
}

// take counts n more bytes, or returns the limit that they pass.
func (r *fileReader) take(n int64) error {
	r.read += n
	if want := r.form.want; r.read > want.Limit {
		return want.TooLarge(want.Limit)
	}
	if !r.form.room.take(n) {
		return r.form.receiver.overQuota(r.form.call, r.form.room.left)
	}
	return nil
}
