package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"batchd/internal/limit"
)

const (
	// engineTimeout bounds one reading of an engine's metrics, maxEnginePage their length.
	engineTimeout = 2 * time.Second
	maxEnginePage = 1 << 20
)

// ErrNoEngineLoad says that an upstream shows no metrics, or none that are known here. It may do so later.
var ErrNoEngineLoad = errors.New("no known engine metrics")

// EngineLoad reads the engine's own metrics, at /metrics beside the /v1 of its address. It returns an error that wraps
// ErrNoEngineLoad if the upstream has no such page. It may be called at any time and does not ask for the key anew.
func (u *Upstream) EngineLoad(ctx context.Context) (limit.EngineLoads, error) {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	fail := func(err error) (limit.EngineLoads, error) {
		return limit.EngineLoads{}, fmt.Errorf("read engine metrics of upstream %s: %w", u.name, err)
	}
	page := *u.base
	page.Path, page.RawPath = strings.TrimSuffix(page.Path, "/v1")+"/metrics", ""
	header := u.with(u.credential.held())
	header["Accept"] = []string{"text/plain"}
	resp, err := u.get(ctx, &page, header)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = resp.Body.Close() }() // read-side close
	if resp.StatusCode != http.StatusOK {
		return fail(fmt.Errorf("status %d: %w", resp.StatusCode, ErrNoEngineLoad))
	}
	body, done, err := u.decoder.open(resp.Header, resp.Body)
	if err != nil {
		return fail(err)
	}
	defer done()
	loads, err := parseEngine(&capped{r: body, left: maxEnginePage}, u.now())
	if err != nil {
		return fail(err)
	}
	return loads, nil
}

// gauge is what a metric says of an engine.
type gauge int

const (
	gaugeRunning gauge = iota
	gaugeWaiting
	gaugeKVUsage
	gaugePreemptions
	gaugeCount
)

// engineMetrics are the names that engines have for it: vLLM (which has renamed one), SGLang, llama.cpp, TGI.
var engineMetrics = map[string]gauge{
	"vllm:num_requests_running":     gaugeRunning,
	"vllm:num_requests_waiting":     gaugeWaiting,
	"vllm:kv_cache_usage_perc":      gaugeKVUsage,
	"vllm:gpu_cache_usage_perc":     gaugeKVUsage,
	"vllm:num_preemptions_total":    gaugePreemptions,
	"sglang:num_running_reqs":       gaugeRunning,
	"sglang:num_queue_reqs":         gaugeWaiting,
	"sglang:token_usage":            gaugeKVUsage,
	"llamacpp:requests_processing":  gaugeRunning,
	"llamacpp:requests_deferred":    gaugeWaiting,
	"llamacpp:kv_cache_usage_ratio": gaugeKVUsage,
	"tgi_batch_current_size":        gaugeRunning,
	"tgi_queue_size":                gaugeWaiting,
}

// parseEngine reads a page in the Prometheus text format. Only the lines that are of interest here reach the parser, a
// handful of some hundred, and so a line that breaks the format elsewhere does no harm. Without their comments all samples
// are of no type.
func parseEngine(page io.Reader, now time.Time) (limit.EngineLoads, error) {
	known := new(bytes.Buffer)
	lines := bufio.NewScanner(page)
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		name := line[:max(0, bytes.IndexAny(line, "{ \t"))]
		if _, ok := engineMetrics[string(name)]; ok {
			known.Write(line)
			known.WriteByte('\n')
		}
	}
	if err := lines.Err(); err != nil {
		return limit.EngineLoads{}, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(known)
	if err != nil {
		return limit.EngineLoads{}, err
	}
	sums := new(engineSums)
	for i := range sums.samples {
		sums.samples[i] = make(map[series]float64)
	}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			sums.add(engineMetrics[name], labels, m.GetUntyped().GetValue())
		}
	}
	return sums.loads(now)
}

// engineSums adds samples up. Ranks of one replica, which work on the same requests, count as one.
type engineSums struct {
	// samples holds the largest value of each gauge of each series, told apart by all labels but the rank's.
	samples [gaugeCount]map[series]float64
}

type series struct{ model, labels string }

// add takes a sample. Engines write NaN for what they do not know.
func (s *engineSums) add(g gauge, labels map[string]string, value float64) {
	if math.IsNaN(value) || value < 0 || math.IsInf(value, 0) {
		return
	}
	of := series{model: labels["model_name"]}
	for _, rank := range []string{"tp_rank", "pp_rank", "moe_ep_rank"} {
		delete(labels, rank)
	}
	of.labels = fmt.Sprint(labels) // maps print in order of their keys
	s.samples[g][of] = max(s.samples[g][of], value)
}

// loads returns the sums, by model and in all.
func (s *engineSums) loads(now time.Time) (limit.EngineLoads, error) {
	all := limit.EngineLoads{Total: limit.EngineLoad{KVUsage: -1, At: now}, ByModel: map[string]limit.EngineLoad{}}
	if len(s.samples[gaugeRunning]) == 0 {
		return all, ErrNoEngineLoad
	}
	for g, samples := range s.samples {
		for of, value := range samples {
			all.Total = plus(all.Total, gauge(g), value)
			if of.model == "" {
				continue
			}
			one, ok := all.ByModel[of.model]
			if !ok {
				one = limit.EngineLoad{KVUsage: -1, At: now}
			}
			all.ByModel[of.model] = plus(one, gauge(g), value)
		}
	}
	return all, nil
}

// plus adds a sample to a load: counts add up, of the use of memory the fullest tells.
func plus(l limit.EngineLoad, g gauge, value float64) limit.EngineLoad {
	const most = 1 << 30 // of requests; more is no count
	switch g {
	case gaugeRunning:
		l.Running += int(min(value, most))
	case gaugeWaiting:
		l.Waiting += int(min(value, most))
	case gaugeKVUsage:
		l.KVUsage = max(l.KVUsage, min(value, 1))
	case gaugePreemptions:
		l.Preemptions += value
	}
	return l
}
