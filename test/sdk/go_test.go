package sdk_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"batchd/test/harness"
)

const (
	fileCount = 5
	lineCount = 20
)

func TestGoSDK(t *testing.T) {
	t.Parallel()
	j := &journey{user: newUser(harness.Serve(t) + "/v1")}
	walk(t, steps, []func(*testing.T){
		j.upload, j.retrieve, j.listFiles, j.create, j.idempotency, j.poll, j.listBatches, j.content, j.expiry, j.failed,
		j.cancel, j.delete, j.errors,
	})
}

// walk runs the legs of a journey, named by its steps. Each builds on the one before.
func walk(t *testing.T, steps []string, legs []func(*testing.T)) {
	t.Helper()
	if len(steps) != len(legs) {
		t.Fatalf("%d steps, %d legs", len(steps), len(legs))
	}
	for i, leg := range legs {
		if !t.Run(steps[i], leg) {
			t.FailNow()
		}
	}
}

// journey is what one user of the SDK knows after each step.
type journey struct {
	user
	files   []string // ids, oldest first
	batches []string // ids, oldest first
	output  string   // the first batch's output file
}

func (j *journey) upload(t *testing.T) {
	for n := range fileCount {
		file := j.mustUpload(t, fmt.Sprintf("input-%d.jsonl", n), requests(lineCount))
		if file.Purpose != openai.FileObjectPurposeBatch || slices.Contains(j.files, file.ID) {
			t.Fatalf("unexpected file object: %s", file.RawJSON())
		}
		j.files = append(j.files, file.ID)
	}
}

func (j *journey) retrieve(t *testing.T) {
	file, err := j.client.Files.Get(t.Context(), j.files[0])
	if err != nil {
		t.Fatal(err)
	}
	age := time.Since(time.Unix(file.CreatedAt, 0))
	if file.Filename != "input-0.jsonl" || file.Bytes != int64(len(requests(lineCount))) ||
		!strings.Contains(file.RawJSON(), `"processed"`) || age.Abs() > 5*time.Minute {
		t.Errorf("unexpected file object: %s", file.RawJSON())
	}
}

func (j *journey) listFiles(t *testing.T) {
	newestFirst := j.fileIDs(t, openai.FileListParams{Limit: openai.Int(2)})
	if diff := cmp.Diff(reversed(j.files), newestFirst); diff != "" {
		t.Errorf("files by default (-want +got):\n%s", diff)
	}
	if others := j.fileIDs(t, openai.FileListParams{Purpose: openai.String("fine-tune")}); len(others) > 0 {
		t.Errorf("files of another purpose: %q", others)
	}
	oldestFirst := j.fileIDs(t, openai.FileListParams{
		Limit: openai.Int(2), Order: openai.FileListParamsOrderAsc, Purpose: openai.String("batch"),
	})
	if diff := cmp.Diff(j.files, oldestFirst); diff != "" {
		t.Errorf("files in ascending order (-want +got):\n%s", diff)
	}
}

func (j *journey) create(t *testing.T) {
	for n, file := range j.files {
		batch := j.mustCreate(t, file, map[string]string{"run": fmt.Sprint(n)})
		if batch.Status != openai.BatchStatusValidating || batch.Metadata["run"] != fmt.Sprint(n) || batch.InputFileID != file {
			t.Fatalf("unexpected batch: %s", batch.RawJSON())
		}
		j.batches = append(j.batches, batch.ID)
	}
}

func (j *journey) idempotency(t *testing.T) {
	nightly := option.WithHeader("Idempotency-Key", "nightly")
	once := j.mustCreate(t, j.files[0], nil, nightly)
	if again := j.mustCreate(t, j.files[0], nil, nightly); again.ID != once.ID {
		t.Errorf("the same call again made %s beside %s", again.ID, once.ID)
	}
	_, err := j.client.Batches.New(t.Context(), batchOf(j.files[1], nil), nightly)
	wantError(t, err, fault{status: http.StatusConflict, code: "idempotency_key_reused"})
	j.batches = append(j.batches, once.ID)
}

func (j *journey) poll(t *testing.T) {
	for _, id := range j.batches {
		batch := j.waitFor(t, id, openai.BatchStatusCompleted)
		counts := batch.RequestCounts
		if counts.Total != lineCount || counts.Completed != lineCount || counts.Failed != 0 {
			t.Errorf("counts of %s: %s", id, counts.RawJSON())
		}
		if batch.OutputFileID == "" || batch.ErrorFileID != "" || batch.CompletedAt < batch.CreatedAt {
			t.Errorf("unexpected batch: %s", batch.RawJSON())
		}
		if id == j.batches[0] {
			j.output = batch.OutputFileID
		}
	}
}

