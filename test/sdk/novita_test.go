package sdk_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// novitaInput is an input file as Novita's upload page shows it. Its last line is refused by the upstream.
const novitaInput = `{"custom_id": "request-1", "body": {"model": "deepseek/deepseek-v3-0324", "messages": [{"role": "user", "content": "Hello, world!"}], "max_tokens": 400}}
{"custom_id": "request-2", "body": {"model": "deepseek/deepseek-v3-0324", "messages": [{"role": "system", "content": "You are a helpful assistant."},{"role": "user", "content": "Hello world!"}],"max_tokens": 1000}}
{"custom_id": "request-3", "body": {"model": "deepseek/deepseek-v3-0324", "messages": [{"role": "user", "content": "Refuse me"}], "max_tokens": 400}}
`

// novitaBatchMembers are those of Novita's samples, in their order.
var novitaBatchMembers = []string{
	"id", "object", "endpoint", "input_file_id", "output_file_id", "error_file_id", "completion_window", "in_progress_at",
	"expires_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at", "status",
	"errors", "version", "created_at", "updated_at", "created_by", "created_by_key_id", "remark", "total", "completed",
	"failed", "metadata", "request_counts",
}

// Lines of Novita's result files: their keys are sorted.
var (
	novitaGood = regexp.MustCompile(`^\{"custom_id":"(request-[12])","error":null,"id":"batch_req_task_[0-9a-z]+",` +
		`"response":\{"body":\{.*"choices":.*\},"request_id":"(request-[12])","status_code":200\}\}\n$`)
	novitaBad = regexp.MustCompile(`^\{"custom_id":"(request-3)","error":null,"id":"batch_req_task_[0-9a-z]+",` +
		`"response":\{"body":\{.*"error":.*\},"request_id":"(request-3)","status_code":400\}\}\n$`)
)

type novitaFile struct {
	ID        string `json:"id"`
	Object    string `json:"object"`
	Bytes     int    `json:"bytes"`
	CreatedAt int64  `json:"created_at"`
	Filename  string `json:"filename"`
	Purpose   string `json:"purpose"`
	Metadata  struct {
		TotalRequests int `json:"total_requests"`
	} `json:"metadata"`
}

