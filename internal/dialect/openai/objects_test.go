package openai_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/dialect/openai"
)

func at(seconds int64) time.Time { return time.Unix(1790000000+seconds, 500) }

// finished is a batch of three lines, two answered well and one refused.
func finished() batch.Batch {
	return batch.Batch{
		ID: "batch_6a1f0c2e9b7d4e51a0c3f88d21b4e907", Endpoint: chat, Model: "qwen-small", InputFileID: "file-1", Window: "24h",
		Status: batch.Completed, OutputFileID: "file-Out1", ErrorFileID: "file-Err1", CreatedAt: at(0), InProgressAt: at(2),
		ExpiresAt: at(86400), FinalizingAt: at(50), CompletedAt: at(51), Counts: batch.Counts{Total: 3, Completed: 2, Failed: 1},
		Usage: batch.Usage{Input: 30, Cached: 4, Output: 12, Reasoning: 5, Total: 42},
	}
}

const finishedJSON = `{"id":"batch_6a1f0c2e9b7d4e51a0c3f88d21b4e907","object":"batch","endpoint":"/v1/chat/completions","model":"qwen-small",` +
	`"errors":null,"input_file_id":"file-1","completion_window":"24h","status":"completed","output_file_id":"file-Out1",` +
	`"error_file_id":"file-Err1","created_at":1790000000,"in_progress_at":1790000002,"expires_at":1790086400,` +
	`"finalizing_at":1790000050,"completed_at":1790000051,"failed_at":null,"expired_at":null,"cancelling_at":null,` +
	`"cancelled_at":null,"request_counts":{"total":3,"completed":2,"failed":1},` +
	`"usage":{"input_tokens":30,"input_tokens_details":{"cached_tokens":4},"output_tokens":12,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":42},` +
	`"metadata":null}`

