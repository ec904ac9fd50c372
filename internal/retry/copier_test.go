package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
	"batchd/internal/openfile"
	"batchd/internal/retry"
	"batchd/internal/store"
)

const endpoint = "/v1/embeddings"

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// files holds the two files of a batch; a missing one has no id.
type files struct {
	input, results batch.File
}

func (d *files) File(_ context.Context, _, id string, _ time.Time) (batch.File, error) {
	if id == ended.InputFileID {
		return found(d.input)
	}
	return found(d.results)
}

func found(f batch.File) (batch.File, error) {
	if f.ID == "" {
		return f, store.ErrNotFound
	}
	return f, nil
}

// put stores a file in pieces, so that lines lie across extents.
func put(t *testing.T, blobs blob.Store, id, text string) batch.File {
	t.Helper()
	f := batch.File{ID: id, Bytes: int64(len(text))}
	for n := 0; text != ""; n++ {
		piece := text[:min(50, len(text))]
		text = text[len(piece):]
		b, err := blobs.Put(t.Context(), fmt.Sprintf("%s/%d", id, n), strings.NewReader(piece))
		if err != nil {
			t.Fatal(err)
		}
		f.Content = f.Content.Append(b, 0, b.Size)
	}
	return f
}

func newCopier(d *files, blobs blob.Store) *retry.Copier {
	speak := openai.New(openai.Options{})
	return retry.NewCopier(retry.CopierOptions{
		Store: d, Blobs: blobs, Reading: openfile.NewRegistry(time.Minute), Dialect: func(string) (dialect.Dialect, error) { return speak, nil },
		MaxLine: batch.MiB, Now: func() time.Time { return now },
	})
}

var ended = batch.Batch{ID: "batch_1", Dialect: "openai", Endpoint: endpoint, InputFileID: "file-in", ErrorFileID: "file-err"}

func requestLine(id string) string {
	return fmt.Sprintf(`{"custom_id":%q,"method":"POST","url":%q,"body":{"model":"m","input":"custom_id"}}`, id, endpoint)
}

// resultLine is a failed line; its answer has a member that is called like the one that is looked for.
func resultLine(id []byte) string {
	before, after := openai.New(openai.Options{}).ResultFrame(dialect.Result{ID: "batch_req_1", CustomID: id, Status: 400})
	return string(before) + `{"custom_id":"z","error":[{"custom_id":1}]}` + string(after) + "\n"
}

func TestUnfinishedLinesAreTheInputLinesOfTheErrorFileByteForByteAndInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		failed := rapid.SliceOfN(rapid.Bool(), 1, 60).Draw(r, "failed")
		failed[len(failed)-1] = true
		var input, results, want strings.Builder
		for i, f := range failed {
			id := fmt.Sprintf("a\"\u00e9 %d", i)
			input.WriteString(requestLine(id) + rapid.SampledFrom([]string{"\n", "\r\n", " \n"}).Draw(r, "break"))
			if f {
				results.WriteString(resultLine([]byte(id)))
				want.WriteString(requestLine(id))
			}
		}
		blobs := blob.NewStore(blobtest.NewMemory(), blob.Options{})
		d := &files{put(t, blobs, "file-in", input.String()), put(t, blobs, "file-err", results.String())}
		out, n, err := newCopier(d, blobs).CopyUnfinished(t.Context(), ended)
		if err != nil {
			r.Fatal(err)
		}
		if lines := int64(strings.Count(results.String(), "\n")); n != lines {
			r.Fatalf("%d lines, want %d", n, lines)
		}
		got := strings.NewReplacer(" \n", "", "\n", "").Replace(readAll(t, blobs, out))
		if got != want.String() {
			r.Fatalf("copied:\n%s\nwant:\n%s", got, want.String())
		}
	})
}

func readAll(t *testing.T, blobs blob.Store, b batch.Blob) string {
	t.Helper()
	in := blobs.Open(t.Context(), b, 0, b.Size)
	defer in.Close()
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLineWithoutACustomIDIsLeftOut(t *testing.T) {
	t.Parallel()
	blobs := blob.NewStore(blobtest.NewMemory(), blob.Options{})
	d := &files{
		put(t, blobs, "file-in", "\x00broken\n"+requestLine("b")+"\n"),
		put(t, blobs, "file-err", resultLine(nil)+resultLine([]byte("b"))),
	}
	out, n, err := newCopier(d, blobs).CopyUnfinished(t.Context(), ended)
	if err != nil || n != 1 || readAll(t, blobs, out) != requestLine("b")+"\n" {
		t.Errorf("%d lines, %v", n, err)
	}
	d.results = put(t, blobs, "file-err2", resultLine(nil))
	var fault *batch.Error
	if _, _, err := newCopier(d, blobs).CopyUnfinished(t.Context(), ended); !errors.As(err, &fault) || fault.Class != batch.Conflict {
		t.Errorf("nothing readable: %v, want a conflict", err)
	}
}

func TestUnfinishedLinesOfDeletedFilesAreAConflictThatNamesTheFile(t *testing.T) {
	t.Parallel()
	blobs := blob.NewStore(blobtest.NewMemory(), blob.Options{})
	input, results := put(t, blobs, "file-in", requestLine("a")), put(t, blobs, "file-err", resultLine([]byte("a")))
	for want, d := range map[string]*files{"file-in": {results: results}, "file-err": {input: input}} {
		_, _, err := newCopier(d, blobs).CopyUnfinished(t.Context(), ended)
		var fault *batch.Error
		if !errors.As(err, &fault) || fault.Class != batch.Conflict || !strings.Contains(fault.Message, want) {
			t.Errorf("without %s: %v", want, err)
		}
	}
}

func TestFilesThatDoNotBelongTogetherMakeNoCopy(t *testing.T) {
	t.Parallel()
	for name, results := range map[string]string{
		"unknown line": resultLine([]byte("b")),
		"cut short":    strings.TrimSuffix(resultLine([]byte("a")), "}\n"),
		"no JSON":      "x",
	} {
		backend := blobtest.NewMemory()
		blobs := blob.NewStore(backend, blob.Options{})
		d := &files{put(t, blobs, "file-in", requestLine("a")), put(t, blobs, "file-err", results)}
		if _, _, err := newCopier(d, blobs).CopyUnfinished(t.Context(), ended); err == nil || errors.As(err, new(*batch.Error)) {
			t.Errorf("%s: %v, want an internal error", name, err)
		}
		err := backend.List(t.Context(), "files/", func(i blob.Info) error { return errors.New(i.Key) })
		if err != nil {
			t.Errorf("%s: blob %v is left", name, err)
		}
	}
}
