package neosantara_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/neosantara"
)

func TestObjectsHaveTheVendorsKeysInOrder(t *testing.T) {
	t.Parallel()
	d, strict := neosantara.New(neosantara.Options{}), neosantara.New(neosantara.Options{Strict: true})
	file := batch.File{ID: "file-1", Name: "a\xffb\".jsonl", Purpose: "batch", Bytes: 7, Lines: 2, CreatedAt: at(0)}
	dying := file
	dying.ExpiresAt = at(3600)
	shown := func(expiry string) string {
		return `{"id":"file-1","object":"file","bytes":7,"created_at":1790000000,` + expiry + `"filename":"a` + "\ufffd" + `b\".jsonl","purpose":"batch","status":"uploaded","status_details":null}`
	}
	for name, tc := range map[string]struct {
		got  []byte
		want string
	}{
		"file":                {d.File(file), shown("")},
		"file with an end":    {d.File(dying), shown(`"expires_at":1790003600,`)},
		"its end is ours":     {strict.File(dying), shown("")},
		"files":               {d.FileList([]batch.File{file, dying}, true), `{"object":"list","data":[` + shown("") + `,` + shown(`"expires_at":1790003600,`) + `],"first_id":"file-1","last_id":"file-1","has_more":true}`},
		"no files":            {d.FileList(nil, false), `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}`},
		"files as documented": {strict.FileList([]batch.File{dying}, true), `{"object":"list","data":[` + shown("") + `],"has_more":true}`},
		"none as documented":  {strict.FileList(nil, false), `{"object":"list","data":[],"has_more":false}`},
		"no batches":          {d.BatchList(nil, false), `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}`},
		"deleted file":        {d.DeletedFile("file-1"), `{"id":"file-1","object":"file","deleted":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if string(tc.got) != tc.want {
				t.Errorf("got  %s\nwant %s", tc.got, tc.want)
			}
		})
	}
}

func TestCancellingIsShownAsCancelledWithATimeThatStays(t *testing.T) {
	t.Parallel()
	cancelling := batch.Batch{ID: "batch-1", Endpoint: "/v1/embeddings", Status: batch.Cancelling, CreatedAt: at(0), ExpiresAt: at(9), CancellingAt: at(20), Counts: batch.Counts{Total: 100, Completed: 45, Failed: 2}}
	cancelled := cancelling
	cancelled.Status, cancelled.CancelledAt = batch.Cancelled, at(80)
	const reply = `{"id":"batch-1","object":"batch","endpoint":"/v1/embeddings","status":"canceled","cancelled_at":1790000020,"request_counts":{"total":100,"completed":45,"failed":2}}`
	for spelling, word := range map[string]string{"": "cancelled", "cancelled": "cancelled", "canceled": "canceled"} {
		d := neosantara.New(neosantara.Options{CancelledSpelling: spelling})
		for _, b := range []batch.Batch{cancelling, cancelled} {
			if got := string(d.CancelledBatch(b)); got != reply {
				t.Errorf("spelling %q: %s was answered %s, want %s", spelling, b.Status, got, reply)
			}
			for _, part := range []string{`"status":"` + word + `"`, `"cancelled_at":1790000020`} {
				if got := string(d.Batch(b)); !strings.Contains(got, part) {
					t.Errorf("spelling %q: %s is shown as %s, want %s in it", spelling, b.Status, got, part)
				}
				if got := string(d.BatchList([]batch.Batch{b}, false)); !strings.Contains(got, part) {
					t.Errorf("spelling %q: %s is listed as %s, want %s in it", spelling, b.Status, got, part)
				}
			}
		}
	}
}

func TestAnUnknownSpellingIsAProgrammersError(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("New took it")
		}
	}()
	neosantara.New(neosantara.Options{CancelledSpelling: "cancelt"})
}

func TestStrictSpeaksOfNothingThatBatchdAdds(t *testing.T) {
	t.Parallel()
	b := batch.Batch{ContinuedFrom: "batch-0", CreatedAt: at(0), ExpiresAt: at(1)}
	const link = `"metadata":{},"continued_from":"batch-0"}`
	for strict, want := range map[bool]bool{false: true, true: false} {
		d := neosantara.New(neosantara.Options{Strict: strict})
		if d.Extensions() != want || strings.HasSuffix(string(d.Batch(b)), link) != want {
			t.Errorf("strict %v: extensions %v, %s", strict, d.Extensions(), d.Batch(b))
		}
	}
	if got := string(neosantara.New(neosantara.Options{}).Batch(batch.Batch{CreatedAt: at(0), ExpiresAt: at(1)})); strings.Contains(got, "continued_from") {
		t.Errorf("a batch of its own continues something: %s", got)
	}
}

func TestThereIsNoEventForAnExpiredBatch(t *testing.T) {
	t.Parallel()
	d := neosantara.New(neosantara.Options{})
	for event, want := range map[batch.Event]bool{
		batch.EventCompleted: true, batch.EventFailed: true, batch.EventCancelled: true, batch.EventTest: true,
		batch.EventExpired: false, "": false, "batch.in_progress": false,
	} {
		if got := d.Announces(event); got != want {
			t.Errorf("%q: %v", event, got)
		}
	}
}

func TestFilesComeInOnePiece(t *testing.T) {
	t.Parallel()
	if _, ok := any(neosantara.New(neosantara.Options{})).(dialect.Uploader); ok {
		t.Error("the dialect takes files in parts, which Neosantara does not document")
	}
}

func TestIDsAreInTheVendorsStyleAndDiffer(t *testing.T) {
	t.Parallel()
	d := neosantara.New(neosantara.Options{})
	if d.Name() != neosantara.Name {
		t.Errorf("name %q", d.Name())
	}
	seen := make(map[string]bool)
	for range 1000 {
		for prefix, id := range map[string]string{"batch-": d.NewBatchID(), "file-": d.NewFileID()} {
			rest, ok := strings.CutPrefix(id, prefix)
			if !ok || len(rest) != 24 || strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || seen[rest] {
				t.Fatalf("id %q", id)
			}
			seen[rest] = true
		}
	}
	fixed := neosantara.New(neosantara.Options{Random: func(p []byte) { clear(p) }})
	if got := fixed.NewBatchID(); got != "batch-"+strings.Repeat("a", 24) {
		t.Errorf("from zeros: %q", got)
	}
}

func TestErrorsHaveTheVendorsTypes(t *testing.T) {
	t.Parallel()
	d := neosantara.New(neosantara.Options{})
	coded := func(class batch.Class, code string) *batch.Error {
		return &batch.Error{Class: class, Code: code, Message: "m"}
	}
	for name, tc := range map[string]struct {
		fault  *batch.Error
		status int
		want   string
	}{
		"parameter":        {&batch.Error{Message: "m", Param: "p", Code: "c"}, 400, `"type":"invalid_request_error","param":"p","code":"c"`},
		"neither":          {&batch.Error{Message: "m"}, 400, `"type":"invalid_request_error","code":null`},
		"no key":           {coded(batch.Unauthenticated, "missing_api_key"), 401, `"type":"authentication_error","code":"missing_api_key"`},
		"wrong key":        {coded(batch.Unauthenticated, "invalid_api_key"), 401, `"type":"authentication_error","code":"invalid_api_key"`},
		"no balance":       {coded(batch.Invalid, "c"), 402, `"type":"api_error","code":"c"`},
		"no file":          {coded(batch.NotFound, "file_not_found"), 404, `"type":"invalid_request_error","code":"file_not_found"`},
		"no batch":         {coded(batch.NotFound, "batch_not_found"), 404, `"type":"not_found_error","code":"batch_not_found"`},
		"no route":         {coded(batch.NotFound, ""), 404, `"type":"not_found_error","code":null`},
		"conflict":         {coded(batch.Conflict, ""), 409, `"type":"invalid_request_error","code":null`},
		"file expired":     {coded(batch.Gone, "file_expired"), 410, `"type":"invalid_request_error","code":"file_expired"`},
		"too large":        {coded(batch.TooLarge, ""), 413, `"type":"invalid_request_error","code":null`},
		"internal":         {coded(batch.Invalid, ""), 500, `"type":"api_error","code":null`},
		"unavailable":      {coded(batch.Unavailable, ""), 503, `"type":"service_unavailable","code":null`},
		"upstream is late": {coded(batch.Unavailable, ""), 504, `"type":"gateway_timeout","code":null`},
		"storage full":     {coded(batch.StorageFull, ""), 507, `"type":"api_error","code":null`},
		"limit":            {&batch.Error{Class: batch.RateLimited, Message: "m", Code: "itpm_exceeded", Limit: 500, RetryAfter: 1500 * time.Millisecond}, 429, `"type":"rate_limit_error","code":"itpm_exceeded","details":{"limit":500,"remaining":0,"retry_after":2}`},
		"damaged file":     {coded(batch.Unreadable, "content_unavailable"), 500, `"type":"server_error","code":"content_unavailable"`},
		"no use waiting":   {&batch.Error{Class: batch.RateLimited, Message: "m", Limit: 3, Remaining: 2}, 429, `"type":"rate_limit_error","code":null,"details":{"limit":3,"remaining":2}`},
		"no number":        {&batch.Error{Class: batch.RateLimited, Message: "m", RetryAfter: time.Minute}, 429, `"type":"rate_limit_error","code":null,"details":{"remaining":0,"retry_after":60}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := `{"error":{"message":"m",` + tc.want + `}}`
			if got := string(d.Error(tc.fault, tc.status)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if got := d.Status(tc.fault); got != 0 {
				t.Errorf("status %d, want the server's own", got)
			}
		})
	}
}

