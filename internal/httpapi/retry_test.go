package httpapi_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/dialect/openai"
	"batchd/internal/retry"
	"batchd/internal/store"
)

// retrying returns a fixture in which what is left of any batch is goodLine.
func retrying(t *testing.T, change func(*options)) *fixture {
	t.Helper()
	return newFixture(t, func(o *options) {
		o.Retry = retrier(o, func(ctx context.Context, b batch.Batch) (batch.Blob, int64, error) {
			rest, err := o.Blobs.Put(ctx, "files/rest-of-"+b.ID+batch.NewLeaseID().String(), strings.NewReader(goodLine))
			return rest, 1, err
		})
		if change != nil {
			change(o)
		}
	})
}

// retrier returns a retrier over the store and the blobs of a server, to which copyUnfinished is what is left of a batch.
func retrier(o *options, copyUnfinished func(context.Context, batch.Batch) (batch.Blob, int64, error)) *retry.Retrier {
	return retry.New(retry.Options{
		Files: o.Store, Blobs: o.Blobs, CopyUnfinished: copyUnfinished, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return o.Now() },
	})
}

// ended creates a batch and brings it to its end: of two lines one is done, one has failed.
func (f *fixture) ended(members string) string {
	f.t.Helper()
	id := field(f.t, f.want(f.createWith(f.mustUpload(goodLine), members), 200), "id")
	f.advance(id, batch.Completed)
	return id
}

func (f *fixture) retry(id, body string, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.do("POST", "/v1/batches/"+id+"/retry", body, headers...)
}

func TestRetryMakesABatchOfWhatIsLeft(t *testing.T) {
	t.Parallel()
	var created []string
	f := retrying(t, func(o *options) {
		o.Created = func(id string) { created = append(created, id) }
		o.CheckCallback = func(string) error { return nil }
		o.Mounts[0].InputTTL = 48 * time.Hour
	})
	old := f.ended(`"metadata":{"a":"é"},"output_expires_after":{"anchor":"created_at","seconds":3600},"callback_url":"https://public.example/x"`)
	id := field(t, f.want(f.retry(old, ""), 200), "id")
	got, err := f.store.Batch(t.Context(), ours, id)
	if err != nil {
		t.Fatal(err)
	}
	want := batch.Batch{
		ID: id, Seq: got.Seq, Tenant: ours, KeyID: "key_" + strings.Repeat("0", 32), Dialect: "openai",
		Endpoint: "/v1/chat/completions", InputFileID: got.InputFileID, Window: "24h", Metadata: []byte(`{"a":"é"}`),
		OutputTTL: time.Hour, CallbackURL: "https://public.example/x", ContinuedFrom: old,
		Status: batch.Validating, Stop: batch.StopNone, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("batch (-want +got):\n%s", diff)
	}
	file, err := f.store.File(t.Context(), ours, got.InputFileID, now)
	if err != nil || file.Name != old+"_retry.jsonl" || file.Lines != 1 || file.Purpose != batch.PurposeBatch || !file.ExpiresAt.Equal(now.Add(48*time.Hour)) {
		t.Errorf("input file %+v, %v", file, err)
	}
	if content := f.want(f.do("GET", "/v1/files/"+got.InputFileID+"/content", ""), 200); content != goodLine {
		t.Errorf("its content %q", content)
	}
	if !slices.Equal(created, []string{old, id}) {
		t.Errorf("Created was told of %v", created)
	}
}

func TestRetryTakesAWindowOfItsOwn(t *testing.T) {
	t.Parallel()
	f := retrying(t, nil)
	old := f.ended(`"metadata":null`)
	if got := field(t, f.want(f.retry(old, `{"completion_window":"7d"}`), 200), "completion_window"); got != "7d" {
		t.Errorf("window %q", got)
	}
	if got := faultOf(t, f.retry(old, `{"completion_window":"1ms"}`)); got.Status != 400 || got.Param != "completion_window" {
		t.Errorf("fault %+v", got)
	}
}

