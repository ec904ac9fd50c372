package upstream

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// String returns the disposition's name, as the metrics have it.
func (d Disposition) String() string {
	switch d {
	case Answered:
		return "answered"
	case Capacity:
		return "capacity"
	case Ambiguous:
		return "ambiguous"
	case Broken:
		return "broken"
	case Denied:
		return "denied"
	case Abandoned:
		return "abandoned"
	default:
		return fmt.Sprintf("Disposition(%d)", int(d))
	}
}

// metrics are one upstream's.
type metrics struct {
	// calls holds one counter per disposition.
	calls   [Abandoned + 1]prometheus.Counter
	seconds prometheus.Observer
	paused  prometheus.Gauge
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
	paused, err := register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "batchd_upstream_paused", Help: "1 while an upstream is paused because it refuses the credentials.",
	}, []string{"upstream"}))
	if err != nil {
		return nil, err
	}
	m := &metrics{seconds: seconds.WithLabelValues(upstream), paused: paused.WithLabelValues(upstream)}
	for d := range m.calls {
		m.calls[d] = calls.WithLabelValues(upstream, Disposition(d).String())
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

func (m *metrics) observe(r *Result) {
	m.calls[r.Disposition].Inc()
	m.seconds.Observe(r.Signal.Seconds)
}
