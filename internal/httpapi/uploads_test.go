package httpapi_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
	"batchd/internal/store"
)

// someBytes are the limits of a tenant that may store a little more than a test's files.
var someBytes = store.Limits{StoredBytes: 3 << 20}

// lineBytes is the length of goodLine.
const lineBytes = int64(len(goodLine))

// storageLeft returns how many bytes our tenant may still store.
func (f *fixture) storageLeft() int64 {
	f.t.Helper()
	left, err := f.store.StorageLeft(f.t.Context(), ours)
	if err != nil {
		f.t.Fatal(err)
	}
	return left
}

// announce is the body of a call that announces a batch file of n bytes.
func announce(n int64) string {
	return fmt.Sprintf(`{"filename":"in.jsonl","purpose":"batch","bytes":%d,"mime_type":"text/jsonl"}`, n)
}

// mustAnnounce creates an upload for a batch file of n bytes and returns its id.
func (f *fixture) mustAnnounce(n int64) string {
	f.t.Helper()
	return field(f.t, f.want(f.do("POST", "/v1/uploads", announce(n)), 200), "id")
}

// addPart sends a part as SDKs do.
func (f *fixture) addPart(upload, data string, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	body, contentType := form(part{"data", "blob", data})
	return f.do("POST", "/v1/uploads/"+upload+"/parts", body, append([]string{"Content-Type", contentType}, headers...)...)
}

// mustAddPart sends a part and returns its id.
func (f *fixture) mustAddPart(upload, data string) string {
	f.t.Helper()
	return field(f.t, f.want(f.addPart(upload, data), 200), "id")
}

// complete makes the upload's file of the parts; digest is "" for none.
func (f *fixture) complete(upload, digest string, parts ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	body := map[string]any{"part_ids": parts}
	if digest != "" {
		body["md5"] = digest
	}
	raw, err := json.Marshal(body)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.do("POST", "/v1/uploads/"+upload+"/complete", string(raw))
}

func (f *fixture) cancelUpload(upload string) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.do("POST", "/v1/uploads/"+upload+"/cancel", "")
}

func TestUploadIsPendingUntilItIsCompleted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	w := f.do("POST", "/v1/uploads", `{"filename":"a/in.jsonl","purpose":"batch","bytes":98,"mime_type":"text/jsonl","expires_after":{"anchor":"created_at","seconds":3600}}`)
	got := object(t, f.want(w, 200))
	id := as[string](t, got["id"])
	want := map[string]any{
		"id": id, "object": "upload", "bytes": 98.0, "created_at": float64(now.Unix()), "filename": "in.jsonl",
		"purpose": "batch", "status": "pending", "expires_at": float64(now.Add(time.Hour).Unix()), "file": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("upload (-want +got):\n%s", diff)
	}
	partID := f.mustAddPart(id, goodLine)
	if n := len(ids(t, f.want(f.do("GET", "/v1/files", ""), 200))); n != 0 {
		t.Errorf("%d files before the upload is complete", n)
	}
	got = object(t, f.want(f.complete(id, "", partID), 200))
	file := as[map[string]any](t, got["file"])
	if got["status"] != "completed" || file["expires_at"] != float64(now.Unix()+3600) || file["bytes"] != 98.0 || file["filename"] != "in.jsonl" {
		t.Errorf("completed upload %v", got)
	}
}

func TestAnnouncementsThatCannotBecomeAFileAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { o.Mounts[0].Limits.MaxFileBytes = 1000 })
	for name, tc := range map[string]struct{ body, param string }{
		"no JSON":       {"bytes", ""},
		"empty":         {"", ""},
		"over limit":    {announce(1001), "bytes"},
		"no bytes":      {announce(0), "bytes"},
		"overflow":      {strings.Replace(announce(1), `"bytes":1`, `"bytes":99999999999999999999`, 1), "bytes"},
		"no name":       {strings.Replace(announce(1), "in.jsonl", "", 1), "filename"},
		"wrong purpose": {strings.Replace(announce(1), `"batch"`, `"batch_output"`, 1), "purpose"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := faultOf(t, f.do("POST", "/v1/uploads", tc.body)); got.Status != 400 || got.Param != tc.param {
				t.Errorf("fault %+v, want 400 about %q", got, tc.param)
			}
		})
	}
}