func TestObjectsHaveTheKeysInOrderWithExplicitNulls(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	fresh := batch.Batch{
		ID: "batch_1", Endpoint: chat, InputFileID: "file-1", Window: "1h", Status: batch.Validating,
		CreatedAt: at(0), ExpiresAt: at(3600), Metadata: []byte(`{"z":"<&>","a":"é"}`),
	}
	failed := fresh
	failed.Status, failed.FailedAt, failed.Metadata = batch.Failed, at(1), nil
	failed.Errors = []batch.LineError{{Code: "c", Message: "m", Param: "p", Line: 2}, {Code: "empty_file", Message: "m\u2028"}}
	head := `{"id":"batch_1","object":"batch","endpoint":"/v1/chat/completions","errors":`
	tail := `"cancelling_at":null,"cancelled_at":null,"request_counts":{"total":0,"completed":0,"failed":0},"usage":{"input_tokens":0,"input_tokens_details":{"cached_tokens":0},"output_tokens":0,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":0},"metadata":`
	file := batch.File{ID: "file-1", Name: "a\xffb\".jsonl", Purpose: "batch", Bytes: 7, CreatedAt: at(0), ExpiresAt: at(3600)}
	for name, tc := range map[string]struct {
		got  []byte
		want string
	}{
		"finished batch":  {d.Batch(finished()), finishedJSON},
		"cancelled batch": {d.CancelledBatch(finished()), finishedJSON},
		"fresh batch": {d.Batch(fresh), head + `null,"input_file_id":"file-1","completion_window":"1h","status":"validating","output_file_id":null,"error_file_id":null,"created_at":1790000000,"in_progress_at":null,"expires_at":1790003600,"finalizing_at":null,"completed_at":null,"failed_at":null,"expired_at":null,` +
			tail + `{"z":"<&>","a":"é"}}`},
		"failed batch": {d.Batch(failed), head + `{"object":"list","data":[{"code":"c","message":"m","param":"p","line":2},{"code":"empty_file","message":"m` + "\u2028" + `","param":null,"line":null}]},"input_file_id":"file-1","completion_window":"1h","status":"failed","output_file_id":null,"error_file_id":null,"created_at":1790000000,"in_progress_at":null,"expires_at":1790003600,"finalizing_at":null,"completed_at":null,"failed_at":1790000001,"expired_at":null,` +
			tail + `null}`},
		"batch list":   {d.BatchList([]batch.Batch{finished()}, true), `{"object":"list","data":[` + finishedJSON + `],"first_id":"batch_6a1f0c2e9b7d4e51a0c3f88d21b4e907","last_id":"batch_6a1f0c2e9b7d4e51a0c3f88d21b4e907","has_more":true}`},
		"no batches":   {d.BatchList(nil, false), `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}`},
		"file":         {d.File(file), `{"id":"file-1","object":"file","bytes":7,"created_at":1790000000,"expires_at":1790003600,"filename":"a` + "\ufffd" + `b\".jsonl","purpose":"batch","status":"processed","status_details":null}`},
		"files":        {d.FileList([]batch.File{{ID: "file-2"}, file}, true), `{"object":"list","data":[` + string(d.File(batch.File{ID: "file-2"})) + "," + string(d.File(file)) + `],"first_id":"file-2","last_id":"file-1","has_more":true}`},
		"errors":       {openai.Errors(failed.Errors[1:]), `{"object":"list","data":[{"code":"empty_file","message":"m` + "\u2028" + `","param":null,"line":null}]}`},
		"no errors":    {openai.Errors(nil), `null`},
		"no files":     {d.FileList(nil, false), `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}`},
		"deleted file": {d.DeletedFile("file-1"), `{"id":"file-1","object":"file","deleted":true}`},
		"error":        {d.Error(&batch.Error{Message: "m", Param: "p", Code: "c"}, 400), `{"error":{"message":"m","type":"invalid_request_error","param":"p","code":"c"}}`},
		"server error": {d.Error(&batch.Error{Message: "m"}, 507), `{"error":{"message":"m","type":"server_error","param":null,"code":null}}`},
		"no key":       {d.Error(&batch.Error{Class: batch.Unauthenticated, Code: "missing_api_key", Message: "m"}, 401), `{"error":{"message":"Missing bearer or basic authentication in header. Send your API key as 'Authorization: Bearer YOUR_KEY'.","type":"invalid_request_error","param":null,"code":null}}`},
		"wrong key":    {d.Error(&batch.Error{Class: batch.Unauthenticated, Code: "invalid_api_key", Message: "m"}, 401), `{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`},
		"over a limit": {d.Error(&batch.Error{Class: batch.RateLimited, Code: "c", Message: "m", Limit: 7, RetryAfter: time.Minute}, 429), `{"error":{"message":"m","type":"rate_limit_error","param":null,"code":"c"}}`},
		"rate limited": {d.Error(&batch.Error{Message: "m"}, 429), `{"error":{"message":"m","type":"rate_limit_error","param":null,"code":null}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if string(tc.got) != tc.want {
				t.Errorf("got  %s\nwant %s", tc.got, tc.want)
			}
		})
	}
}

func TestIDsAreInOpenAIsStyleAndDiffer(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	seen := make(map[string]bool)
	for range 1000 {
		b, f := d.NewBatchID(), d.NewFileID()
		for prefix, id := range map[string]string{"batch_": b, "upload_": d.NewUploadID(), "part_": d.NewPartID()} {
			digits, ok := strings.CutPrefix(id, prefix)
			if !ok || len(digits) != 32 || strings.Trim(digits, "0123456789abcdef") != "" {
				t.Fatalf("%s id %q", prefix, id)
			}
		}
		if len(f) != 27 || !strings.HasPrefix(f, "file-") || strings.ContainsAny(f[5:], "-_+/") {
			t.Fatalf("file id %q", f)
		}
		if seen[b] || seen[f] {
			t.Fatalf("%s or %s came twice", b, f)
		}
		seen[b], seen[f] = true, true
	}
}

func TestTooLargeIsOpenAIsStatusOnlyWhenStrict(t *testing.T) {
	t.Parallel()
	e := &batch.Error{Class: batch.TooLarge}
	if got := openai.New(openai.Options{Strict: true}).Status(e); got != 400 {
		t.Errorf("strict: %d", got)
	}
	d := openai.New(openai.Options{})
	for class := batch.Invalid; class <= batch.Gone; class++ {
		if got := d.Status(&batch.Error{Class: class}); got != 0 {
			t.Errorf("class %d: %d, want the server's own status", class, got)
		}
	}
}

func TestABatchThatHasEndedCannotBeCancelled(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	for want, b := range map[string]batch.Batch{
		"completed": {Status: batch.Completed},
		"failed":    {Status: batch.Failed},
		// Its files are not there yet, so that it is still shown as in progress.
		"expired": {Status: batch.InProgress, Stop: batch.StopExpire},
	} {
		fault := &batch.Error{Class: batch.Conflict, Message: "Cannot cancel a batch with status '" + want + "'."}
		if diff := cmp.Diff(fault, d.CannotCancel(b)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want, diff)
		}
	}
}

func TestUnknownIDsAreRepeatedOnlyInPart(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	long := strings.Repeat("x", 64<<10)
	for name, got := range map[string]*batch.Error{
		"Batch": d.NotFound("batch", long), "File": d.NotFound("file", long), "Upload": d.NotFound("upload", long),
	} {
		want := batch.Error{Class: batch.NotFound, Param: "id", Message: "No such " + name + " object: " + strings.Repeat("x", 64) + "…"}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("fault (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff(d.NotFound("file", "f"), d.FileExpired("f")); diff != "" {
		t.Errorf("an expired file is one that is not there (-want +got):\n%s", diff)
	}
}
