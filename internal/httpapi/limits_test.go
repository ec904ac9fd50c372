package httpapi_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/tenant"
)

// limit sets the limits of our tenant.
func (f *fixture) limit(l store.Limits) {
	f.t.Helper()
	row, err := f.store.Tenant(f.t.Context(), ours)
	if err != nil {
		f.t.Fatal(err)
	}
	row.Limits = l
	if err := f.store.SetTenant(f.t.Context(), row); err != nil {
		f.t.Fatal(err)
	}
}

// wantLimited fails the test unless w refuses a call for a limit, with a code and the header by which clients know
// when to come back; "" means never.
func wantLimited(t *testing.T, w *httptest.ResponseRecorder, code, after string) fault {
	t.Helper()
	got := faultOf(t, w)
	if got.Status != 429 || got.Code != code || got.Type != "rate_limit_error" {
		t.Errorf("fault %+v, want 429 %s", got, code)
	}
	if header := w.Header().Get("Retry-After"); header != after {
		t.Errorf("Retry-After %q, want %q", header, after)
	}
	if never := w.Header().Get("X-Should-Retry") == "false"; never != (after == "") {
		t.Errorf("X-Should-Retry %q beside Retry-After %q", w.Header().Get("X-Should-Retry"), after)
	}
	return got
}

func TestEveryQuotaHasItsOwnErrorThatNamesTheLimit(t *testing.T) {
	t.Parallel()
	const two = goodLine + goodLine
	for name, tc := range map[string]struct {
		limits      store.Limits
		do          func(*fixture) *httptest.ResponseRecorder
		code, after string
		says        []string
	}{
		"files": {store.Limits{Files: 1}, (*fixture).uploadTwice, "storage_limit_exceeded", "", []string{"1 file.", "Delete"}},
		"bytes": {
			store.Limits{StoredBytes: int64(len(goodLine)) + 1},
			(*fixture).uploadTwice,
			"storage_limit_exceeded", "",
			[]string{fmt.Sprint(len(goodLine) + 1), "Delete"},
		},
		"open batches": {
			store.Limits{OpenBatches: 1},
			func(f *fixture) *httptest.ResponseRecorder { return f.createTwice(goodLine) },
			"batch_limit_exceeded", "60",
			[]string{"1 batch ", "cancel"},
		},
		"enqueued lines": {
			store.Limits{EnqueuedLines: 3},
			func(f *fixture) *httptest.ResponseRecorder { return f.createTwice(two) },
			"enqueued_line_limit_exceeded", "60",
			[]string{"3 lines", "fewer"},
		},
		"batches per hour": {
			store.Limits{BatchesPerHour: 1},
			func(f *fixture) *httptest.ResponseRecorder { return f.createTwice(goodLine) },
			"rate_limit_exceeded", "120",
			[]string{"1 batch per hour", "60 minutes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			f.limit(tc.limits)
			got := wantLimited(t, tc.do(f), tc.code, tc.after)
			for _, word := range tc.says {
				if !strings.Contains(got.Message, word) {
					t.Errorf("message %q does not say %q", got.Message, word)
				}
			}
		})
	}
}

// uploadTwice uploads a file that there is room for, and returns the answer to another.
func (f *fixture) uploadTwice() *httptest.ResponseRecorder {
	f.t.Helper()
	f.mustUpload(goodLine)
	return f.upload([]part{{"purpose", "", "batch"}, {"file", "in.jsonl", goodLine}})
}

// createTwice creates a batch that there is room for, and returns the answer to another.
func (f *fixture) createTwice(content string) *httptest.ResponseRecorder {
	f.t.Helper()
	file := f.mustUpload(content)
	f.mustCreate(file)
	return f.do("POST", "/v1/batches", createBody(file))
}

func TestLimitsOfOneTenantAreNothingToAnother(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.limit(store.Limits{Files: 1, OpenBatches: 1})
	bearer := []string{"Authorization", "Bearer theirs"}
	for range 2 {
		f.mustCreate(f.mustUpload(goodLine, bearer...), bearer...)
	}
	f.mustUpload(goodLine)
}

func TestI22ParallelCreatesWithRoomForOneMakeOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	file := f.mustUpload(goodLine)
	f.limit(store.Limits{OpenBatches: 1})
	answers := make([]*httptest.ResponseRecorder, 50)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = f.do("POST", "/v1/batches", createBody(file)) })
	}
	wg.Wait()
	passed := 0
	for _, w := range answers {
		if w.Code == 200 {
			passed++
			continue
		}
		wantLimited(t, w, "batch_limit_exceeded", "60")
	}
	if passed != 1 {
		t.Errorf("%d creates passed", passed)
	}
	f.wantBatches(1)
}