func TestWhatIsNotThereIsNamedWithoutItsID(t *testing.T) {
	t.Parallel()
	d := neosantara.New(neosantara.Options{})
	for name, tc := range map[string]struct{ got, want *batch.Error }{
		"file":    {d.NotFound("file", "x"), &batch.Error{Class: batch.NotFound, Code: "file_not_found", Message: "File not found or access denied"}},
		"batch":   {d.NotFound("batch", "x"), &batch.Error{Class: batch.NotFound, Code: "batch_not_found", Message: "Batch not found or access denied"}},
		"upload":  {d.NotFound("upload", "x"), &batch.Error{Class: batch.NotFound, Message: "Upload not found or access denied"}},
		"expired": {d.FileExpired("x"), &batch.Error{Class: batch.Gone, Code: "file_expired", Message: "File has expired"}},
		"ended":   {d.CannotCancel(batch.Batch{Status: batch.Completed}), &batch.Error{Class: batch.Conflict, Message: "Cannot cancel a batch with status 'completed'."}},
		"late":    {d.CannotCancel(batch.Batch{Status: batch.InProgress, Stop: batch.StopExpire}), &batch.Error{Class: batch.Conflict, Message: "Cannot cancel a batch with status 'expired'."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, tc.got); diff != "" {
				t.Errorf("fault (-want +got):\n%s", diff)
			}
		})
	}
}

func TestContentIsOfTheTypeThatNeosantaraShows(t *testing.T) {
	t.Parallel()
	d := neosantara.New(neosantara.Options{})
	for purpose, want := range map[batch.Purpose]string{
		batch.PurposeBatch: "text/jsonl", batch.PurposeBatchOutput: "text/jsonl", "assistants": "application/octet-stream",
	} {
		if got := d.ContentType(purpose); got != want {
			t.Errorf("%s: %s, want %s", purpose, got, want)
		}
	}
}
