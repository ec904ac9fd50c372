package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

// quotaReason is what an upstream says whose customer's money is used up.
func quotaReason() batch.Reason {
	return batch.Reason{
		Kind: "account", Since: now.Add(-5 * time.Minute), Status: 429, Code: "insufficient_quota",
		Message: "You exceeded your current quota", NextTry: now.Add(24 * time.Second),
	}
}

// waits is what every running batch waits for: an answer to a line of its own, one to somebody else's, and a permit.
func waits(string) []batch.Waiting {
	down := batch.Reason{
		Kind: "unreachable", Detail: "refused", Since: now.Add(-time.Minute), Message: "words for somebody else",
	}
	return []batch.Waiting{
		{Reason: quotaReason(), Lines: 1998, Upstream: "upstream-1", Model: "m", Own: true},
		{Reason: down, Lines: 20, Upstream: "upstream-2", Model: "n"},
		{Reason: batch.Reason{Kind: "memory"}, Lines: 1},
	}
}

// stands is how two upstreams are that both tenants have work for.
func stands() []batch.Upstream {
	return []batch.Upstream{
		{
			Name: "upstream-1", Host: "gpu:8000/v1", Models: []string{"m", "n"}, InFlight: 1, Limit: 64,
			Gates: []batch.Gate{
				{
					Model: "m", Limit: 4, LimitedBy: "room", Closed: true, Reason: quotaReason(), Waiting: 2018,
					WaitingOf: map[string]int64{ours: 1998, theirs: 20},
				},
				{Model: "n", InFlight: 1, Limit: 64, LimitedBy: "address", Waiting: 3, WaitingOf: map[string]int64{theirs: 3}},
			},
		},
		{Name: "upstream-2", Host: "gpu:8001/v1", Limit: 64, Reason: batch.Reason{Kind: "unreachable", Detail: "refused", Since: now.Add(-time.Minute)}},
	}
}

func TestD9AnUpstreamsWordsAreForTheBatchThatGotThemAndForTheOperator(t *testing.T) {
	t.Parallel()
	for _, keys := range []bool{true, false} {
		f := newFixture(t, func(o *options) {
			mountVendors(o, false)
			o.WaitingFor, o.Upstreams = waits, stands
			if keys {
				demandKeys(o)
			}
		})
		if keys {
			f.addKeys()
		}
		seed := &seeder{fixture: f, blobs: blob.NewStore(f.objects, blob.Options{}), dialects: mountVendors(&options{}, false)}
		seed.seed("batch in_progress id=batch_1 total=3000")
		for _, prefix := range []string{"/v1", "/openai/v1", "/neosantara/v1", "/batchd/v1"} {
			for _, path := range []string{"/batches/batch_1", "/batches"} {
				body := f.want(f.do("GET", prefix+path, "", "Authorization", "Bearer ours"), 200)
				if !strings.Contains(body, "exceeded your current quota") || strings.Contains(body, "somebody else") == keys {
					t.Errorf("keys %v, %s%s: %s", keys, prefix, path, body)
				}
			}
		}
		body := f.want(f.do("GET", "/batchd/v1/upstreams", "", "Authorization", "Bearer ours"), 200)
		for _, secret := range []string{"gpu:8000", "exceeded", "refused", "2018", `"model":"n"`, "in_flight"} {
			if strings.Contains(body, secret) == keys {
				t.Errorf("keys %v, upstreams and %q: %s", keys, secret, body)
			}
		}
		for _, prefix := range []string{"/v1", "/openai/v1", "/neosantara/v1"} {
			f.want(f.do("GET", prefix+"/upstreams", "", "Authorization", "Bearer ours"), 404)
		}
	}
}

func TestAStrictDialectDoesNotAskWhatABatchWaitsFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) {
		mountVendors(o, true)
		o.WaitingFor = func(string) []batch.Waiting {
			t.Error("it was asked")
			return nil
		}
	})
	seed := &seeder{fixture: f, blobs: blob.NewStore(f.objects, blob.Options{}), dialects: mountVendors(&options{}, true)}
	seed.seed("batch in_progress id=batch_1\nbatch cancelling id=batch_2\nbatch validating id=batch_3\nbatch completed id=batch_4")
	for _, prefix := range []string{"/v1", "/openai/v1", "/neosantara/v1"} {
		if body := f.want(f.do("GET", prefix+"/batches", ""), 200); strings.Contains(body, "waiting_for") {
			t.Errorf("%s: %s", prefix, body)
		}
	}
}

func TestReadyTellsReasonsAndHostsToThoseWhoMayKnow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*options)
		want   []string
	}{
		"without keys": {func(*options) {}, []string{
			`upstream-1 at gpu:8000/v1, model "m": account, it answers 429 insufficient_quota: You exceeded your current quota; since 2026-09-21T14:08:20Z; 2018 lines wait`,
			`upstream-2 at gpu:8001/v1: unreachable (refused); since 2026-09-21T14:12:20Z`,
		}},
		"with keys on this machine alone": {func(o *options) { demandKeys(o); o.Local = byKey{} }, []string{
			`upstream-1 at gpu:8000/v1, model "m": account, it answers 429 insufficient_quota; since 2026-09-21T14:08:20Z; 2018 lines wait`,
			`upstream-2 at gpu:8001/v1: unreachable (refused); since 2026-09-21T14:12:20Z`,
		}},
		"with keys": {demandKeys, []string{
			`upstream-1: account, it answers 429 insufficient_quota; since 2026-09-21T14:08:20Z`,
			`upstream-2: unreachable (refused); since 2026-09-21T14:12:20Z`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *options) {
				o.Upstreams = stands
				c.change(o)
			})
			var got struct {
				Status  string
				Reasons []string
			}
			body := f.want(f.do("GET", "/readyz", ""), 200)
			if err := json.Unmarshal([]byte(body), &got); err != nil || got.Status != "ok" {
				t.Fatalf("%v in %s", err, body)
			}
			if diff := cmp.Diff(c.want, got.Reasons); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			if lines := strings.Count(body, "\n"); lines < len(c.want)+3 {
				t.Errorf("they are not on lines of their own:\n%s", body)
			}
		})
	}
}
