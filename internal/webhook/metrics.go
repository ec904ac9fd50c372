package webhook

import (
	"batchd/internal/store"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are what a sender shows of its work.
type metrics struct{ deliveries *prometheus.CounterVec }

// retried is what a delivery that stays pending is counted as; all others are counted as their state.
const retried = "retried"

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{promauto.With(r).NewCounterVec(prometheus.CounterOpts{
		Name: "batchd_webhook_deliveries_total",
		Help: "Attempts to deliver an event to a webhook by what they came to, and events skipped without one.",
	}, []string{"result"})}
	for _, result := range []string{
		string(store.DeliveryDone), string(store.DeliveryAbandoned), string(store.DeliverySkipped), retried,
	} {
		m.deliveries.WithLabelValues(result) // shown as 0 from the beginning, so that a rate can be taken
	}
	return m
}

func (m metrics) count(a store.Attempt) {
	result := string(a.State)
	if a.State == store.DeliveryPending {
		result = retried
	}
	m.deliveries.WithLabelValues(result).Inc()
}
