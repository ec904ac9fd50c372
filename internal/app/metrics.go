package app

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the registry that every part registers with, and the metrics of the node as a whole.
type metrics struct {
	registry *prometheus.Registry
	commits  prometheus.Counter
	fsyncs   prometheus.Counter
	corrupts prometheus.Counter
	deleted  prometheus.Gauge
	rescues  prometheus.Counter
	// crowdedOut counts connections of clients that were closed for others.
	crowdedOut prometheus.Counter
}

func newMetrics() *metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	counter := func(name, help string) prometheus.Counter {
		return promauto.With(r).NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &metrics{
		registry: r,
		commits:  counter("batchd_sql_commits_total", "Write transactions that were committed."),
		fsyncs:   counter("batchd_fsyncs_total", "Syncs of files and directories that were asked of the disk, the database's included."),
		deleted: promauto.With(r).NewGauge(prometheus.GaugeOpts{
			Name: "batchd_deleted_bytes",
			Help: "Bytes of deleted and expired files, and of parts of uploads that are over, that wait to go from the disk.",
		}),
		corrupts: counter("batchd_corrupt_blocks_total", "Blocks of stored objects whose bytes did not match their checksum."),
		rescues:  counter("batchd_journal_rescues_total", "Journals that were copied to a fresh file because an fsync had failed."),
		crowdedOut: counter("batchd_http_connections_closed_total",
			"Connections without a request that were closed to make room for new ones."),
	}
}

// connections makes the metric of how many connections clients have open, which open returns.
func (m *metrics) connections(open func() int) {
	promauto.With(m.registry).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "batchd_http_connections", Help: "Connections that clients have open.",
	}, func() float64 { return float64(open()) })
}

// handler serves all metrics of the registry in Prometheus' text format.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