type novitaBatch struct {
	ID             string     `json:"id"`
	Endpoint       string     `json:"endpoint"`
	InputFileID    string     `json:"input_file_id"`
	OutputFileID   string     `json:"output_file_id"`
	ErrorFileID    string     `json:"error_file_id"`
	Window         string     `json:"completion_window"`
	InProgressAt   *time.Time `json:"in_progress_at"`
	ExpiresAt      *time.Time `json:"expires_at"`
	CompletedAt    *time.Time `json:"completed_at"`
	CancellingAt   *time.Time `json:"cancelling_at"`
	CancelledAt    *time.Time `json:"cancelled_at"`
	Status         string     `json:"status"`
	Errors         *string    `json:"errors"`
	Version        int        `json:"version"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      *time.Time `json:"updated_at"`
	CreatedBy      string     `json:"created_by"`
	CreatedByKeyID string     `json:"created_by_key_id"`
	Remark         string     `json:"remark"`
	Total          int        `json:"total"`
	Completed      int        `json:"completed"`
	Failed         int        `json:"failed"`
	Metadata       *struct{}  `json:"metadata"`
}

// novitaJourney is what somebody who drives Novita's API with curl, as its pages do, knows after each step.
type novitaJourney struct {
	shell
	file  novitaFile
	batch novitaBatch
}

func TestNovitaThroughCurl(t *testing.T) {
	t.Parallel()
	base, key := serveKeys(t)
	j := &novitaJourney{shell: shell{
		base: base + prefixes["novita"], dir: t.TempDir(),
		// The reference pages have this Content-Type on every call, also on those without a body.
		headers: []string{"Authorization: Bearer " + key, "Content-Type: application/json"},
	}}
	walk(t, []string{"upload", "files", "create", "poll", "batches", "results", "cancel", "delete", "errors"}, []func(*testing.T){
		j.upload, j.listFiles, j.create, j.poll, j.listBatches, j.results, j.cancel, j.delete, j.errors,
	})
}

// upload follows the guide, whose command is the one that sends a form.
func (j *novitaJourney) upload(t *testing.T) {
	guide := j.shell
	guide.headers = j.headers[:1]
	guide.must(t, &j.file, http.MethodPost, "/files", "--form", guide.file(t, "batch_input.jsonl", []byte(novitaInput)), "--form", "purpose=batch")
	f := j.file
	if f.Object != "file" || f.Bytes != len(novitaInput) || f.Filename != "batch_input.jsonl" || f.Purpose != "batch" ||
		f.Metadata.TotalRequests != 3 || time.Since(time.Unix(f.CreatedAt, 0)).Abs() > 5*time.Minute {
		t.Errorf("unexpected file: %+v", f)
	}
}

func (j *novitaJourney) listFiles(t *testing.T) {
	var file novitaFile
	j.must(t, &file, http.MethodGet, "/files/"+j.file.ID)
	var list struct {
		Code, Message string
		Data          []novitaFile
	}
	j.must(t, &list, http.MethodGet, "/files")
	if diff := cmp.Diff([]novitaFile{file}, list.Data); diff != "" || file != j.file || list.Code != "200" || list.Message == "" {
		t.Errorf("file %+v, list %+v", file, list)
	}
}

// create names no window, as the page lets it.
func (j *novitaJourney) create(t *testing.T) {
	a := j.must(t, &j.batch, http.MethodPost, "/batches", "--data", fmt.Sprintf(
		`{"input_file_id": %q, "endpoint": "/v1/chat/completions"}`, j.file.ID))
	wantMembers(t, a.body, novitaBatchMembers...)
	b := j.batch
	if b.Status != "VALIDATING" || b.Window != "48h" || b.Version != 0 || b.Errors == nil || *b.Errors != "" ||
		b.InputFileID != j.file.ID || b.OutputFileID != "" || b.ExpiresAt != nil || b.UpdatedAt != nil || b.Metadata != nil ||
		b.CreatedBy == "" || !regexp.MustCompile(`^key_[0-9a-f]{32}$`).MatchString(b.CreatedByKeyID) {
		t.Errorf("unexpected batch: %s", a.body)
	}
}

func (j *novitaJourney) poll(t *testing.T) {
	a := j.await(t, j.batch.ID, "COMPLETED", &j.batch)
	wantMembers(t, a.body, novitaBatchMembers...)
	b := j.batch
	if b.Total != 3 || b.Completed != 2 || b.Failed != 1 || b.OutputFileID == "" || b.ErrorFileID == "" || b.Version == 0 {
		t.Errorf("unexpected batch: %s", a.body)
	}
	if b.InProgressAt == nil || b.CompletedAt == nil || b.UpdatedAt == nil || b.CompletedAt.Before(b.CreatedAt) ||
		b.ExpiresAt == nil || b.ExpiresAt.Sub(b.CreatedAt) != 48*time.Hour {
		t.Errorf("unexpected times: %s", a.body)
	}
}

func (j *novitaJourney) listBatches(t *testing.T) {
	var list struct {
		Data    []json.RawMessage
		FirstID string `json:"first_id"`
		LastID  string `json:"last_id"`
	}
	a := j.must(t, &list, http.MethodGet, "/batches")
	wantMembers(t, a.body, "data", "first_id", "has_more", "last_id", "object")
	if len(list.Data) != 1 || list.FirstID != j.batch.ID || list.LastID != j.batch.ID {
		t.Fatalf("unexpected list: %s", a.body)
	}
	wantMembers(t, list.Data[0], novitaBatchMembers...)
}

func (j *novitaJourney) results(t *testing.T) {
	for file, want := range map[string]*regexp.Regexp{j.batch.OutputFileID: novitaGood, j.batch.ErrorFileID: novitaBad} {
		for line := range bytes.Lines(j.must(t, nil, http.MethodGet, "/files/"+file+"/content").body) {
			found := want.FindSubmatch(line)
			if found == nil || !bytes.Equal(found[1], found[2]) {
				t.Errorf("unexpected result line: %s", line)
			}
		}
		var described novitaFile
		j.must(t, &described, http.MethodGet, "/files/"+file)
		if described.Purpose != "batch_output" || described.Bytes == 0 {
			t.Errorf("unexpected result file: %+v", described)
		}
	}
	if got := j.must(t, nil, http.MethodGet, "/files/"+j.file.ID+"/content").body; string(got) != novitaInput {
		t.Errorf("the input came back as %s", got)
	}
}

func (j *novitaJourney) cancel(t *testing.T) {
	guide := j.shell
	guide.headers = j.headers[:1]
	var file novitaFile
	guide.must(t, &file, http.MethodPost, "/files", "--form", guide.file(t, "doomed.jsonl", slowly(bareRequests(5000))), "--form", "purpose=batch")
	var doomed novitaBatch
	j.must(t, &doomed, http.MethodPost, "/batches", "--data", fmt.Sprintf(
		`{"input_file_id": %q, "endpoint": "/v1/chat/completions"}`, file.ID))
	a := j.must(t, &doomed, http.MethodPost, "/batches/"+doomed.ID+"/cancel")
	wantMembers(t, a.body, novitaBatchMembers...)
	if doomed.CancellingAt == nil {
		t.Errorf("unexpected batch: %s", a.body)
	}
	if a := j.await(t, doomed.ID, "CANCELLED", &doomed); doomed.CancelledAt == nil {
		t.Errorf("unexpected batch: %s", a.body)
	}
}

func (j *novitaJourney) delete(t *testing.T) {
	a := j.must(t, nil, http.MethodDelete, "/files/"+j.file.ID)
	wantMembers(t, a.body, "deleted", "id", "object")
	if a := j.call(t, http.MethodGet, "/files/"+j.file.ID); a.status != http.StatusNotFound {
		t.Errorf("a deleted file: %d %s", a.status, a.body)
	}
}

func (j *novitaJourney) errors(t *testing.T) {
	stranger, nobody := j.shell, j.shell
	stranger.headers = []string{"Authorization: Bearer nonsense", "Content-Type: application/json"}
	nobody.headers = []string{"Content-Type: application/json"}
	for name, tc := range map[string]struct {
		got    answer
		status int
		reason string
	}{
		"wrong key":     {stranger.call(t, http.MethodGet, "/batches"), http.StatusForbidden, "INVALID_API_KEY"},
		"no key":        {nobody.call(t, http.MethodGet, "/batches"), http.StatusUnauthorized, "FAILED_TO_AUTH"},
		"unknown batch": {j.call(t, http.MethodGet, "/batches/batch_absent"), http.StatusNotFound, "BATCH_NOT_FOUND"},
		"no JSON":       {j.call(t, http.MethodPost, "/batches", "--data", "{"), http.StatusBadRequest, "INVALID_REQUEST_BODY"},
		"ended batch":   {j.call(t, http.MethodPost, "/batches/"+j.batch.ID+"/cancel"), http.StatusBadRequest, "INVALID_REQUEST_BODY"},
	} {
		var told struct {
			Code            int
			Reason, Message string
		}
		if err := json.Unmarshal(tc.got.body, &told); err != nil {
			t.Fatalf("%s: %v in %s", name, err, tc.got.body)
		}
		if tc.got.status != tc.status || told.Code != tc.status || told.Reason != tc.reason || told.Message == "" {
			t.Errorf("%s: %d %s; want %d %s", name, tc.got.status, tc.got.body, tc.status, tc.reason)
		}
	}
}
