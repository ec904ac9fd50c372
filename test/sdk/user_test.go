package sdk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// finishWithin is how long a batch of a few lines on the simulator may take, on a loaded machine.
const finishWithin = 90 * time.Second

// user is somebody with the Go SDK.
type user struct{ client openai.Client }

func newUser(base string, options ...option.RequestOption) user {
	options = append([]option.RequestOption{option.WithBaseURL(base), option.WithAPIKey("unused")}, options...)
	return user{openai.NewClient(options...)}
}

func (u user) mustUpload(t *testing.T, name string, content []byte) *openai.FileObject {
	t.Helper()
	file, err := u.client.Files.New(t.Context(), openai.FileNewParams{
		File: openai.File(bytes.NewReader(content), name, "application/jsonl"), Purpose: openai.FilePurposeBatch,
	})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func batchOf(file string, metadata map[string]string) openai.BatchNewParams {
	return openai.BatchNewParams{
		InputFileID:      file,
		Endpoint:         openai.BatchNewParamsEndpointV1ChatCompletions,
		CompletionWindow: openai.BatchNewParamsCompletionWindow24h,
		Metadata:         metadata,
	}
}

func (u user) mustCreate(t *testing.T, file string, metadata map[string]string, options ...option.RequestOption) *openai.Batch {
	t.Helper()
	batch, err := u.client.Batches.New(t.Context(), batchOf(file, metadata), options...)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func (u user) mustRead(t *testing.T, file string) []byte {
	t.Helper()
	response, err := u.client.Files.Content(t.Context(), file)
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

// fileIDs walks every page of the file list.
func (u user) fileIDs(t *testing.T, query openai.FileListParams) []string {
	t.Helper()
	pager := u.client.Files.ListAutoPaging(t.Context(), query)
	var ids []string
	for pager.Next() {
		ids = append(ids, pager.Current().ID)
	}
	if err := pager.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

// batchIDs walks every page of the batch list.
func (u user) batchIDs(t *testing.T, limit int64) []string {
	t.Helper()
	pager := u.client.Batches.ListAutoPaging(t.Context(), openai.BatchListParams{Limit: openai.Int(limit)})
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
func (u user) waitFor(t *testing.T, id string, status openai.BatchStatus) *openai.Batch {
	t.Helper()
	var batch *openai.Batch
	eventually(t, func() (string, bool) {
		var err error
		if batch, err = u.client.Batches.Get(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if batch.Status != status && ended(batch.Status) {
			t.Fatalf("%s became %s, want %s: %s", id, batch.Status, status, batch.RawJSON())
		}
		return fmt.Sprintf("%s is %s, want %s", id, batch.Status, status), batch.Status == status
	})
	return batch
}

// ended reports whether a status is final, in whatever case a vendor writes it.
func ended(status openai.BatchStatus) bool {
	return slices.Contains([]openai.BatchStatus{
		openai.BatchStatusCompleted, openai.BatchStatusFailed, openai.BatchStatusExpired, openai.BatchStatusCancelled,
	}, openai.BatchStatus(strings.ToLower(string(status))))
}

// eventually polls until done; state says what there is instead when the time is over.
func eventually(t *testing.T, done func() (state string, ok bool)) {
	t.Helper()
	deadline := time.NewTimer(finishWithin)
	defer deadline.Stop()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		state, ok := done()
		if ok {
			return
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			t.Fatalf("after %s: %s", finishWithin, state)
		}
	}
}

// fault is what an error must say; empty members are not looked at, but an error must always have a message.
type fault struct {
	status  int
	param   string
	code    string
	message string // a part of it
}

// wantError checks that the SDK understood an error answer.
func wantError(t *testing.T, err error, want fault) {
	t.Helper()
	refusal, ok := errors.AsType[*openai.Error](err)
	if !ok {
		t.Fatalf("got %v, want an API error %+v", err, want)
	}
	if refusal.StatusCode != want.status || want.param != "" && refusal.Param != want.param ||
		want.code != "" && refusal.Code != want.code || refusal.Message == "" || !strings.Contains(refusal.Message, want.message) {
		t.Errorf("got status %d, param %q, code %q, message %q; want %+v",
			refusal.StatusCode, refusal.Param, refusal.Code, refusal.Message, want)
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

// bareRequests returns the same as Novita's pages show it: without method and url.
func bareRequests(n int) []byte {
	return bytes.ReplaceAll(requests(n), []byte(`"method":"POST","url":"/v1/chat/completions",`), nil)
}

// result is what every vendor's result lines have in common.
type result struct {
	ID       string `json:"id"`
	CustomID string `json:"custom_id"`
	Response *struct {
		StatusCode int                   `json:"status_code"`
		RequestID  string                `json:"request_id"`
		Body       openai.ChatCompletion `json:"body"`
	} `json:"response"`
	Error json.RawMessage `json:"error"`
}

// resultsIn decodes the lines of a result file.
func resultsIn(t *testing.T, content []byte) []result {
	t.Helper()
	var all []result
	for line := range bytes.Lines(content) {
		var r result
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("line %d of a result file: %v", len(all)+1, err)
		}
		all = append(all, r)
	}
	return all
}

// checkAnswers checks that the results are n good answers in input order.
func checkAnswers(t *testing.T, results []result, n int) {
	t.Helper()
	if len(results) != n {
		t.Errorf("%d results, want %d", len(results), n)
	}
	for i, r := range results {
		if r.CustomID != fmt.Sprintf("request-%d", i) || r.Response == nil || r.Response.StatusCode != 200 ||
			len(r.Response.Body.Choices) != 1 || string(r.Error) != "null" {
			t.Errorf("result %d: %+v", i+1, r)
		}
	}
}

func reversed(ids []string) []string {
	turned := slices.Clone(ids)
	slices.Reverse(turned)
	return turned
}
