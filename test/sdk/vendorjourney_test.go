package sdk_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/respjson"
)

// vendorJourney is what the user of the Go SDK who drives another vendor's API knows after each step.
type vendorJourney struct {
	user
	novita  bool
	files   []string // ids, oldest first
	batches []string // ids, oldest first
	output  string   // the first batch's output file
}

func (j *vendorJourney) input() []byte {
	if j.novita {
		return bareRequests(lineCount)
	}
	return requests(lineCount)
}

// word writes a status as the vendor does. Novita's are in upper case, which the SDK passes on as they are.
func (j *vendorJourney) word(status openai.BatchStatus) openai.BatchStatus {
	if j.novita {
		return openai.BatchStatus(strings.ToUpper(string(status)))
	}
	return status
}

func (j *vendorJourney) upload(t *testing.T) {
	for n := range fileCount {
		file := j.mustUpload(t, fmt.Sprintf("input-%d.jsonl", n), j.input())
		told := file.RawJSON()
		if j.novita && !strings.Contains(told, fmt.Sprintf(`"metadata":{"total_requests":%d}`, lineCount)) ||
			!j.novita && !strings.Contains(told, `"status":"uploaded"`) || file.CreatedAt == 0 {
			t.Errorf("unexpected file object: %s", told)
		}
		j.files = append(j.files, file.ID)
	}
}

func (j *vendorJourney) retrieve(t *testing.T) {
	file, err := j.client.Files.Get(t.Context(), j.files[0])
	if err != nil {
		t.Fatal(err)
	}
	if file.Filename != "input-0.jsonl" || file.Bytes != int64(len(j.input())) {
		t.Errorf("unexpected file object: %s", file.RawJSON())
	}
}

