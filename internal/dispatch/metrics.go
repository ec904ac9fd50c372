package dispatch

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are what the dispatcher shows of its decisions.
type metrics struct {
	repeats *prometheus.CounterVec
	changes *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) metrics {
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
	return d.flying
}
