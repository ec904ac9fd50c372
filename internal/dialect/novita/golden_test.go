package novita_test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"batchd/internal/batch"
	"batchd/internal/dialect/novita"
)

var update = flag.Bool("update", false, "rewrite the golden files with what the dialect renders")

// rendering is one golden file: what is rendered, and which schema of the description the result has.
type rendering struct {
	schema string
	render func(d *novita.Dialect) []byte
}

// renderings are all golden files, by name.
func renderings() map[string]rendering {
	older := completed()
	older.ID = "batch_d2cq0es1cas73a68lu00"
	all := map[string]rendering{
		"batch-continued": {"Batch", func(d *novita.Dialect) []byte { return d.Batch(continued()) }},
		"batch-of-a-cancel-call": {"Batch", func(d *novita.Dialect) []byte {
			return d.CancelledBatch(cancelling())
		}},
		"batches": {"BatchList", func(d *novita.Dialect) []byte {
			return d.BatchList([]batch.Batch{continued(), running(), older}, true)
		}},
		"batches-none":       {"BatchList", func(d *novita.Dialect) []byte { return d.BatchList(nil, false) }},
		"file-input":         {"File", func(d *novita.Dialect) []byte { return d.File(inputFile()) }},
		"file-result":        {"File", func(d *novita.Dialect) []byte { return d.File(resultFile()) }},
		"file-result-kept":   {"File", renderKeptFile},
		"file-of-elsewhere":  {"File", renderForeignFile},
		"file-deleted":       {"DeletedFile", func(d *novita.Dialect) []byte { return d.DeletedFile("file_1") }},
		"files-none":         {"FileList", func(d *novita.Dialect) []byte { return d.FileList(nil, false) }},
		"files":              {"FileList", renderFiles},
		"model":              {"Model", func(d *novita.Dialect) []byte { return d.Model("openai/gpt-oss-120b") }},
		"models":             {"ModelList", func(d *novita.Dialect) []byte { return d.ModelList([]string{"a", "b/c"}) }},
		"error-no-model":     fault(novita.New(novita.Options{}).NotFound("model", "x"), 404),
		"error-invalid":      fault(&batch.Error{Param: "endpoint", Code: "invalid_value", Message: "Invalid value: '<x>'."}, 400),
		"error-no-key":       fault(&batch.Error{Class: batch.Unauthenticated, Code: "missing_api_key", Message: "No API key was sent."}, 401),
		"error-wrong-key":    fault(&batch.Error{Class: batch.Unauthenticated, Code: "invalid_api_key", Message: "The API key is not valid."}, 403),
		"error-no-route":     fault(&batch.Error{Class: batch.NotFound, Message: "Unknown path."}, 404),
		"error-method":       fault(&batch.Error{Class: batch.MethodNotAllowed, Message: "This path does not take PUT requests."}, 405),
		"error-conflict":     fault(&batch.Error{Class: batch.Conflict, Code: "idempotency_key_reused", Message: "Used before."}, 409),
		"error-too-large":    fault(&batch.Error{Class: batch.TooLarge, Param: "file", Message: "File is too large."}, 413),
		"error-range":        fault(&batch.Error{Class: batch.RangeNotSatisfiable, Message: "Outside the file."}, 416),
		"error-rate":         fault(&batch.Error{Class: batch.RateLimited, Code: "rate_limit_exceeded", Message: "Too many requests."}, 429),
		"error-tokens":       fault(&batch.Error{Class: batch.RateLimited, Code: "token_limit_exceeded", Message: "Too many tokens."}, 429),
		"error-internal":     fault(&batch.Error{Message: "The server had an error. Its request id is req_1."}, 500),
		"error-unavailable":  fault(&batch.Error{Class: batch.Unavailable, Message: "The server is stopping."}, 503),
		"error-storage-full": fault(&batch.Error{Class: batch.StorageFull, Message: "No space."}, 507),
		"error-no-batch": {"Error", func(d *novita.Dialect) []byte {
			return d.Error(d.NotFound("batch", "batch_1"), 404)
		}},
		"error-no-file":      {"Error", func(d *novita.Dialect) []byte { return d.Error(d.NotFound("file", "file_1"), 404) }},
		"error-file-expired": {"Error", func(d *novita.Dialect) []byte { return d.Error(d.FileExpired("file_1"), 404) }},
		"error-cannot-cancel": {"Error", func(d *novita.Dialect) []byte {
			return d.Error(d.CannotCancel(completed()), 400)
		}},
	}
	for name, b := range batches() {
		all["batch-"+name] = rendering{"Batch", func(d *novita.Dialect) []byte { return d.Batch(b) }}
	}
	return all
}

func fault(e *batch.Error, status int) rendering {
	return rendering{"Error", func(d *novita.Dialect) []byte { return d.Error(e, status) }}
}

// renderKeptFile renders a result file that is kept until it is deleted.
func renderKeptFile(d *novita.Dialect) []byte {
	f := resultFile()
	f.ExpiresAt = time.Time{}
	return d.File(f)
}

// renderForeignFile renders a file that was uploaded in a dialect with more purposes.
func renderForeignFile(d *novita.Dialect) []byte {
	f := inputFile()
	f.ID, f.Name, f.Purpose = "file-1aB2cD3eF4gH5iJ6kL7mN8", "train.jsonl", "fine-tune"
	return d.File(f)
}

func renderFiles(d *novita.Dialect) []byte {
	return d.FileList([]batch.File{resultFile(), inputFile()}, true)
}

func TestRenderingsAreThoseOfTheGoldenFiles(t *testing.T) {
	t.Parallel()
	all := renderings()
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := txtar.Format(&txtar.Archive{Files: []txtar.File{
				{Name: "default", Data: append(r.render(novita.New(novita.Options{})), '\n')},
				{Name: "strict", Data: append(r.render(novita.New(novita.Options{Strict: true})), '\n')},
			}})
			file := filepath.Join("testdata", "golden", name+".txtar")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))), string(got)); diff != "" {
				t.Errorf("not as in %s (-want +got); run with -update if this is meant:\n%s", file, diff)
			}
		})
	}
}

func TestEveryGoldenFileIsRendered(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	left := maps.Clone(renderings())
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		if _, known := left[name]; !known {
			t.Errorf("%s belongs to no rendering", file)
		}
		delete(left, name)
	}
	for name := range left {
		t.Errorf("%s has no golden file", name)
	}
}
