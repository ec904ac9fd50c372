package upstream_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"batchd/internal/limit"
	"batchd/internal/upstream"
)

func TestF2_20AnAnswerWithoutWhatWasAskedForIsKeptAndCounted(t *testing.T) {
	t.Parallel()
	for body, incomplete := range map[string]float64{
		`{"id":"1","choices":[]}`:       1,
		`{"id":"1","choices":null}`:     1,
		`{"id":"1"}`:                    1,
		`{"choices":[{}]}`:              0,
		`{"choices":[],"choices":[{}]}`: 0,
	} {
		registry := prometheus.NewRegistry()
		u := newUpstream(t, upstream.Config{URL: listen(t, raw(reply(200, body)))}, upstream.Options{Registerer: registry})
		res, kept := call(t, u)
		check(t, res, kept, want{limit.Served, "ok", 200, "", body})
		if got := total(t, registry, "batchd_upstream_incomplete_answers_total"); got != incomplete {
			t.Errorf("%s: counted %v times as incomplete, want %v", body, got, incomplete)
		}
	}
}

func TestF2_24NumbersThatJSONLacksBecomeNullAndAreCounted(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	body := `{"choices":[{"logprobs":{"token_logprobs":[NaN,-Infinity,-1]}}]}`
	u := newUpstream(t, upstream.Config{URL: listen(t, raw(reply(200, body)))}, upstream.Options{Registerer: registry})
	res, kept := call(t, u)
	check(t, res, kept, want{limit.Served, "ok", 200, "", `{"choices":[{"logprobs":{"token_logprobs":[null,null,-1]}}]}`})
	if got := total(t, registry, "batchd_upstream_nonfinite_numbers_total"); got != 2 {
		t.Errorf("counted %v, want 2", got)
	}
}

// total is the sum of a metric's series.
func total(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			sum := 0.0
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
			return sum
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// Answers of the endpoints that engines serve beside OpenAI's, as vLLM and Anthropic write them, are good ones, and their tokens
// are counted.
func TestAnswersOfEnginesOwnEndpointsAreTaken(t *testing.T) {
	t.Parallel()
	const (
		message = `{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":3}}`
		classes = `{"object":"list","data":[{"label":"a","probs":[1]}],"usage":{"prompt_tokens":7,"total_tokens":10,"completion_tokens":3}}`
	)
	for _, c := range []struct {
		endpoint, body string
		tokens         bool
		incomplete     float64
	}{
		{"/v1/messages", message, true, 0},
		{"/v1/classify", classes, true, 0},
		{"/v1/pooling", classes, true, 0},
		{"/v1/classify", `{"object":"list","data":[]}`, false, 1},
		{"/v1/pooling", `{"object":"list"}`, false, 1},
	} {
		registry := prometheus.NewRegistry()
		u := newUpstream(t, upstream.Config{URL: listen(t, raw(reply(200, c.body)))}, upstream.Options{Registerer: registry})
		q := chatRequest()
		q.Endpoint = c.endpoint
		res, kept := read(t, u.Call(t.Context(), q))
		check(t, res, kept, want{limit.Served, "ok", 200, "", c.body})
		if got := res.Outcome.Usage; c.tokens && (got.Input != 7 || got.Output != 3) {
			t.Errorf("%s: usage %+v", c.endpoint, got)
		}
		if got := total(t, registry, "batchd_upstream_incomplete_answers_total"); got != c.incomplete {
			t.Errorf("%s %s: counted %v times as incomplete, want %v", c.endpoint, c.body, got, c.incomplete)
		}
	}
}
