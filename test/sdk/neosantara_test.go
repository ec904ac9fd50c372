package sdk_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// neosantaraBatchMembers are those of Neosantara's pages, in their order; lists have no cancelling_at.
var neosantaraBatchMembers = []string{
	"id", "object", "endpoint", "errors", "input_file_id", "completion_window", "status", "output_file_id",
	"error_file_id", "created_at", "in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at",
	"expired_at", "cancelling_at", "cancelled_at", "request_counts", "metadata",
}

type neosantaraBatch struct {
	ID           string          `json:"id"`
	Window       string          `json:"completion_window"`
	Status       string          `json:"status"`
	OutputFileID *string         `json:"output_file_id"`
	ErrorFileID  *string         `json:"error_file_id"`
	CreatedAt    int64           `json:"created_at"`
	CompletedAt  *int64          `json:"completed_at"`
	ExpiresAt    int64           `json:"expires_at"`
	CancelledAt  *int64          `json:"cancelled_at"`
	Counts       map[string]int  `json:"request_counts"`
	Metadata     json.RawMessage `json:"metadata"`
}

// neosantaraJourney is what somebody who drives Neosantara's API with curl, as its pages do, knows after each step.
type neosantaraJourney struct {
	shell
	input   []byte
	fileID  string
	batches []neosantaraBatch // oldest first
}

func TestNeosantaraThroughCurl(t *testing.T) {
	t.Parallel()
	base, key := serveKeys(t)
	input := append(requests(2), bytes.ReplaceAll(requests(3)[len(requests(2)):], []byte("Say 2."), []byte("Refuse me"))...)
	j := &neosantaraJourney{input: input, shell: shell{
		base: base + prefixes["neosantara"], dir: t.TempDir(), headers: []string{"x-api-key: " + key},
	}}
	walk(t, []string{"upload", "files", "create", "poll", "batches", "results", "cancel", "delete", "errors"}, []func(*testing.T){
		j.upload, j.listFiles, j.create, j.poll, j.listBatches, j.results, j.cancel, j.delete, j.errors,
	})
}

func (j *neosantaraJourney) upload(t *testing.T) {
	var file struct {
		ID, Object, Filename, Purpose, Status string
		Bytes                                 int
	}
	a := j.must(t, &file, http.MethodPost, "/files", "--form", "purpose=batch", "--form", j.file(t, "batch_requests.jsonl", j.input))
	if file.Object != "file" || file.Bytes != len(j.input) || file.Filename != "batch_requests.jsonl" || file.Status != "uploaded" {
		t.Errorf("unexpected file: %s", a.body)
	}
	j.fileID = file.ID
}

func (j *neosantaraJourney) listFiles(t *testing.T) {
	var file, alone any
	j.must(t, &file, http.MethodGet, "/files/"+j.fileID)
	var list struct {
		Object  string
		Data    []any
		HasMore *bool `json:"has_more"`
	}
	a := j.must(t, &list, http.MethodGet, "/files?purpose=batch&limit=10")
	if len(list.Data) == 1 {
		alone = list.Data[0]
	}
	if diff := cmp.Diff(file, alone); diff != "" || list.Object != "list" || list.HasMore == nil || *list.HasMore {
		t.Errorf("unexpected list: %s", a.body)
	}
}

// create names no window, as the page lets it, and metadata of any kind.
func (j *neosantaraJourney) create(t *testing.T) {
	for n := range 3 {
		a, b := j.mustCreate(t, j.fileID, fmt.Sprintf(`, "metadata": {"project": "data-analysis", "run": %d, "tags": ["a"]}`, n))
		wantMembers(t, a.body, neosantaraBatchMembers...)
		if b.Status != "validating" || b.Window != "24h" || b.OutputFileID != nil || b.ExpiresAt != b.CreatedAt+24*60*60 ||
			string(b.Metadata) != fmt.Sprintf(`{"project":"data-analysis","run":%d,"tags":["a"]}`, n) {
			t.Errorf("unexpected batch: %s", a.body)
		}
		j.batches = append(j.batches, b)
	}
}

func (j *neosantaraJourney) mustCreate(t *testing.T, file, more string) (answer, neosantaraBatch) {
	t.Helper()
	var b neosantaraBatch
	a := j.must(t, &b, http.MethodPost, "/batches", "--header", "Content-Type: application/json", "--data",
		fmt.Sprintf(`{"input_file_id": %q, "endpoint": "/v1/chat/completions"%s}`, file, more))
	return a, b
}

func (j *neosantaraJourney) poll(t *testing.T) {
	for i := range j.batches {
		b := &j.batches[i]
		a := j.await(t, b.ID, "completed", b)
		wantMembers(t, a.body, neosantaraBatchMembers...)
		if diff := cmp.Diff(map[string]int{"total": 3, "completed": 2, "failed": 1}, b.Counts); diff != "" ||
			b.OutputFileID == nil || b.ErrorFileID == nil || b.CompletedAt == nil {
			t.Fatalf("unexpected batch: %s", a.body)
		}
	}
}

