package app

import (
	"log/slog"

	"batchd/internal/blob"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the metrics of the node as a whole.
type metrics struct {
	registry *prometheus.Registry
	commits  prometheus.Counter
	fsyncs   prometheus.Counter
	corrupts prometheus.Counter
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
		corrupts: counter("batchd_corrupt_blocks_total", "Blocks of stored objects whose bytes did not match their checksum."),
	}
}

// corrupt returns what to do about a block that does not match its checksum: count every try to read it, but tell the
// operator once.
func (m *metrics) corrupt(logger *slog.Logger) func(key string, block int64) {
	tell := blob.Once(func(key string, block int64) {
		logger.Error("stored object is damaged; its bytes are not used", "key", key, "block", block)
	})
	return func(key string, block int64) {
		m.corrupts.Inc()
		tell(key, block)
	}
}