func (j *journey) listBatches(t *testing.T) {
	if diff := cmp.Diff(reversed(j.batches), j.batchIDs(t, 2)); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

func (j *journey) content(t *testing.T) {
	if got := j.mustRead(t, j.files[0]); !bytes.Equal(got, requests(lineCount)) {
		t.Error("an uploaded file came back changed")
	}
	checkAnswers(t, resultsIn(t, j.mustRead(t, j.output)), lineCount)
}

func (j *journey) expiry(t *testing.T) {
	brief, err := j.client.Files.New(t.Context(), openai.FileNewParams{
		File:         openai.File(bytes.NewReader(requests(lineCount)), "brief.jsonl", "application/jsonl"),
		Purpose:      openai.FilePurposeBatch,
		ExpiresAfter: openai.FileNewParamsExpiresAfter{Seconds: 3600},
	})
	if err != nil {
		t.Fatal(err)
	}
	params := batchOf(brief.ID, nil)
	params.OutputExpiresAfter = openai.BatchNewParamsOutputExpiresAfter{Seconds: 3600}
	batch, err := j.client.Batches.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	output, err := j.client.Files.Get(t.Context(), j.waitFor(t, batch.ID, openai.BatchStatusCompleted).OutputFileID)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []*openai.FileObject{brief, output} {
		if file.ExpiresAt != file.CreatedAt+3600 {
			t.Errorf("unexpected file object: %s", file.RawJSON())
		}
	}
}

func (j *journey) failed(t *testing.T) {
	input := append(requests(lineCount), `{"custom_id": "request-1"}`+"\n"...)
	batch := j.waitFor(t, j.mustCreate(t, j.mustUpload(t, "bad.jsonl", input).ID, nil).ID, openai.BatchStatusFailed)
	found := slices.ContainsFunc(batch.Errors.Data, func(e openai.BatchError) bool {
		return e.Line == lineCount+1 && e.Code == "missing_required_parameter" && e.Param == "method" && e.Message != ""
	})
	if !found || batch.FailedAt == 0 || batch.OutputFileID != "" {
		t.Errorf("unexpected batch: %s", batch.RawJSON())
	}
}

func (j *journey) cancel(t *testing.T) {
	const lines = 5000
	doomed := j.mustCreate(t, j.mustUpload(t, "doomed.jsonl", requests(lines)).ID, nil)
	if _, err := j.client.Batches.Cancel(t.Context(), doomed.ID); err != nil {
		t.Fatal(err)
	}
	batch := j.waitFor(t, doomed.ID, openai.BatchStatusCancelled)
	if total := batch.RequestCounts.Total; batch.CancelledAt == 0 || (total != 0 && total != lines) {
		t.Errorf("unexpected batch: %s", batch.RawJSON())
	}
	if again, err := j.client.Batches.Cancel(t.Context(), doomed.ID); err != nil || again.Status != openai.BatchStatusCancelled {
		t.Errorf("a second cancel: %v, %v; want the cancelled batch", again, err)
	}
}

func (j *journey) delete(t *testing.T) {
	last := j.files[fileCount-1]
	deleted, err := j.client.Files.Delete(t.Context(), last)
	if err != nil || deleted.ID != last || !deleted.Deleted {
		t.Fatalf("delete %s: %v, %v", last, deleted, err)
	}
	_, err = j.client.Files.Get(t.Context(), last)
	wantError(t, err, fault{status: http.StatusNotFound, param: "id", message: last})
	if slices.Contains(j.fileIDs(t, openai.FileListParams{Limit: openai.Int(2)}), last) {
		t.Errorf("deleted file %s is still listed", last)
	}
}

func (j *journey) errors(t *testing.T) {
	_, err := j.client.Files.New(t.Context(), openai.FileNewParams{
		File: openai.File(bytes.NewReader(requests(1)), "a.jsonl", "application/jsonl"), Purpose: "nonsense",
	})
	wantError(t, err, fault{status: http.StatusBadRequest, param: "purpose", code: "invalid_value"})
	nowhere := batchOf(j.files[0], nil)
	nowhere.Endpoint = "/v1/nonsense"
	_, err = j.client.Batches.New(t.Context(), nowhere)
	wantError(t, err, fault{http.StatusBadRequest, "endpoint", "invalid_value", "/v1/nonsense"})
	_, err = j.client.Batches.Get(t.Context(), "batch_absent")
	wantError(t, err, fault{status: http.StatusNotFound, param: "id", message: "batch_absent"})
	sent := 0
	_, err = j.client.Batches.Cancel(t.Context(), j.batches[0], counting(&sent))
	wantError(t, err, fault{status: http.StatusConflict, message: "completed"})
	if sent != 1 {
		t.Errorf("a refusal that stays was asked for %d times", sent)
	}
}

// counting counts the requests that a call sends, those that it sends again included.
func counting(sent *int) option.RequestOption {
	return option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		*sent++
		return next(r)
	})
}