// listBatches turns the pages of the list, newest first.
func (j *neosantaraJourney) listBatches(t *testing.T) {
	listed := slices.DeleteFunc(slices.Clone(neosantaraBatchMembers), func(name string) bool { return name == "cancelling_at" })
	var got, want []string
	query := "?limit=2"
	for more := true; more; {
		var page struct {
			Data    []json.RawMessage
			LastID  string `json:"last_id"`
			HasMore bool   `json:"has_more"`
		}
		a := j.must(t, &page, http.MethodGet, "/batches"+query)
		wantMembers(t, a.body, "object", "data", "first_id", "last_id", "has_more")
		for _, item := range page.Data {
			wantMembers(t, item, listed...)
			var b neosantaraBatch
			if err := json.Unmarshal(item, &b); err != nil {
				t.Fatal(err)
			}
			got = append(got, b.ID)
		}
		query, more = "?limit=2&after="+page.LastID, page.HasMore && len(got) < 10
	}
	for _, b := range slices.Backward(j.batches) {
		want = append(want, b.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

func (j *neosantaraJourney) results(t *testing.T) {
	b := j.batches[0]
	output := j.must(t, nil, http.MethodGet, "/files/"+*b.OutputFileID+"/content")
	checkAnswers(t, resultsIn(t, output.body), 2)
	if want := fmt.Sprintf(`attachment; filename="%s_output.jsonl"`, b.ID); output.header.Get("Content-Disposition") != want ||
		output.header.Get("Content-Length") != fmt.Sprint(len(output.body)) {
		t.Errorf("unexpected headers: %v", output.header)
	}
	failed := resultsIn(t, j.must(t, nil, http.MethodGet, "/files/"+*b.ErrorFileID+"/content").body)
	if len(failed) != 1 || failed[0].CustomID != "request-2" || failed[0].Response.StatusCode != http.StatusBadRequest {
		t.Errorf("unexpected errors: %+v", failed)
	}
}

func (j *neosantaraJourney) cancel(t *testing.T) {
	var file struct{ ID string }
	j.must(t, &file, http.MethodPost, "/files", "--form", "purpose=batch", "--form", j.file(t, "doomed.jsonl", slowly(requests(5000))))
	_, doomed := j.mustCreate(t, file.ID, "")
	if string(doomed.Metadata) != "{}" {
		t.Errorf("no metadata is %s", doomed.Metadata)
	}
	a := j.must(t, &doomed, http.MethodPost, "/batches/"+doomed.ID+"/cancel")
	wantMembers(t, a.body, "id", "object", "endpoint", "status", "cancelled_at", "request_counts")
	if doomed.Status != "canceled" || doomed.CancelledAt == nil {
		t.Fatalf("unexpected batch: %s", a.body)
	}
	at := *doomed.CancelledAt
	// It counts as cancelled at once, and says the same ever after.
	a = j.must(t, &doomed, http.MethodGet, "/batches/"+doomed.ID)
	if doomed.Status != "cancelled" || doomed.CancelledAt == nil || *doomed.CancelledAt != at {
		t.Errorf("unexpected batch: %s", a.body)
	}
}

func (j *neosantaraJourney) delete(t *testing.T) {
	a := j.must(t, nil, http.MethodDelete, "/files/"+j.fileID)
	wantMembers(t, a.body, "id", "object", "deleted")
}

func (j *neosantaraJourney) errors(t *testing.T) {
	stranger, nobody := j.shell, j.shell
	stranger.headers, nobody.headers = []string{"x-api-key: nonsense"}, nil
	type told struct{ Type, Param, Code string }
	for name, tc := range map[string]struct {
		got    answer
		status int
		want   told
	}{
		"wrong key":     {stranger.call(t, http.MethodGet, "/files"), 401, told{"authentication_error", "", "invalid_api_key"}},
		"no key":        {nobody.call(t, http.MethodGet, "/files"), 401, told{"authentication_error", "", "missing_api_key"}},
		"deleted file":  {j.call(t, http.MethodGet, "/files/"+j.fileID), 404, told{"invalid_request_error", "", "file_not_found"}},
		"unknown batch": {j.call(t, http.MethodGet, "/batches/batch-absent"), 404, told{"not_found_error", "", "batch_not_found"}},
		"no file":       {j.call(t, http.MethodPost, "/files", "--form", "purpose=batch"), 400, told{"invalid_request_error", "file", "missing_file"}},
	} {
		var body struct {
			Error struct {
				told
				Message string
			}
		}
		if err := json.Unmarshal(tc.got.body, &body); err != nil {
			t.Fatalf("%s: %v in %s", name, err, tc.got.body)
		}
		if tc.got.status != tc.status || body.Error.told != tc.want || body.Error.Message == "" {
			t.Errorf("%s: %d %s; want %d %+v", name, tc.got.status, tc.got.body, tc.status, tc.want)
		}
	}
}
