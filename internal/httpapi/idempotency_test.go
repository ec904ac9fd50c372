package httpapi_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// createUnder posts a create call with an idempotency key.
func (f *fixture) createUnder(key, body string, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.do("POST", "/v1/batches", body, append([]string{"Idempotency-Key", key}, headers...)...)
}

// wantBatches fails the test unless our tenant has n batches.
func (f *fixture) wantBatches(n int) {
	f.t.Helper()
	if got := ids(f.t, f.want(f.do("GET", "/v1/batches", ""), 200)); len(got) != n {
		f.t.Errorf("there are %d batches, want %d", len(got), n)
	}
}

func TestI28SameKeyAndBodyGiveTheSameBatchAsItIsNow(t *testing.T) {
	t.Parallel()
	var created []string
	f := newFixture(t, func(o *options) { o.Created = func(id string) { created = append(created, id) } })
	file := f.mustUpload(goodLine)
	body := createBody(file)
	first := f.want(f.createUnder("k-1", body), 200)
	id := field(t, first, "id")
	if again := f.want(f.createUnder("k-1", body), 200); again != first {
		t.Errorf("the second answer %s\nis not the first %s", again, first)
	}
	f.want(f.do("DELETE", "/v1/files/"+file, ""), 200)
	f.advance(id, batch.Finalizing)
	again := f.want(f.createUnder("k-1", body), 200)
	if current := f.want(f.do("GET", "/v1/batches/"+id, ""), 200); again != current || field(t, again, "status") != "finalizing" {
		t.Errorf("the third answer %s\nis not the batch as it is %s", again, current)
	}
	f.wantBatches(1)
	if !slices.Equal(created, []string{id}) {
		t.Errorf("Created was told of %v", created)
	}
}

func TestI28RepeatedCreateShowsLiveCounts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) {
		o.Progress = func(string) (batch.Counts, bool) { return batch.Counts{Total: 2, Completed: 1}, true }
	})
	body := createBody(f.mustUpload(goodLine))
	f.advance(field(t, f.want(f.createUnder("k", body), 200), "id"), batch.InProgress)
	if got := f.want(f.createUnder("k", body), 200); !strings.Contains(got, `"request_counts":{"total":2,"completed":1,"failed":0}`) {
		t.Errorf("counts went back: %s", got)
	}
}

func TestI28SameKeyWithAnotherBodyIsAConflict(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	body := createBody(f.mustUpload(goodLine))
	f.want(f.createUnder("k", body), 200)
	for name, other := range map[string]string{
		"another window": strings.Replace(body, "24h", "48h", 1),
		"another file":   createBody(f.mustUpload(goodLine)),
		"no such file":   createBody("file-none"),
		"a member more":  strings.Replace(body, "{", `{"custom_llm_provider":"openai",`, 1),
		"a null more":    strings.Replace(body, "{", `{"metadata":null,`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			w := f.createUnder("k", other)
			got := faultOf(t, w)
			if got.Status != 409 || got.Type != "invalid_request_error" || got.Code != "idempotency_key_reused" || !strings.Contains(w.Body.String(), `"param":null`) {
				t.Errorf("fault %+v", got)
			}
			if w.Header().Get("X-Should-Retry") != "false" {
				t.Error("SDKs would send the call again")
			}
		})
	}
	f.wantBatches(1)
}

func TestI28BodiesThatSayTheSameAreTheSame(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	file := f.mustUpload(goodLine)
	first := f.want(f.createUnder("k", createBody(file)), 200)
	again := f.want(f.createUnder("k", `{
		"completion_window": "\u00324h", "endpoint": "\/v1\/chat\/completions", "input_file_id": "`+file+`"
	}`), 200)
	if again != first {
		t.Errorf("got %s\nwant %s", again, first)
	}
}

func TestI28CallsWithoutAKeyOrUnderOtherKeysMakeBatchesOfTheirOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	body := createBody(f.mustUpload(goodLine))
	f.want(f.createUnder("k", body), 200)
	f.want(f.createUnder("K", body), 200)
	f.want(f.createUnder(`"k"`, body), 200)
	f.want(f.createUnder(strings.Repeat("~", 255), body), 200)
	f.want(f.do("POST", "/v1/batches", body), 200)
	f.want(f.do("POST", "/v1/batches", body), 200)
	f.wantBatches(6)
}

