package httpapi

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count requests by route, which is a pattern from the table: nothing a client makes up becomes a label.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "batchd_http_requests_total",
			Help: "Requests answered, by route, method and status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "batchd_http_request_seconds",
			Help:    "Time to answer a request whole, by route.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"route"}),
	}
	reg.MustRegister(m.requests, m.seconds)
	return m
}

func (m *metrics) observe(rep *reply, r *http.Request) {
	route := rep.route
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, methodLabel(r.Method), strconv.Itoa(rep.status)).Inc()
	m.seconds.WithLabelValues(route).Observe(rep.elapsed().Seconds())
}

func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete:
		return method
	default:
		return "other"
	}
}
