package sim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"batchd/internal/sim/batching"
)

// metrics count what the engine did since it was made.
type metrics struct {
	promptTokens, outputTokens atomic.Int64
	prefixQueries, prefixHits  atomic.Int64 // tokens
	stopped, cut               atomic.Int64 // answers, by finish reason
	refused, faulted           atomic.Int64 // requests
}

func (m *metrics) served(j job, hits int) {
	m.promptTokens.Add(int64(j.promptTokens))
	m.outputTokens.Add(int64(j.outputTokens))
	m.prefixQueries.Add(int64(j.promptTokens))
	m.prefixHits.Add(int64(hits))
	if j.cut {
		m.cut.Add(1)
	} else {
		m.stopped.Add(1)
	}
}

// A view is what an engine shows of itself, whichever model it has. The last four are a replica's alone.
type view struct {
	running, waiting int
	preempted        int64
	kvUsage          float64 // 0 to 1

	promptTokens, outputTokens int64
	theirs                     int64              // requests of Options.Online that were served
	firstTokens                batching.Durations // theirs, from arrival to the first token
}

func (e *Engine) view() view {
	if e.replica != nil {
		return e.replica.view()
	}
	v := e.seats.view()
	v.promptTokens, v.outputTokens = e.metrics.promptTokens.Load(), e.metrics.outputTokens.Load()
	return v
}

// serveMetrics writes what vLLM writes, under its names, in the Prometheus text format, and what others feel of it. It is
// written by hand because a registry would add nothing to a dozen fixed lines.
func (e *Engine) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	v := e.view()
	m := &e.metrics
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(e.modelName())
	page := metricsPage{label: `model_name="` + escaped + `"`}
	page.add("num_requests_running", "gauge", "Number of requests in model execution batches.", float64(v.running))
	page.add("num_requests_waiting", "gauge", "Number of requests waiting to be processed.", float64(v.waiting))
	page.add("kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", v.kvUsage)
	page.add("num_preemptions_total", "counter", "Cumulative number of preemptions from the engine.", float64(v.preempted))
	page.add("prefix_cache_queries_total", "counter", "Prefix cache queries, in terms of number of queried tokens.", float64(m.prefixQueries.Load()))
	page.add("prefix_cache_hits_total", "counter", "Prefix cache hits, in terms of number of cached tokens.", float64(m.prefixHits.Load()))
	page.add("prompt_tokens_total", "counter", "Number of prefill tokens processed.", float64(v.promptTokens))
	page.add("generation_tokens_total", "counter", "Number of generation tokens processed.", float64(v.outputTokens))
	page.head("request_success_total", "counter", "Count of successfully processed requests.")
	page.sample("request_success_total", `,finished_reason="stop"`, float64(m.stopped.Load()+v.theirs))
	page.sample("request_success_total", `,finished_reason="length"`, float64(m.cut.Load()))
	if e.opts.Online.Rate > 0 {
		// How long those who share the engine wait for their first token: what no engine tells apart, and what a batch
		// beside them is judged by.
		const name = "sim:online_time_to_first_token_seconds"
		waits := &v.firstTokens
		fmt.Fprintf(&page, "# HELP %s Time to the first token of the simulated interactive traffic.\n# TYPE %s summary\n", name, name)
		for _, q := range []float64{0.5, 0.9, 0.99} {
			fmt.Fprintf(&page, "%s{%s,quantile=\"%v\"} %v\n", name, page.label, q, waits.Quantile(q).Seconds())
		}
		sum := waits.Mean().Seconds() * float64(waits.Count())
		fmt.Fprintf(&page, "%s_sum{%s} %v\n%s_count{%s} %d\n", name, page.label, sum, name, page.label, waits.Count())
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(page.String())) // a client that left is not the engine's trouble
}

// A metricsPage is a page in the Prometheus text format. Each sample carries label, the model's name.
type metricsPage struct {
	strings.Builder
	label string
}

func (p *metricsPage) add(name, kind, help string, value float64) {
	p.head(name, kind, help)
	p.sample(name, "", value)
}

func (p *metricsPage) head(name, kind, help string) {
	fmt.Fprintf(p, "# HELP vllm:%s %s\n# TYPE vllm:%s %s\n", name, help, name, kind)
}

func (p *metricsPage) sample(name, more string, value float64) {
	fmt.Fprintf(p, "vllm:%s{%s%s} %s\n", name, p.label, more, strconv.FormatFloat(value, 'g', -1, 64))
}
