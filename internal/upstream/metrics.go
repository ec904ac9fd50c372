package upstream

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"batchd/internal/limit"
)

// metrics are one upstream's.
type metrics struct {
	// calls holds one counter per kind of answer: picked once, since looking a label up costs each call an allocation.
	calls [limit.Abandoned + 1]prometheus.Counter
	// seconds is how long calls took, of whatever kind.
	seconds prometheus.Observer
	// incomplete counts answers without what was asked for, notFinite numbers that JSON does not have.
	incomplete, notFinite prometheus.Counter
}

// newMetrics registers the families, which all upstreams of a registerer share, and picks those of one upstream.
func newMetrics(r prometheus.Registerer, upstream string) (*metrics, error) {
	calls, err := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "batchd_upstream_calls_total", Help: "Calls to an upstream, by what became of them.",
	}, []string{"upstream", "result"}))
	if err != nil {
		return nil, err
	}
	seconds, err := register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "batchd_upstream_call_seconds", Help: "How long calls to an upstream took, whatever became of them.",
		Buckets: []float64{.01, .03, .1, .3, 1, 3, 10, 30, 100, 300, 1000, 3000},
	}, []string{"upstream"}))
	if err != nil {
		return nil, err
	}
	incomplete, err := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "batchd_upstream_incomplete_answers_total",
		Help: "Answers of an upstream that lack what their endpoint must have, such as choices. They are kept.",
	}, []string{"upstream"}))
	if err != nil {
		return nil, err
	}
	notFinite, err := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "batchd_upstream_nonfinite_numbers_total",
		Help: "NaN, Infinity and -Infinity in answers of an upstream, which became null.",
	}, []string{"upstream"}))
	if err != nil {
		return nil, err
	}
	m := &metrics{
		seconds:    seconds.WithLabelValues(upstream),
		incomplete: incomplete.WithLabelValues(upstream), notFinite: notFinite.WithLabelValues(upstream),
	}
	for k := range m.calls {
		m.calls[k] = calls.WithLabelValues(upstream, limit.Kind(k).String())
	}
	return m, nil
}

// register registers c, or returns the collector that is there already.
func register[C prometheus.Collector](r prometheus.Registerer, c C) (C, error) {
	err := r.Register(c)
	var twice prometheus.AlreadyRegisteredError
	if errors.As(err, &twice) {
		if first, ok := twice.ExistingCollector.(C); ok {
			return first, nil
		}
	}
	if err != nil {
		return c, fmt.Errorf("register metrics: %w", err)
	}
	return c, nil
}
