package sdk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	// finishWithin is how long a batch of a few lines on the simulator may take, on a loaded machine.
	finishWithin = 90 * time.Second
)

func TestGoSDK(t *testing.T) {
	t.Parallel()
	j := &journey{client: openai.NewClient(option.WithBaseURL(harness.Serve(t)+"/v1"), option.WithAPIKey("unused"))}
	legs := []func(*testing.T){
		j.upload, j.retrieve, j.listFiles, j.create, j.poll, j.listBatches, j.content, j.cancel, j.delete, j.errors,
	}
	for i, leg := range legs {
		if !t.Run(steps[i], leg) {
			t.FailNow() // each step builds on the one before
		}
	}
}

// journey is what one user of the SDK knows after each step.
type journey struct {
	client  openai.Client
	files   []string // ids, oldest first
	batches []string // ids, oldest first
	output  string   // the first batch's output file
}

func (j *journey) upload(t *testing.T) {
	for n := range fileCount {
		file := j.mustUpload(t, fmt.Sprintf("input-%d.jsonl", n), lineCount)
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
	pager := j.client.Batches.ListAutoPaging(t.Context(), openai.BatchListParams{Limit: openai.Int(2)})
	var ids []string
	for pager.Next() {
		ids = append(ids, pager.Current().ID)
	}
	if err := pager.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(reversed(j.batches), ids); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

func (j *journey) content(t *testing.T) {
	if got := j.mustRead(t, j.files[0]); !bytes.Equal(got, requests(lineCount)) {
		t.Error("an uploaded file came back changed")
	}
	n := 0
	for line := range bytes.Lines(j.mustRead(t, j.output)) {
		var result struct {
			CustomID string `json:"custom_id"`
			Response struct {
				StatusCode int                   `json:"status_code"`
				Body       openai.ChatCompletion `json:"body"`
			} `json:"response"`
		}
		if err := json.Unmarshal(line, &result); err != nil {
			t.Fatalf("output line %d: %v", n+1, err)
		}
		if result.CustomID != fmt.Sprintf("request-%d", n) || result.Response.StatusCode != http.StatusOK ||
			len(result.Response.Body.Choices) != 1 {
			t.Errorf("output line %d: %s", n+1, line)
		}
		n++
	}
	if n != lineCount {
		t.Errorf("the output has %d lines, want %d", n, lineCount)
	}
}

func (j *journey) cancel(t *testing.T) {
	const lines = 5000
	doomed := j.mustCreate(t, j.mustUpload(t, "doomed.jsonl", lines).ID, nil)
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
	wantError(t, err, http.StatusNotFound, "id")
	if slices.Contains(j.fileIDs(t, openai.FileListParams{Limit: openai.Int(2)}), last) {
		t.Errorf("deleted file %s is still listed", last)
	}
}

func (j *journey) errors(t *testing.T) {
	_, err := j.client.Files.New(t.Context(), openai.FileNewParams{
		File: openai.File(bytes.NewReader(requests(1)), "a.jsonl", "application/jsonl"), Purpose: "nonsense",
	})
	wantError(t, err, http.StatusBadRequest, "purpose")
	_, err = j.client.Batches.New(t.Context(), openai.BatchNewParams{
		InputFileID: j.files[0], Endpoint: "/v1/nonsense", CompletionWindow: openai.BatchNewParamsCompletionWindow24h,
	})
	wantError(t, err, http.StatusBadRequest, "endpoint")
	_, err = j.client.Batches.Get(t.Context(), "batch_absent")
	wantError(t, err, http.StatusNotFound, "id")
	_, err = j.client.Batches.Cancel(t.Context(), j.batches[0], option.WithMaxRetries(0))
	wantError(t, err, http.StatusConflict, "")
}

// wantError checks that the SDK understood an error answer: its status, its message and the parameter it names.
func wantError(t *testing.T, err error, status int, param string) {
	t.Helper()
	refusal, ok := errors.AsType[*openai.Error](err)
	if !ok {
		t.Fatalf("got %v, want an API error with status %d", err, status)
	}
	if refusal.StatusCode != status || refusal.Param != param || refusal.Message == "" {
		t.Errorf("got status %d, param %q, message %q; want status %d, param %q and a message",
			refusal.StatusCode, refusal.Param, refusal.Message, status, param)
	}
}

func (j *journey) mustUpload(t *testing.T, name string, lines int) *openai.FileObject {
	t.Helper()
	file, err := j.client.Files.New(t.Context(), openai.FileNewParams{
		File: openai.File(bytes.NewReader(requests(lines)), name, "application/jsonl"), Purpose: openai.FilePurposeBatch,
	})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func (j *journey) mustCreate(t *testing.T, file string, metadata map[string]string) *openai.Batch {
	t.Helper()
	batch, err := j.client.Batches.New(t.Context(), openai.BatchNewParams{
		InputFileID:      file,
		Endpoint:         openai.BatchNewParamsEndpointV1ChatCompletions,
		CompletionWindow: openai.BatchNewParamsCompletionWindow24h,
		Metadata:         metadata,
	})
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func (j *journey) mustRead(t *testing.T, file string) []byte {
	t.Helper()
	response, err := j.client.Files.Content(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func (j *journey) fileIDs(t *testing.T, query openai.FileListParams) []string {
	t.Helper()
	pager := j.client.Files.ListAutoPaging(t.Context(), query)
	var ids []string
	for pager.Next() {
		ids = append(ids, pager.Current().ID)
	}
	if err := pager.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

// waitFor polls until the batch has the status; any other final one fails the test.
func (j *journey) waitFor(t *testing.T, id string, status openai.BatchStatus) *openai.Batch {
	t.Helper()
	final := []openai.BatchStatus{
		openai.BatchStatusCompleted, openai.BatchStatusFailed, openai.BatchStatusExpired, openai.BatchStatusCancelled,
	}
	deadline := time.NewTimer(finishWithin)
	defer deadline.Stop()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		batch, err := j.client.Batches.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if batch.Status == status {
			return batch
		}
		if slices.Contains(final, batch.Status) {
			t.Fatalf("%s became %s, want %s: %s", id, batch.Status, status, batch.RawJSON())
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			t.Fatalf("%s is still %s after %s, want %s", id, batch.Status, finishWithin, status)
		}
	}
}

// requests returns an input file of n chat completions.
func requests(n int) []byte {
	var file strings.Builder
	for i := range n {
		fmt.Fprintf(&file, `{"custom_id":"request-%d","method":"POST","url":"/v1/chat/completions",`+
			`"body":{"model":"sim","max_tokens":4,"messages":[{"role":"user","content":"Say %d."}]}}`+"\n", i, i)
	}
	return []byte(file.String())
}

func reversed(ids []string) []string {
	turned := slices.Clone(ids)
	slices.Reverse(turned)
	return turned
}