func TestRetryOfABatchThatCannotBeRetriedIsAConflict(t *testing.T) {
	t.Parallel()
	for state, want := range map[batch.Status]struct{ code, says string }{
		batch.Validating: {"batch_not_ended", "cancel it"},
		batch.InProgress: {"batch_not_ended", "cancel it"},
		batch.Finalizing: {"batch_not_ended", "cancel it"},
		batch.Cancelling: {"batch_not_ended", "cancel it"},
		batch.Failed:     {"batch_failed", "new batch"},
		batch.Cancelled:  {"nothing_to_retry", "same file"},
		batch.Completed:  {"nothing_to_retry", "good result"},
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			f := retrying(t, nil)
			id := f.mustCreate(f.mustUpload(goodLine))
			f.bring(id, state)
			w := f.retry(id, "")
			got := faultOf(t, w)
			if got.Status != 409 || got.Code != want.code || !strings.Contains(got.Message, want.says) || w.Header().Get("X-Should-Retry") != "false" {
				t.Errorf("fault %+v, want %+v", got, want)
			}
			f.wantBatches(1)
		})
	}
}

// bring brings a fresh batch to a state in which there is nothing to retry.
func (f *fixture) bring(id string, state batch.Status) {
	f.t.Helper()
	switch state {
	case batch.Cancelling, batch.Cancelled:
		f.want(f.do("POST", "/v1/batches/"+id+"/cancel", ""), 200)
		if state == batch.Cancelling {
			return
		}
		h := store.Holder{Node: "n", Lease: batch.NewLeaseID()}
		_, err := f.store.LeaseBatch(f.t.Context(), store.StageValidate, h)
		if err == nil {
			_, err = f.store.CloseBatch(f.t.Context(), store.Close{Batch: id, Lease: h.Lease, Now: now})
		}
		if err != nil {
			f.t.Fatal(err)
		}
	case batch.Completed:
		f.finish(id, 2)
	default:
		f.advance(id, state)
	}
}

// finish ends a fresh batch of n lines with a good result for each.
func (f *fixture) finish(id string, n int64) {
	f.t.Helper()
	ctx := f.t.Context()
	h := store.Holder{Node: "n", Lease: batch.NewLeaseID()}
	_, err := f.store.LeaseBatch(ctx, store.StageValidate, h)
	if err == nil {
		err = f.store.StartBatch(ctx, store.Start{
			Batch: id, Lease: h.Lease, Now: now, Total: n, Models: []string{"m"}, Plan: batch.Blob{Key: "plans/" + id},
			Units: []batch.UnitSpan{{First: 0, Count: int(n), Bytes: 200}},
		})
	}
	var units []batch.Unit
	if err == nil {
		units, err = f.store.LeaseUnits(ctx, id, "n", 1)
	}
	if err == nil {
		_, err = f.store.SealUnits(ctx, []batch.Seal{{
			UnitID: units[0].UnitID, Lease: units[0].Lease, Segment: batch.Blob{Key: "segments/" + id}, OutputLines: n,
		}}, now)
	}
	if err == nil {
		_, err = f.store.LeaseBatch(ctx, store.StageFinalize, h)
	}
	if err == nil {
		_, err = f.store.CloseBatch(ctx, store.Close{Batch: id, Lease: h.Lease, Now: now})
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestRetryIsAnUnknownRouteWhereThereIsNone(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*fixture{
		"strict dialect": retrying(t, func(o *options) { o.Mounts[0].Dialect = openai.New(openai.Options{Strict: true}) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := f.ended(`"metadata":null`)
			for _, method := range []string{"POST", "GET", "PATCH"} {
				w := f.do(method, "/v1/batches/"+id+"/retry", "")
				unknown := f.do(method, "/v1/batches/"+id+"/nothing", "")
				w.Header().Del("X-Request-Id")
				unknown.Header().Del("X-Request-Id")
				if got, want := string(show(w)), string(show(unknown)); got != want || w.Code != 404 {
					t.Errorf("%s: %s\nwant %s", method, got, want)
				}
			}
		})
	}
}

func TestRetryUnderAKeyMakesOneBatch(t *testing.T) {
	t.Parallel()
	f := retrying(t, nil)
	old, other := f.ended(`"metadata":null`), f.ended(`"metadata":null`)
	key := []string{"Idempotency-Key", "k"}
	answers := make([]*httptest.ResponseRecorder, 8)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = f.retry(old, "", key...) })
	}
	wg.Wait()
	for _, w := range answers {
		if got, want := f.want(w, 200), answers[0].Body.String(); got != want {
			t.Errorf("answers differ: %s and %s", got, want)
		}
	}
	f.wantBatches(3)
	if got := ids(t, f.want(f.do("GET", "/v1/files", ""), 200)); len(got) != 3 {
		t.Errorf("files %v, want two inputs and what was left", got)
	}
	if got := faultOf(t, f.retry(other, "", key...)); got.Status != 409 || got.Code != "idempotency_key_reused" {
		t.Errorf("the key with another batch: %+v", got)
	}
	if got := faultOf(t, f.createUnder("k", createBody(f.mustUpload(goodLine)))); got.Code != "idempotency_key_reused" {
		t.Errorf("the key with a create: %+v", got)
	}
}

