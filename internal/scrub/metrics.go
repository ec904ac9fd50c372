package scrub

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the scrubber's.
type metrics struct {
	bytes prometheus.Counter
	last  prometheus.Gauge
}

func newMetrics(r prometheus.Registerer, f *findings) metrics {
	promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "batchd_scrub_damaged_blobs", Help: "Stored objects of files that scrubbing found damaged, missing or unreadable.",
	}, func() float64 { return float64(f.blobs()) })
	return metrics{
		bytes: promauto.With(r).NewCounter(prometheus.CounterOpts{
			Name: "batchd_scrub_bytes_total", Help: "Bytes that scrubbing has read and checked.",
		}),
		last: promauto.With(r).NewGauge(prometheus.GaugeOpts{
			Name: "batchd_scrub_last_pass_timestamp_seconds", Help: "When the last pass over all files was through; 0 before the first.",
		}),
	}
}

// finished sets when the last pass was through; the zero time is never.
func (m metrics) finished(at time.Time) {
	if !at.IsZero() {
		m.last.Set(float64(at.Unix()))
	}
}