func TestCancelledUploadDropsItsPartsAndMayBeCancelledAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.limit(someBytes)
	before := f.storageLeft()
	id := f.mustAnnounce(lineBytes)
	f.mustAddPart(id, goodLine)
	if left := f.storageLeft(); left != before-lineBytes {
		t.Errorf("%d bytes are left of %d beside a part of a line", left, before)
	}
	first := f.want(f.cancelUpload(id), 200)
	if again := f.want(f.cancelUpload(id), 200); again != first || field(t, first, "status") != "cancelled" {
		t.Errorf("cancelled %s, then %s", first, again)
	}
	if left := f.storageLeft(); left != before-lineBytes {
		t.Errorf("%d bytes are left of %d, though the part is not gone", left, before)
	}
	keys, err := f.store.DroppedBlobs(t.Context(), now.Add(1), now.Add(1), 9)
	if err == nil {
		err = f.store.ForgetDroppedBlobs(t.Context(), keys)
	}
	if left := f.storageLeft(); err != nil || len(keys) != 1 || left != before {
		t.Errorf("%d bytes are left of %d once %d parts are gone; %v", left, before, len(keys), err)
	}
}

func TestI15ClosedUploadSaysWhyItTakesNothing(t *testing.T) {
	t.Parallel()
	completed := func(f *fixture, id, partID string) { f.want(f.complete(id, "", partID), 200) }
	cancelled := func(f *fixture, id, _ string) { f.want(f.cancelUpload(id), 200) }
	for name, tc := range map[string]struct {
		close                  func(f *fixture, id, partID string)
		later                  time.Duration
		part, complete, cancel int
		word                   string
	}{
		"completed":                    {completed, 0, 400, 200, 400, "completed"},
		"completed, an hour ago":       {completed, time.Hour, 400, 200, 400, "completed"},
		"cancelled":                    {cancelled, 0, 400, 400, 200, "cancelled"},
		"expired":                      {func(*fixture, string, string) {}, time.Hour, 410, 410, 410, "expired"},
		"expired, its row says so too": {func(f *fixture, _, _ string) { f.expireUploads(now.Add(time.Hour)) }, time.Hour, 410, 410, 410, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := now
			f := newFixture(t, func(o *options) { o.Now = func() time.Time { return clock } })
			id := f.mustAnnounce(lineBytes)
			partID := f.mustAddPart(id, goodLine)
			tc.close(f, id, partID)
			clock = now.Add(tc.later)
			for call, try := range map[string]struct {
				answer *httptest.ResponseRecorder
				status int
			}{
				"part":     {f.addPart(id, goodLine), tc.part},
				"complete": {f.complete(id, "", partID), tc.complete},
				"cancel":   {f.cancelUpload(id), tc.cancel},
			} {
				if try.answer.Code != try.status || !strings.Contains(try.answer.Body.String(), tc.word) {
					t.Errorf("%s: %d %s, want %d", call, try.answer.Code, try.answer.Body, try.status)
				}
			}
			if n := f.objects.count(); n != 1 {
				t.Errorf("%d objects, want that of the first part", n)
			}
		})
	}
}

func (f *fixture) expireUploads(at time.Time) {
	f.t.Helper()
	if n, err := f.store.ExpireUploads(f.t.Context(), at, math.MaxInt32); err != nil || n != 1 {
		f.t.Fatalf("%d uploads expired, %v", n, err)
	}
}

func TestUnknownUploadsAreNotFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for _, id := range []string{"upload_x", "..%2f", "%00", strings.Repeat("x", 500)} {
		for call, w := range map[string]*httptest.ResponseRecorder{
			"part": f.addPart(id, goodLine), "complete": f.complete(id, "", "part_x"), "cancel": f.cancelUpload(id),
		} {
			if got := faultOf(t, w); got.Status != 404 || len(got.Message) > 300 {
				t.Errorf("%s of %.20s: fault %+v", call, id, got)
			}
		}
	}
	f.wantNothing()
}

// partless is a dialect that takes no files in parts.
type partless struct{ dialect.Dialect }

func TestDialectWithoutUploadsKnowsNoSuchRoute(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { o.Mounts[0].Dialect = partless{openai.New(openai.Options{})} })
	for _, method := range []string{"POST", "GET"} {
		for _, path := range []string{"/v1/uploads", "/v1/uploads/upload_x/parts", "/v1/uploads/upload_x/complete", "/v1/uploads/upload_x/cancel"} {
			w, unknown := f.do(method, path, "{}"), f.do("POST", "/v1/nothing", "{}")
			w.Header().Del("X-Request-Id")
			unknown.Header().Del("X-Request-Id")
			if got, want := string(show(w)), string(show(unknown)); method == "POST" && got != want {
				t.Errorf("%s %s: %s, want %s", method, path, got, want)
			}
		}
	}
}