func TestRefusedRetryLeavesNoFile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		limits store.Limits
		code   string
	}{
		"no room for the file":  {store.Limits{Files: 1}, "storage_limit_exceeded"},
		"no room for the batch": {store.Limits{BatchesPerHour: 1}, "rate_limit_exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := retrying(t, nil)
			old := f.ended(`"metadata":null`)
			f.limit(tc.limits)
			got := faultOf(t, f.retry(old, "", "Idempotency-Key", "k"))
			if got.Status != 429 || got.Code != tc.code {
				t.Errorf("fault %+v, want %s", got, tc.code)
			}
			if files := ids(t, f.want(f.do("GET", "/v1/files", ""), 200)); len(files) != 1 {
				t.Errorf("files %v are left", files)
			}
			if tc.limits.Files > 0 && f.objects.count() != 1 {
				t.Errorf("%d objects are left", f.objects.count())
			}
			f.limit(store.Limits{})
			f.want(f.retry(old, "", "Idempotency-Key", "k"), 200)
		})
	}
}

func TestRetryWithoutSpaceIsRefused(t *testing.T) {
	t.Parallel()
	var full error
	f := retrying(t, func(o *options) { o.StorageFull = func() error { return full } })
	old := f.ended(`"metadata":null`)
	full = errors.New("1 GiB left of 500 GiB")
	if got := faultOf(t, f.retry(old, "")); got.Status != 507 || strings.Contains(got.Message, "GiB") {
		t.Errorf("fault %+v", got)
	}
	if f.objects.count() != 1 {
		t.Errorf("%d objects are left", f.objects.count())
	}
}

func TestFaultsOfTheUnfinishedLinesReachTheClientAndOthersDoNot(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err    error
		status int
	}{
		"the client's": {&batch.Error{Class: batch.Conflict, Message: "The output file was deleted."}, 409},
		"the server's": {errors.New("disk I/O error"), 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *options) {
				o.Retry = retrier(o, func(context.Context, batch.Batch) (batch.Blob, int64, error) { return batch.Blob{}, 0, tc.err })
			})
			got := faultOf(t, f.retry(f.ended(`"metadata":null`), ""))
			if got.Status != tc.status || strings.Contains(got.Message, "I/O") {
				t.Errorf("fault %+v", got)
			}
			f.wantBatches(1)
		})
	}
}

func TestRetryOfAForeignBatchIsThatOfAnAbsentOne(t *testing.T) {
	t.Parallel()
	f := retrying(t, nil)
	id := f.ended(`"metadata":null`)
	for _, try := range []string{id, "batch_none"} {
		if got := faultOf(t, f.retry(try, "", "Authorization", "Bearer theirs")); got.Status != 404 {
			t.Errorf("%s: fault %+v", try, got)
		}
	}
	f.wantBatches(1)
}