func TestI22ParallelUploadsWithRoomForOneKeepOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.limit(store.Limits{Files: 1})
	answers := make([]*httptest.ResponseRecorder, 50)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = f.upload([]part{{"purpose", "", "batch"}, {"file", "in.jsonl", goodLine}}) })
	}
	wg.Wait()
	passed := 0
	for _, w := range answers {
		if w.Code == 200 {
			passed++
		}
	}
	if passed != 1 || f.objects.count() != 1 {
		t.Errorf("%d uploads passed, %d objects are left", passed, f.objects.count())
	}
}

func TestRefusedCreateLeavesItsIdempotencyKeyFree(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	body := createBody(f.mustUpload(goodLine))
	f.limit(store.Limits{OpenBatches: 1})
	first := field(t, f.want(f.createUnder("a", body), 200), "id")
	wantLimited(t, f.createUnder("b", body), "batch_limit_exceeded", "60")
	f.want(f.createUnder("a", body), 200) // a repeated call makes nothing, so no limit stands against it
	f.advance(first, batch.Completed)
	f.want(f.createUnder("b", body), 200)
}

func TestAnswersSayWhereTheTenantStandsWithItsRequests(t *testing.T) {
	t.Parallel()
	var asked []string
	rate := tenant.Rate{Limit: 60, Remaining: 59, Reset: time.Second}
	f := newFixture(t, func(o *options) {
		o.Rate = func(who tenant.Identity) tenant.Rate { asked = append(asked, who.Tenant); return rate }
	})
	for _, path := range []string{"/v1/files", "/v1/files/none"} {
		h := f.do("GET", path, "").Header()
		if h.Get("X-Ratelimit-Limit-Requests") != "60" || h.Get("X-Ratelimit-Remaining-Requests") != "59" || h.Get("X-Ratelimit-Reset-Requests") != "1s" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
	f.do("GET", "/v1/files", "", "Authorization", "Bearer theirs")
	for _, free := range []string{"/healthz", "/v1/openapi.json", "/v1/none"} {
		if h := f.do("GET", free, "").Header(); h.Get("X-Ratelimit-Limit-Requests") != "" {
			t.Errorf("%s is counted", free)
		}
	}
	f.do("GET", "/v1/files", "", "Authorization", "Bearer wrong")
	if got := strings.Join(asked, " "); got != strings.Join([]string{ours, ours, theirs}, " ") {
		t.Errorf("counted against %s", got)
	}
	rate = tenant.Rate{}
	if h := f.do("GET", "/v1/files", "").Header(); h.Get("X-Ratelimit-Limit-Requests") != "" {
		t.Errorf("headers of a tenant without a limit: %v", h)
	}
}

func TestCallOverTheRequestLimitDoesNothing(t *testing.T) {
	t.Parallel()
	over := false
	f := newFixture(t, func(o *options) {
		o.Rate = func(tenant.Identity) tenant.Rate {
			if !over {
				return tenant.Rate{Limit: 3, Remaining: 2, Reset: 20 * time.Second}
			}
			return tenant.Rate{Limit: 3, Reset: time.Minute, Wait: 19*time.Second + time.Millisecond}
		}
	})
	body := createBody(f.mustUpload(goodLine))
	over = true
	w := f.do("POST", "/v1/batches", body)
	got := wantLimited(t, w, "rate_limit_exceeded", "20")
	if got.Message != "Rate limit reached: 3 requests per minute. Try again in 20 seconds." {
		t.Errorf("message %q", got.Message)
	}
	if h := w.Header(); h.Get("X-Ratelimit-Remaining-Requests") != "0" || h.Get("X-Ratelimit-Reset-Requests") != "1m0s" {
		t.Errorf("headers %v", h)
	}
	over = false
	f.wantBatches(0)
}

func TestUnauthenticatedAnswersNameTheScheme(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	w := f.do("GET", "/v1/files", "", "Authorization", "Bearer wrong")
	if got := w.Header().Get("WWW-Authenticate"); w.Code != 401 || got != "Bearer" {
		t.Errorf("%d, WWW-Authenticate %q", w.Code, got)
	}
	if got := f.do("GET", "/v1/files/none", "").Header().Get("WWW-Authenticate"); got != "" {
		t.Errorf("404 with WWW-Authenticate %q", got)
	}
}

func TestServerThatIsUnavailableSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		wait time.Duration
		want string
	}{"unknown": {0, "5"}, "known": {1500 * time.Millisecond, "2"}, "long": {time.Hour, "120"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *options) {
				o.StorageFull = func() error {
					return errors.Join(&batch.Error{Class: batch.Unavailable, Message: "Later.", RetryAfter: tc.wait})
				}
			})
			w := f.upload([]part{{"file", "in.jsonl", goodLine}})
			if got := w.Header().Get("Retry-After"); w.Code != 503 || got != tc.want {
				t.Errorf("%d, Retry-After %q, want %q", w.Code, got, tc.want)
			}
		})
	}
}
