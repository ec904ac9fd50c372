package upstream_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"batchd/internal/limit"
	"batchd/internal/sim"
	"batchd/internal/upstream"
)

// The pages are cut down to what matters and to what could be mistaken for it.
const (
	vllmPage = `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="meta-llama/Llama-3.1-8B"} 24.0
vllm:num_requests_running{engine="1",model_name="meta-llama/Llama-3.1-8B"} 20.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="meta-llama/Llama-3.1-8B"} 3.0
vllm:num_requests_waiting{engine="1",model_name="meta-llama/Llama-3.1-8B"} 0.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="meta-llama/Llama-3.1-8B"} 0.8125
vllm:kv_cache_usage_perc{engine="1",model_name="meta-llama/Llama-3.1-8B"} 0.5
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{engine="0",model_name="meta-llama/Llama-3.1-8B"} 7.0
vllm:num_preemptions_total{engine="1",model_name="meta-llama/Llama-3.1-8B"} 1.0
# TYPE vllm:num_preemptions_created gauge
vllm:num_preemptions_created{engine="0",model_name="meta-llama/Llama-3.1-8B"} 1.7e+09
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_bucket{le="0.3",model_name="meta-llama/Llama-3.1-8B"} 0.0
a line that breaks the format
`
	oldVLLMPage = `vllm:num_requests_running{model_name="a\"b\\c"} 1.0
vllm:num_requests_running{model_name="other"} 2.0
vllm:num_requests_waiting{model_name="other"} 5 1719500000000
vllm:gpu_cache_usage_perc{model_name="other"} 0.25
vllm:cpu_cache_usage_perc{model_name="other"} 0.99
`
	sglangPage = `# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{engine_type="unified",model_name="qwen",pp_rank="0",tp_rank="0"} 12.0
sglang:num_running_reqs{engine_type="unified",model_name="qwen",pp_rank="0",tp_rank="1"} 12.0
sglang:num_queue_reqs{engine_type="unified",model_name="qwen",pp_rank="0",tp_rank="0"} 4.0
sglang:token_usage{engine_type="unified",model_name="qwen",pp_rank="0",tp_rank="0"} 0.28
sglang:cache_hit_rate{engine_type="unified",model_name="qwen",pp_rank="0",tp_rank="0"} 0.5
`
	llamaPage = `# HELP llamacpp:kv_cache_usage_ratio KV-cache usage. 1 means 100 percent usage.
# TYPE llamacpp:kv_cache_usage_ratio gauge
llamacpp:kv_cache_usage_ratio 0.125
llamacpp:requests_processing 4
llamacpp:requests_deferred 9
llamacpp:n_busy_slots_per_decode NaN
`
	newLlamaPage = "llamacpp:requests_processing 0\nllamacpp:requests_deferred 0\n"
	tgiPage      = `# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 31
# TYPE tgi_queue_size gauge
tgi_queue_size 2
tgi_batch_inference_count{method="decode"} 17
`
)