func (j *vendorJourney) listFiles(t *testing.T) {
	for _, query := range []openai.FileListParams{{}, {Limit: openai.Int(2)}} {
		if diff := cmp.Diff(reversed(j.files), j.fileIDs(t, query)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	}
}

func (j *vendorJourney) create(t *testing.T) {
	for n, file := range j.files {
		batch := j.mustCreate(t, file, map[string]string{"run": fmt.Sprint(n)})
		if batch.Status != j.word(openai.BatchStatusValidating) || batch.Metadata["run"] != fmt.Sprint(n) || batch.InputFileID != file {
			t.Fatalf("unexpected batch: %s", batch.RawJSON())
		}
		j.checkTime(t, batch, batch.CreatedAt, batch.JSON.CreatedAt)
		j.batches = append(j.batches, batch.ID)
	}
}

// checkTime checks what the SDK makes of a time. Novita's are strings: the SDK reads 0, raises no error, and keeps what
// there was.
func (j *vendorJourney) checkTime(t *testing.T, batch *openai.Batch, seconds int64, raw respjson.Field) {
	t.Helper()
	if !j.novita {
		if seconds == 0 || !raw.Valid() {
			t.Errorf("no time in %s", batch.RawJSON())
		}
		return
	}
	if seconds != 0 || raw.Valid() || !strings.HasPrefix(raw.Raw(), `"20`) {
		t.Errorf("the SDK read %d, valid: %t, from the time %s", seconds, raw.Valid(), raw.Raw())
	}
}

func (j *vendorJourney) poll(t *testing.T) {
	for _, id := range j.batches {
		batch := j.waitFor(t, id, j.word(openai.BatchStatusCompleted))
		counts := batch.RequestCounts
		if counts.Total != lineCount || counts.Completed != lineCount || counts.Failed != 0 {
			t.Errorf("counts of %s: %s", id, counts.RawJSON())
		}
		if batch.OutputFileID == "" || batch.ErrorFileID != "" {
			t.Errorf("unexpected batch: %s", batch.RawJSON())
		}
		j.checkTime(t, batch, batch.CompletedAt, batch.JSON.CompletedAt)
		if id == j.batches[0] {
			j.output = batch.OutputFileID
		}
	}
}

func (j *vendorJourney) listBatches(t *testing.T) {
	for _, limit := range []int64{2, fileCount} {
		if diff := cmp.Diff(reversed(j.batches), j.batchIDs(t, limit)); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
	}
}

func (j *vendorJourney) content(t *testing.T) {
	if got := j.mustRead(t, j.files[0]); !bytes.Equal(got, j.input()) {
		t.Error("an uploaded file came back changed")
	}
	checkAnswers(t, resultsIn(t, j.mustRead(t, j.output)), lineCount)
}

func (j *vendorJourney) failed(t *testing.T) {
	input := append(j.input(), `{"custom_id": "request-99"}`+"\n"...)
	batch := j.waitFor(t, j.mustCreate(t, j.mustUpload(t, "bad.jsonl", input).ID, nil).ID, j.word(openai.BatchStatusFailed))
	if !j.novita {
		if errs := batch.Errors.Data; len(errs) == 0 || errs[0].Line != lineCount+1 || errs[0].Message == "" {
			t.Errorf("unexpected batch: %s", batch.RawJSON())
		}
		return
	}
	// Novita's errors are one string, which the SDK keeps and does not read.
	want := fmt.Sprintf(`"line %d: missing_required_parameter: Missing required parameter: 'body'."`, lineCount+1)
	if raw := batch.JSON.Errors; raw.Valid() || raw.Raw() != want {
		t.Errorf("errors are %s, read by the SDK: %t; want %s", raw.Raw(), raw.Valid(), want)
	}
}

func (j *vendorJourney) cancel(t *testing.T) {
	const lines = 5000
	doomed := j.mustCreate(t, j.mustUpload(t, "doomed.jsonl", requests(lines)).ID, nil)
	told, err := j.client.Batches.Cancel(t.Context(), doomed.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !j.novita {
		checkReducedCancel(t, told)
	}
	batch := j.waitFor(t, doomed.ID, j.word(openai.BatchStatusCancelled))
	j.checkTime(t, batch, batch.CancelledAt, batch.JSON.CancelledAt)
	if total := batch.RequestCounts.Total; total != 0 && total != lines {
		t.Errorf("unexpected batch: %s", batch.RawJSON())
	}
}

// checkReducedCancel checks Neosantara's answer to a cancel call: a few members, of which the SDK reads the others as
// absent.
func checkReducedCancel(t *testing.T, told *openai.Batch) {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(told.RawJSON()), &members); err != nil {
		t.Fatal(err)
	}
	want := []string{"id", "object", "endpoint", "status", "cancelled_at", "request_counts"}
	for name := range members {
		if !slices.Contains(want, name) {
			t.Errorf("unexpected member %s in %s", name, told.RawJSON())
		}
	}
	if told.Status != "canceled" || told.CancelledAt == 0 || told.JSON.InputFileID.Valid() || len(members) != len(want) {
		t.Errorf("unexpected answer: %s", told.RawJSON())
	}
}

func (j *vendorJourney) delete(t *testing.T) {
	last := j.files[fileCount-1]
	deleted, err := j.client.Files.Delete(t.Context(), last)
	if err != nil || deleted.ID != last || !deleted.Deleted {
		t.Fatalf("delete %s: %v, %v", last, deleted, err)
	}
	_, err = j.client.Files.Get(t.Context(), last)
	wantError(t, err, fault{status: http.StatusNotFound, code: "file_not_found", message: "not found"})
	if slices.Contains(j.fileIDs(t, openai.FileListParams{Limit: openai.Int(2)}), last) {
		t.Errorf("deleted file %s is still listed", last)
	}
}

func (j *vendorJourney) errors(t *testing.T) {
	_, err := j.client.Batches.Get(t.Context(), "batch_absent")
	wantError(t, err, fault{status: http.StatusNotFound, code: "batch_not_found", message: "not found"})
	_, err = j.client.Batches.New(t.Context(), batchOf("file_absent", nil))
	wantError(t, err, fault{status: http.StatusBadRequest, param: "input_file_id", message: "file_absent"})
	nowhere := batchOf(j.files[0], nil)
	nowhere.Endpoint = "/v1/nonsense"
	_, err = j.client.Batches.New(t.Context(), nowhere)
	wantError(t, err, fault{http.StatusBadRequest, "endpoint", "invalid_value", "/v1/nonsense"})
	// How a batch that has ended is refused is ours: neither vendor's pages say.
	want := fault{status: http.StatusConflict, message: "completed"}
	if j.novita {
		want = fault{status: http.StatusBadRequest, message: "COMPLETED"}
	}
	sent := 0
	_, err = j.client.Batches.Cancel(t.Context(), j.batches[0], counting(&sent))
	wantError(t, err, want)
	if sent != 1 {
		t.Errorf("a refusal that stays was asked for %d times", sent)
	}
}
