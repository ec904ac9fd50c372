package httpapi_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/store"
)

func TestCreateStoresWhatWasAskedAndWakesTheExecutor(t *testing.T) {
	t.Parallel()
	var created []string
	f := newFixture(t, func(o *options) { o.Created = func(id string) { created = append(created, id) } })
	file := f.mustUpload(goodLine)
	w := f.do("POST", "/v1/batches", `{"input_file_id":"`+file+`","endpoint":"/v1/chat/completions","completion_window":"7d",
		"metadata":{"a":"é"},"output_expires_after":{"anchor":"created_at","seconds":3600}}`)
	id := field(t, f.want(w, 200), "id")
	got, err := f.store.Batch(t.Context(), ours, id)
	if err != nil {
		t.Fatal(err)
	}
	want := batch.Batch{
		ID: id, Seq: got.Seq, Tenant: ours, KeyID: "key_" + strings.Repeat("0", 32), Dialect: "openai",
		Endpoint: "/v1/chat/completions", InputFileID: file, Window: "7d", Metadata: []byte(`{"a":"é"}`),
		OutputTTL: time.Hour, Status: batch.Validating, Stop: batch.StopNone, CreatedAt: now, ExpiresAt: now.Add(7 * 24 * time.Hour),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("batch (-want +got):\n%s", diff)
	}
	if !slices.Equal(created, []string{id}) {
		t.Errorf("Created was told of %v", created)
	}
}

func TestCreateRefusesFilesThatAreNotInputs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	w := f.upload([]part{{"file", "notes.txt", "x"}, {"purpose", "", "assistants"}})
	notes := field(t, f.want(w, 200), "id")
	deleted := f.mustUpload(goodLine)
	f.want(f.do("DELETE", "/v1/files/"+deleted, ""), 200)
	foreign := f.mustUpload(goodLine, "Authorization", "Bearer theirs")
	for name, id := range map[string]string{
		"another purpose": notes, "deleted": deleted, "foreign": foreign, "absent": "file-none",
		"no id at all": "../../etc/passwd", "too long": strings.Repeat("x", 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			got := faultOf(t, f.do("POST", "/v1/batches", createBody(id)))
			if got.Status != 400 || got.Param != "input_file_id" || got.Type != "invalid_request_error" || len(got.Message) > 500 {
				t.Errorf("fault %+v", got)
			}
		})
	}
	if got := ids(t, f.want(f.do("GET", "/v1/batches", ""), 200)); len(got) != 0 {
		t.Errorf("batches %v were made", got)
	}
}

func TestI19MetadataOutOfBoundsIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	file := f.mustUpload(goodLine)
	pairs := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(`"k%d":"v"`, i)
		}
		return "{" + strings.Join(all, ",") + "}"
	}
	for name, tc := range map[string]struct {
		metadata string
		status   int
		param    string
	}{
		"16 pairs":             {pairs(16), 200, ""},
		"17 pairs":             {pairs(17), 400, "metadata"},
		"longest key":          {`{"` + strings.Repeat("é", 64) + `":"v"}`, 200, ""},
		"key too long":         {`{"` + strings.Repeat("é", 65) + `":"v"}`, 400, "metadata"},
		"longest value":        {`{"k":"` + strings.Repeat("é", 512) + `"}`, 200, ""},
		"value too long":       {`{"k":"` + strings.Repeat("é", 513) + `"}`, 400, "metadata.k"},
		"value of 1 MiB":       {`{"k":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "metadata.k"},
		"body over 1 MiB":      {`{"k":"` + strings.Repeat("x", 2<<20) + `"}`, 413, ""},
		"CR and LF in a value": {`{"k":"a\r\nX-Evil: 1"}`, 200, ""},
		"CR and LF in a key":   {`{"a\r\nb":"v"}`, 200, ""},
		"raw line break":       {"{\"k\":\"a\nb\"}", 400, ""},
		"NUL":                  {`{"k":"\u0000"}`, 200, ""},
		"a number":             {`{"k":1}`, 400, "metadata.k"},
		"a list":               {`[]`, 400, "metadata"},
		"a key twice":          {`{"k":"1","k":"2"}`, 400, ""},
		"null":                 {`null`, 200, ""},
		"empty":                {`{}`, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := f.do("POST", "/v1/batches", strings.TrimSuffix(createBody(file), "}")+`,"metadata":`+tc.metadata+"}")
			if tc.status == 200 {
				f.want(w, 200)
				return
			}
			if got := faultOf(t, w); got.Status != tc.status || got.Param != tc.param {
				t.Errorf("fault %+v, want %d about %q", got, tc.status, tc.param)
			}
		})
	}
}

func TestF2_44MetadataWithLineBreaksComesBackAsItWasSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	const notes = `{"notes":"first line\nsecond\tline"}`
	w := f.createWith(f.mustUpload(goodLine), `"metadata":`+notes)
	id := field(t, f.want(w, 200), "id")
	for _, path := range []string{"/v1/batches/" + id, "/v1/batches"} {
		if got := f.want(f.do("GET", path, ""), 200); !strings.Contains(got, `"metadata":`+notes) {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestI26WindowIsOneOfTheServersOrOfTheGrammar(t *testing.T) {
	t.Parallel()
	listed := newFixture(t, func(o *options) { o.Mounts[0].CreateRules.AnyWindow = false })
	free := newFixture(t, func(o *options) { o.Mounts[0].CreateRules.AnyWindow = true })
	for window, inGrammar := range map[string]bool{
		"0s": false, "-1h": false, "1ms": false, "100y": false, "24H": false, "1e3h": false, "": false, "1": false, "h": false,
		"31d": false, "99999999999999999999d": false, " 24h": false, "024h": false, "1.5h": false,
		"90s": false, "1s": false, "60s": true, "5m": true, "1m": true, "43200m": true, "43201m": false, "3h": true, "background": true, "Background": false, "30d": true, "24h": true, "720h": true,
	} {
		t.Run("window "+window, func(t *testing.T) {
			for name, f := range map[string]*fixture{"listed": listed, "grammar": free} {
				file := f.mustUpload(goodLine)
				w := f.do("POST", "/v1/batches", strings.Replace(createBody(file), `"24h"`, `"`+window+`"`, 1))
				if window == "24h" || inGrammar && f == free {
					if got := field(t, f.want(w, 200), "completion_window"); got != window {
						t.Errorf("%s: it is shown as %q", name, got)
					}
					continue
				}
				if got := faultOf(t, w); got.Status != 400 || got.Param != "completion_window" || got.Code != "invalid_value" {
					t.Errorf("%s: fault %+v", name, got)
				}
			}
		})
	}
}

// advance brings a fresh batch to a state by the executor's own methods.
func (f *fixture) advance(id string, to batch.Status) {
	f.t.Helper()
	ctx := f.t.Context()
	must := func(err error) {
		f.t.Helper()
		if err != nil {
			f.t.Fatalf("advance to %s: %v", to, err)
		}
	}
	lease := func(stage store.Stage) batch.LeaseID {
		f.t.Helper()
		node := "n" + batch.NewLeaseID().String()
		for { // a node is not given again what it has
			h := store.Holder{Node: node, Lease: batch.NewLeaseID()}
			b, err := f.store.LeaseBatch(ctx, stage, h)
			must(err)
			if b.ID == id {
				return h.Lease
			}
		}
	}
	if to == batch.Validating {
		return
	}
	l := lease(store.StageValidate)
	if to == batch.Failed {
		must(f.store.FailBatch(ctx, store.Failure{
			Batch: id, Lease: l, Now: now, Total: 1,
			Errors: []batch.LineError{{Code: "invalid_json_line", Message: "This line is not parseable as valid JSON.", Line: 3}},
		}))
		return
	}
	must(f.store.StartBatch(ctx, store.Start{
		Batch: id, Lease: l, Now: now, Total: 2, Models: []string{"m"},
		Units: []batch.UnitSpan{{First: 0, Count: 2, Bytes: 200}}, Plan: batch.Blob{Key: "plans/" + id}, InLineOrder: true,
	}))
	if to == batch.InProgress {
		return
	}
	units, err := f.store.LeaseUnits(ctx, id, "node", 1)
	must(err)
	_, err = f.store.SealUnits(ctx, []batch.Seal{{
		UnitID: units[0].UnitID, Lease: units[0].Lease, Segment: batch.Blob{Key: "segments/" + id},
		OutputLines: 1, ErrorLines: 1, Failed: 1, Usage: batch.Usage{Input: 10, Output: 5, Total: 15},
	}}, now)
	must(err)
	if to == batch.Finalizing {
		return
	}
	_, err = f.store.CloseBatch(ctx, store.Close{Batch: id, Lease: lease(store.StageFinalize), Now: now})
	must(err)
}

func TestI27CancelInEveryStateTwice(t *testing.T) {
	t.Parallel()
	for state, want := range map[batch.Status]int{
		batch.Validating: 200, batch.InProgress: 200, batch.Finalizing: 200, batch.Completed: 409, batch.Failed: 409,
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			var cancelled []string
			f := newFixture(t, func(o *options) { o.Cancelled = func(id string) { cancelled = append(cancelled, id) } })
			id := f.mustCreate(f.mustUpload(goodLine))
			f.advance(id, state)
			for attempt := range 2 {
				w := f.do("POST", "/v1/batches/"+id+"/cancel", "")
				if want == 200 {
					if got := object(t, f.want(w, 200)); got["status"] != "cancelling" || got["cancelling_at"] != float64(now.Unix()) {
						t.Errorf("attempt %d: %v", attempt, got)
					}
					continue
				}
				got := faultOf(t, w)
				if got.Status != 409 || got.Message != "Cannot cancel a batch with status '"+string(state)+"'." {
					t.Errorf("attempt %d: fault %+v", attempt, got)
				}
				if w.Header().Get("X-Should-Retry") != "false" {
					t.Error("SDKs would send the call again")
				}
			}
			if (len(cancelled) > 0) != (want == 200) {
				t.Errorf("Cancelled was told of %v", cancelled)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, nil)
		id := f.mustCreate(f.mustUpload(goodLine))
		f.want(f.do("POST", "/v1/batches/"+id+"/cancel", ""), 200)
		h := store.Holder{Node: "n", Lease: batch.NewLeaseID()}
		if _, err := f.store.LeaseBatch(t.Context(), store.StageValidate, h); err != nil {
			t.Fatal(err)
		}
		if _, err := f.store.CloseBatch(t.Context(), store.Close{Batch: id, Lease: h.Lease, Now: now}); err != nil {
			t.Fatal(err)
		}
		if got := object(t, f.want(f.do("POST", "/v1/batches/"+id+"/cancel", ""), 200)); got["status"] != "cancelled" {
			t.Errorf("batch %v", got)
		}
	})
	t.Run("window over", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, nil)
		id := f.mustCreate(f.mustUpload(goodLine))
		if _, err := f.store.ExpireBatches(t.Context(), now.Add(25*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := faultOf(t, f.do("POST", "/v1/batches/"+id+"/cancel", "")); got.Status != 409 || !strings.Contains(got.Message, "'expired'") {
			t.Errorf("fault %+v", got)
		}
	})
}

func TestFailedBatchShowsItsErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	id := f.mustCreate(f.mustUpload(goodLine))
	f.advance(id, batch.Failed)
	body := f.want(f.do("GET", "/v1/batches/"+id, ""), 200)
	const want = `"errors":{"object":"list","data":[{"code":"invalid_json_line","message":"This line is not parseable as valid JSON.","param":null,"line":3}]}`
	if !strings.Contains(body, want) {
		t.Errorf("%s\ndoes not have %s", body, want)
	}
}

func TestRunningBatchShowsLiveCountsThatNeverGoBack(t *testing.T) {
	t.Parallel()
	var live map[string]batch.Counts
	f := newFixture(t, func(o *options) {
		o.Progress = func(id string) (batch.Counts, bool) { c, ok := live[id]; return c, ok }
	})
	counts := func(id string) [3]float64 {
		t.Helper()
		c := as[map[string]any](t, object(t, f.want(f.do("GET", "/v1/batches/"+id, ""), 200))["request_counts"])
		return [3]float64{as[float64](t, c["total"]), as[float64](t, c["completed"]), as[float64](t, c["failed"])}
	}
	id := f.mustCreate(f.mustUpload(goodLine))
	live = map[string]batch.Counts{id: {Total: 9, Completed: 9}}
	if got := counts(id); got != [3]float64{} {
		t.Errorf("counts while validating: %v", got)
	}
	f.advance(id, batch.InProgress)
	live = map[string]batch.Counts{id: {Total: 2, Completed: 1}}
	if got := counts(id); got != [3]float64{2, 1, 0} {
		t.Errorf("live counts: %v", got)
	}
	list := f.want(f.do("GET", "/v1/batches", ""), 200)
	if !strings.Contains(list, `"request_counts":{"total":2,"completed":1,"failed":0}`) {
		t.Errorf("list %s", list)
	}
}

// endsMeanwhile is a store in which a batch ends right after its row was read.
type endsMeanwhile struct {
	apiStore
	end func()
}

func (s *endsMeanwhile) ListBatches(ctx context.Context, tenant string, q store.BatchQuery) (store.Page[batch.Batch], error) {
	page, err := s.apiStore.ListBatches(ctx, tenant, q)
	s.end()
	return page, err
}

func TestListReadsABatchAgainThatEndedMeanwhile(t *testing.T) {
	t.Parallel()
	slow := &endsMeanwhile{}
	f := newFixture(t, func(o *options) {
		slow.apiStore, o.Store = o.Store, slow
		o.Progress = func(string) (batch.Counts, bool) { return batch.Counts{}, false }
	})
	id := f.mustCreate(f.mustUpload(goodLine))
	f.advance(id, batch.Finalizing)
	slow.end = func() {
		h := store.Holder{Node: "n", Lease: batch.NewLeaseID()}
		if _, err := f.store.LeaseBatch(t.Context(), store.StageFinalize, h); err != nil {
			t.Error(err)
		}
		if _, err := f.store.CloseBatch(t.Context(), store.Close{Batch: id, Lease: h.Lease, Now: now}); err != nil {
			t.Error(err)
		}
	}
	list := f.want(f.do("GET", "/v1/batches", ""), 200)
	if !strings.Contains(list, `"status":"completed"`) || !strings.Contains(list, `{"total":2,"completed":1,"failed":1}`) {
		t.Errorf("list %s", list)
	}
}