func TestTheLoadOfEachKindOfEngineIsRead(t *testing.T) {
	t.Parallel()
	load := func(running, waiting int, kv, preemptions float64) limit.EngineLoad {
		return limit.EngineLoad{Running: running, Waiting: waiting, KVUsage: kv, Preemptions: preemptions}
	}
	for name, tc := range map[string]struct {
		page string
		want limit.EngineLoads
	}{
		"vLLM": {vllmPage, limit.EngineLoads{
			Total: load(44, 3, 0.8125, 8), ByModel: map[string]limit.EngineLoad{"meta-llama/Llama-3.1-8B": load(44, 3, 0.8125, 8)},
		}},
		"older vLLM": {oldVLLMPage, limit.EngineLoads{
			Total: load(3, 5, 0.25, 0), ByModel: map[string]limit.EngineLoad{`a"b\c`: load(1, 0, -1, 0), "other": load(2, 5, 0.25, 0)},
		}},
		"SGLang":          {sglangPage, limit.EngineLoads{Total: load(12, 4, 0.28, 0), ByModel: map[string]limit.EngineLoad{"qwen": load(12, 4, 0.28, 0)}}},
		"llama.cpp":       {llamaPage, limit.EngineLoads{Total: load(4, 9, 0.125, 0)}},
		"newer llama.cpp": {newLlamaPage, limit.EngineLoads{Total: load(0, 0, -1, 0)}},
		"TGI":             {tgiPage, limit.EngineLoads{Total: load(31, 2, -1, 0)}},
		"one that knows little": {
			"vllm:num_requests_running 1\nvllm:num_requests_waiting NaN\nvllm:kv_cache_usage_perc 1.5\nvllm:num_preemptions_total -1\n",
			limit.EngineLoads{Total: load(1, 0, 1, 0)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, upstream.Config{URL: listen(t, paths(map[string]string{"/metrics": tc.page}))}, upstream.Options{})
			got, err := u.EngineLoad(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.Total.At.IsZero() {
				t.Error("no time")
			}
			if d := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(limit.EngineLoad{}, "At"), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("loads (-want +got):\n%s", d)
			}
		})
	}
}

func TestAnUpstreamWithoutEngineMetricsIsNotReadable(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		page   string
		status int
		none   bool
	}{
		"no page":             {"", 404, true},
		"a page of another":   {"process_cpu_seconds_total 3\n", 200, true},
		"a web page":          {"<html>vllm:num_requests_running 3</html>", 200, true},
		"half of an engine's": {"vllm:num_requests_waiting 3\n", 200, true},
		"a broken line":       {"vllm:num_requests_running{ 3\n", 200, false},
		"a page without end":  {"vllm:num_requests_running 3\n" + strings.Repeat("# nothing\n", 200_000), 200, false},
		"a line without end":  {strings.Repeat("x", 100_000), 200, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, upstream.Config{URL: listen(t, raw(reply(tc.status, tc.page)))}, upstream.Options{})
			got, err := u.EngineLoad(t.Context())
			if err == nil || errors.Is(err, upstream.ErrNoEngineLoad) != tc.none || !strings.Contains(err.Error(), u.Name()) {
				t.Errorf("got %+v, error %v", got, err)
			}
		})
	}
}

func TestEngineMetricsAreAskedForOnceBesideV1AndWithTheKeyInUse(t *testing.T) {
	t.Parallel()
	var seen []*http.Request
	url := listen(t, func(c net.Conn, r *http.Request) {
		seen = append(seen, r)
		_, _ = io.WriteString(c, reply(200, tgiPage))
	})
	reads := 0
	u := newUpstream(t, upstream.Config{
		URL: strings.Replace(url, "/v1", "/engine/v1", 1), APIKey: func() (string, error) { reads++; return "sk", nil },
	}, upstream.Options{})
	for range 3 {
		if _, err := u.EngineLoad(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r := seen[0]
	if r.Method != http.MethodGet || r.URL.Path != "/engine/metrics" || r.Header.Get("Authorization") != "Bearer sk" ||
		!strings.HasPrefix(r.Header.Get("Accept"), "text/plain") || r.Header.Get("Content-Type") != "" {
		t.Errorf("asked %s %s with %v", r.Method, r.URL, r.Header)
	}
	if reads != 1 {
		t.Errorf("the key was read %d times", reads)
	}
}

func TestTheLoadOfTheSimulatedEngineIsRead(t *testing.T) {
	t.Parallel()
	engine, err := sim.New(sim.Options{Models: []string{"m"}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	u := newUpstream(t, upstream.Config{URL: server.URL + "/v1"}, upstream.Options{})
	got, err := u.EngineLoad(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if one, ok := got.ByModel["m"]; !ok || one != got.Total || got.Total.Running != 0 || got.Total.KVUsage != 0 {
		t.Errorf("loads %+v", got)
	}
}
