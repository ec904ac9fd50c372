package sim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// meters count what the engine did since it was made.
type meters struct {
	promptTokens, outputTokens atomic.Int64
	prefixQueries, prefixHits  atomic.Int64 // tokens
	stopped, cut               atomic.Int64 // answers, by finish reason
	refused, faulted           atomic.Int64 // requests
}

func (m *meters) served(j job, hits int) {
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

// serveMetrics writes what vLLM writes, under its names, in the Prometheus text format. It is written by hand because
// a registry would add nothing to ten fixed lines.
func (e *Engine) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	running, waiting, preempted := e.seats.count()
	m := &e.meters
	page := metricsPage{label: `model_name="` + escapeLabel(e.modelName()) + `"`}
	page.add("num_requests_running", "gauge", "Number of requests in model execution batches.", float64(running))
	page.add("num_requests_waiting", "gauge", "Number of requests waiting to be processed.", float64(waiting))
	page.add("kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", e.seats.kvUsage())
	page.add("num_preemptions_total", "counter", "Cumulative number of preemptions from the engine.", float64(preempted))
	page.add("prefix_cache_queries_total", "counter", "Prefix cache queries, in terms of number of queried tokens.", float64(m.prefixQueries.Load()))
	page.add("prefix_cache_hits_total", "counter", "Prefix cache hits, in terms of number of cached tokens.", float64(m.prefixHits.Load()))
	page.add("prompt_tokens_total", "counter", "Number of prefill tokens processed.", float64(m.promptTokens.Load()))
	page.add("generation_tokens_total", "counter", "Number of generation tokens processed.", float64(m.outputTokens.Load()))
	page.head("request_success_total", "counter", "Count of successfully processed requests.")
	page.sample("request_success_total", `,finished_reason="stop"`, float64(m.stopped.Load()))
	page.sample("request_success_total", `,finished_reason="length"`, float64(m.cut.Load()))
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(page.String())) // a client that left is not the engine's trouble
}

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

func escapeLabel(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
}
