package dispatch

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are what the dispatcher shows of its decisions.
type metrics struct {
	repeats *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) metrics {
	return metrics{
		repeats: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "batchd_upstream_repeats_total",
			Help: "Lines that were sent again although an earlier call may have been served, by cause.",
		}, []string{"cause"}),
	}
}

// TargetState is how an upstream stands, for readiness and the progress display.
type TargetState struct {
	Name string
	// InFlight of Limit permits are taken.
	InFlight int
	Limit    int
	// Denied is set while the upstream refuses our credentials; Open while calls to it are held back for any reason.
	Denied bool
	Open   bool
}

// Targets returns how each upstream stands now.
func (d *Dispatcher) Targets() []TargetState {
	d.mu.Lock()
	defer d.mu.Unlock()
	states := make([]TargetState, 0, len(d.targets))
	for _, t := range d.targets {
		open, denied := t.breaker.Open()
		states = append(states, TargetState{
			Name: t.upstream.Name(), InFlight: t.limiter.InUse(), Limit: t.limiter.Limit(), Denied: denied, Open: open,
		})
	}
	return states
}

// InFlight returns how many calls are in flight.
func (d *Dispatcher) InFlight() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.flying
}
