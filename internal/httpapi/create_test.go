package httpapi_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect/openai"
	"batchd/internal/store"
)

// createWith creates a batch on a file with more members in the body.
func (f *fixture) createWith(file, members string) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.do("POST", "/v1/batches", strings.TrimSuffix(createBody(file), "}")+","+members+"}")
}

func TestCallbackIsCheckedByTheServerAndKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) {
		o.CheckCallback = func(url string) error {
			if strings.Contains(url, "private") {
				return batch.Invalidf("callback_url", "invalid_value", "No.")
			}
			return nil
		}
	})
	file := f.mustUpload(goodLine)
	if got := faultOf(t, f.createWith(file, `"callback_url":"https://private.example/x"`)); got.Status != 400 || got.Param != "callback_url" {
		t.Errorf("fault %+v", got)
	}
	f.wantBatches(0)
	id := field(t, f.want(f.createWith(file, `"callback_url":"https://public.example/x"`), 200), "id")
	b, err := f.store.Batch(t.Context(), ours, id)
	if err != nil || b.CallbackURL != "https://public.example/x" {
		t.Errorf("callback %q, %v", b.CallbackURL, err)
	}
}

func TestServerThatCallsNobodyBackRefusesCallbacks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	got := faultOf(t, f.createWith(f.mustUpload(goodLine), `"callback_url":"https://public.example/x"`))
	if got.Status != 400 || got.Param != "callback_url" {
		t.Errorf("fault %+v", got)
	}
	f.wantBatches(0)
}

func TestFileOfMoreLinesThanABatchMayHaveIsRefusedAtCreate(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) {
		o.Mounts[0].Limits = batch.DefaultLimits()
		o.Mounts[0].Limits.MaxLines = 2
		failing := o.Mounts[0]
		failing.Prefix, failing.MissingFileFails = "/other/v1", true
		o.Mounts = append(o.Mounts, failing)
	})
	f.mustCreate(f.mustUpload(goodLine + goodLine))
	long := createBody(f.mustUpload(strings.Repeat(goodLine, 3)))
	for _, prefix := range []string{"/v1", "/other/v1"} {
		got := faultOf(t, f.do("POST", prefix+"/batches", long))
		if got.Status != 400 || got.Param != "input_file_id" || !strings.Contains(got.Message, "3 lines") || !strings.Contains(got.Message, "at most 2") {
			t.Errorf("%s: fault %+v", prefix, got)
		}
	}
	f.wantBatches(1)
}

func TestMountOnWhichMissingFilesFailAnswersWithAFailedBatch(t *testing.T) {
	t.Parallel()
	var ended, created int
	f := newFixture(t, func(o *options) {
		o.Mounts[0].MissingFileFails = true
		o.Ended = func() { ended++ }
		o.Created = func(string) { created++ }
	})
	notes := field(t, f.want(f.upload([]part{{"file", "notes.txt", "x"}, {"purpose", "", "assistants"}}), 200), "id")
	foreign := f.mustUpload(goodLine, "Authorization", "Bearer theirs")
	for i, file := range []string{"file-none", foreign, notes} {
		b := object(t, f.want(f.createWith(file, `"metadata":{"a":"b"}`), 200))
		id := as[string](t, b["id"])
		errs := as[[]any](t, as[map[string]any](t, b["errors"])["data"])
		if b["status"] != "failed" || b["input_file_id"] != file || len(errs) != 1 || b["failed_at"] != float64(now.Unix()) {
			t.Errorf("batch %v", b)
		}
		if again := object(t, f.want(f.do("GET", "/v1/batches/"+id, ""), 200)); again["status"] != "failed" {
			t.Errorf("read again: %v", again)
		}
		if ended != i+1 || created != 0 {
			t.Errorf("%d endings and %d creations told", ended, created)
		}
	}
	f.mustCreate(f.mustUpload(goodLine))
	for name, id := range map[string]string{"path": "../../etc/passwd", "too long": strings.Repeat("x", 64<<10)} {
		if got := faultOf(t, f.do("POST", "/v1/batches", createBody(id))); got.Status != 400 || got.Param != "input_file_id" {
			t.Errorf("%s: fault %+v", name, got)
		}
	}
	f.wantBatches(4)
}

func TestOneKeyMakesOneFailedBatch(t *testing.T) {
	t.Parallel()
	var ended int
	f := newFixture(t, func(o *options) {
		o.Mounts[0].MissingFileFails = true
		o.Ended = func() { ended++ }
	})
	body := createBody("file-none")
	first := f.want(f.createUnder("k", body), 200)
	if field(t, first, "status") != "failed" {
		t.Errorf("batch %s", first)
	}
	if again := f.want(f.createUnder("k", body), 200); again != first {
		t.Errorf("got %s\nwant %s", again, first)
	}
	if got := faultOf(t, f.createUnder("k", createBody("file-other"))); got.Status != 409 || got.Code != "idempotency_key_reused" {
		t.Errorf("another call: fault %+v", got)
	}
	f.wantBatches(1)
	if ended != 1 {
		t.Errorf("%d endings were told", ended)
	}
}

func TestFailedBatchesCountAgainstTheBatchesPerHour(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { o.Mounts[0].MissingFileFails = true })
	f.limit(store.Limits{BatchesPerHour: 1})
	f.want(f.do("POST", "/v1/batches", createBody("file-none")), 200)
	wantLimited(t, f.do("POST", "/v1/batches", createBody("file-none")), "rate_limit_exceeded", "120")
}

func TestExpiredFileSaysSoWhereTheDialectDoes(t *testing.T) {
	t.Parallel()
	clock := now
	f := newFixture(t, func(o *options) {
		o.Now = func() time.Time { return clock }
		o.Mounts[0].InputTTL = time.Hour
		o.Mounts[0].Dialect = perishing{openai.New(openai.Options{})}
	})
	file := f.mustUpload(goodLine)
	foreign := f.mustUpload(goodLine, "Authorization", "Bearer theirs")
	clock = now.Add(time.Hour)
	for _, path := range []string{"/v1/files/%", "/v1/files/%/content"} {
		if got := faultOf(t, f.do("GET", strings.Replace(path, "%", file, 1), "")); got.Status != 410 || got.Code != "file_expired" {
			t.Errorf("%s: fault %+v", path, got)
		}
		for _, id := range []string{foreign, "file-none"} {
			if got := faultOf(t, f.do("GET", strings.Replace(path, "%", id, 1), "")); got.Status != 404 {
				t.Errorf("%s of %s: fault %+v", path, id, got)
			}
		}
	}
	if got := faultOf(t, f.do("DELETE", "/v1/files/"+file, "")); got.Status != 404 {
		t.Errorf("delete: fault %+v", got)
	}
	if got := faultOf(t, f.do("POST", "/v1/batches", createBody(file))); got.Status != 400 || got.Param != "input_file_id" {
		t.Errorf("create: fault %+v", got)
	}
	if got := ids(t, f.want(f.do("GET", "/v1/files", ""), 200)); !slices.Equal(got, nil) {
		t.Errorf("files %v are listed", got)
	}
}

// perishing is a dialect that tells of files that were there.
type perishing struct{ *openai.Dialect }

func (perishing) FileExpired(string) *batch.Error {
	return &batch.Error{Class: batch.Gone, Code: "file_expired", Message: "File has expired"}
}