// OGX's clients send the key in the body.
func TestI28KeyInTheBodyIsLikeTheHeader(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	file := f.mustUpload(goodLine)
	const member = `"idempotency_key":"k"`
	first := f.want(f.createWith(file, member), 200)
	if again := f.want(f.createWith(file, member), 200); again != first {
		t.Errorf("got %s\nwant %s", again, first)
	}
	both := strings.TrimSuffix(createBody(file), "}") + "," + member + "}"
	if again := f.want(f.createUnder("k", both), 200); again != first {
		t.Errorf("with the header too, got %s\nwant %s", again, first)
	}
	if got := faultOf(t, f.createWith(file, member+`,"metadata":{"a":"b"}`)); got.Status != 409 || got.Code != "idempotency_key_reused" {
		t.Errorf("another request: fault %+v", got)
	}
	if got := faultOf(t, f.createUnder("other", both)); got.Status != 400 || got.Param != "idempotency_key" {
		t.Errorf("two keys: fault %+v", got)
	}
	for _, key := range []string{"", "é", strings.Repeat("x", 256)} {
		if got := faultOf(t, f.createWith(file, `"idempotency_key":"`+key+`"`)); got.Status != 400 || got.Param != "idempotency_key" {
			t.Errorf("%q: fault %+v", key, got)
		}
	}
	f.wantBatches(1)
}

func TestI28KeyOfOneTenantIsNothingToAnother(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	bearer := []string{"Authorization", "Bearer theirs"}
	foreign := createBody(f.mustUpload(goodLine, bearer...))
	f.want(f.createUnder("k", createBody(f.mustUpload(goodLine))), 200)
	f.want(f.createUnder("k", foreign, bearer...), 200)
	if got := faultOf(t, f.createUnder("other", foreign)); got.Status != 400 || got.Param != "input_file_id" {
		t.Errorf("fault %+v", got)
	}
}

func TestI28RefusedCallLeavesTheKeyFree(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	file := f.mustUpload(goodLine)
	for name, body := range map[string]string{
		"no JSON":      "{",
		"nothing":      "{}",
		"no such file": createBody("file-none"),
		"bad window":   strings.Replace(createBody(file), "24h", "25h", 1),
	} {
		if got := faultOf(t, f.createUnder("k", body)); got.Status != 400 {
			t.Errorf("%s: fault %+v", name, got)
		}
	}
	f.want(f.createUnder("k", createBody(file)), 200)
	f.wantBatches(1)
}

func TestI28KeyIsRememberedForADay(t *testing.T) {
	t.Parallel()
	clock := now
	f := newFixture(t, func(o *options) { o.Now = func() time.Time { return clock } })
	body := createBody(f.mustUpload(goodLine))
	first := field(t, f.want(f.createUnder("k", body), 200), "id")
	clock = now.Add(store.IdempotencyKeyTTL - time.Second)
	if again := field(t, f.want(f.createUnder("k", body), 200), "id"); again != first {
		t.Errorf("within the day: batch %s, want %s", again, first)
	}
	clock = now.Add(store.IdempotencyKeyTTL)
	second := field(t, f.want(f.createUnder("k", body), 200), "id")
	if again := field(t, f.want(f.createUnder("k", body), 200), "id"); second == first || again != second {
		t.Errorf("after the day: batches %s and %s, the first was %s", second, again, first)
	}
}

func TestI28ConcurrentCallsMakeOneBatch(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	created := 0
	f := newFixture(t, func(o *options) {
		o.Created = func(string) { mu.Lock(); defer mu.Unlock(); created++ }
	})
	body := createBody(f.mustUpload(goodLine))
	answers := make([]*httptest.ResponseRecorder, 16)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = f.createUnder("k", body) })
	}
	wg.Wait()
	for _, w := range answers {
		if got, want := f.want(w, 200), answers[0].Body.String(); got != want {
			t.Errorf("answers differ: %s and %s", got, want)
		}
	}
	f.wantBatches(1)
	if created != 1 {
		t.Errorf("Created was called %d times", created)
	}
}

func TestI28KeyOutOfBoundsIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	body := createBody(f.mustUpload(goodLine))
	for name, key := range map[string]string{
		"empty": "", "too long": strings.Repeat("k", 256), "tab": "a\tb", "line break": "a\nb", "DEL": "a\x7f",
		"not ASCII": "schlüssel",
	} {
		t.Run(name, func(t *testing.T) {
			if got := faultOf(t, f.createUnder(key, body)); got.Status != 400 || got.Param != "Idempotency-Key" {
				t.Errorf("fault %+v", got)
			}
		})
	}
	t.Run("two headers", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/v1/batches", strings.NewReader(body))
		r.Header["Idempotency-Key"] = []string{"k1", "k2"}
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, r)
		if got := faultOf(t, w); got.Status != 400 || got.Param != "Idempotency-Key" {
			t.Errorf("fault %+v", got)
		}
	})
	f.wantBatches(0)
}
