package dispatch

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are what the dispatcher shows of its decisions.
type metrics struct {
	repeats *prometheus.CounterVec
	changes *prometheus.CounterVec
}

// newMetrics registers the dispatcher's metrics; states says how the upstreams stand when somebody reads them.
func newMetrics(r prometheus.Registerer, states func() []UpstreamState) metrics {
	r.MustRegister(newGauges(states))
	return metrics{
		repeats: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "batchd_upstream_repeats_total",
			Help: "Lines that were sent again although an earlier call may have been served, by cause.",
		}, []string{"cause"}),
		changes: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "batchd_upstream_limit_changes_total",
			Help: "How often another number of calls was found worth having in flight, by why.",
		}, []string{"upstream", "why"}),
	}
}

// InFlight returns how many calls are in flight.
func (d *Dispatcher) InFlight() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inFlight
}

const (
	// modelsShown is how many models have series of their own, as users may name any number of them; the others' sum is
	// under the model otherModels.
	modelsShown = 100
	otherModels = "other"
	// maxLabel bounds a label: a model may be any string that a user writes.
	maxLabel = 128
)

// gauges show how the upstreams stand whenever somebody asks.
type gauges struct {
	states                           func() []UpstreamState
	inFlight, limit, waiting, reason *prometheus.Desc

	// mu guards shown, the models that have series of their own: as long as one is there it keeps them.
	mu    sync.Mutex
	shown map[string]bool
}

func newGauges(states func() []UpstreamState) *gauges {
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append([]string{"upstream", "model"}, more...), nil)
	}
	return &gauges{
		states:   states,
		inFlight: desc("batchd_upstream_in_flight", "Calls to an upstream that are under way."),
		limit:    desc("batchd_upstream_limit", "How many calls to an upstream may be under way now."),
		waiting:  desc("batchd_upstream_waiting_lines", "Lines that are not in flight, at each upstream that may take them."),
		reason:   desc("batchd_upstream_reason", "1 for the reason that keeps lines waiting at an upstream.", "reason"),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.inFlight, g.limit, g.waiting, g.reason} {
		out <- d
	}
}

// place is what series are told apart by; reason is "" for all but one family.
type place struct{ upstream, model, reason string }

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	states := g.states()
	g.choose(states)
	sums := map[*prometheus.Desc]map[place]int{g.inFlight: {}, g.limit: {}, g.waiting: {}, g.reason: {}}
	for _, u := range states {
		for _, s := range u.Gates {
			at := place{upstream: u.Name, model: otherModels}
			if name := labelOf(s.Model); g.shown[name] {
				at.model = name
			}
			sums[g.inFlight][at] += s.InFlight
			sums[g.limit][at] += s.Limit
			sums[g.waiting][at] += s.Waiting
			if at.reason = string(s.Condition.Reason); at.reason != "" {
				sums[g.reason][at]++
			}
		}
	}
	for desc, values := range sums {
		for at, n := range values {
			labels := []string{at.upstream, at.model}
			if desc == g.reason {
				labels = append(labels, at.reason)
			}
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), labels...)
		}
	}
}

// choose brings up to date which models have series of their own: those that had some, then others in order of name.
func (g *gauges) choose(states []UpstreamState) {
	present := make(map[string]bool)
	for _, u := range states {
		for _, s := range u.Gates {
			present[labelOf(s.Model)] = true
		}
	}
	shown := make(map[string]bool)
	for name := range g.shown {
		if present[name] {
			shown[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(present)) {
		if len(shown) == modelsShown {
			break
		}
		shown[name] = true
	}
	g.shown = shown
}

// labelOf makes a model a label: valid text, and not too long.
func labelOf(model string) string {
	if len(model) > maxLabel {
		model = model[:maxLabel]
	}
	if utf8.ValidString(model) {
		return model
	}
	return strings.ToValidUTF8(model, "\uFFFD")
}
