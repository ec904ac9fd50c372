package app

import (
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// meters are the metrics of the node as a whole.
type meters struct {
	registry *prometheus.Registry
	commits  prometheus.Counter
	fsyncs   prometheus.Counter
	corrupts prometheus.Counter
}

func newMeters() *meters {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	counter := func(name, help string) prometheus.Counter {
		return promauto.With(r).NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &meters{
		registry: r,
		commits:  counter("batchd_sql_commits_total", "Write transactions that were committed."),
		fsyncs:   counter("batchd_fsyncs_total", "Syncs of files and directories that were asked of the disk, the database's included."),
		corrupts: counter("batchd_corrupt_blocks_total", "Blocks of stored objects whose bytes did not match their checksum."),
	}
}

// damageMost bounds how many damaged blocks are told apart.
const damageMost = 1000

// corrupt returns what to do about a block that does not match its checksum: count every try to read it, but tell
// the operator once. A block of an input holds a thousand lines, and each of them asks for it.
func (m *meters) corrupt(logger *slog.Logger) func(key string, block int64) {
	type place struct {
		key   string
		block int64
	}
	var mu sync.Mutex
	told := make(map[place]bool)
	return func(key string, block int64) {
		m.corrupts.Inc()
		mu.Lock()
		defer mu.Unlock()
		at := place{key, block}
		if told[at] || len(told) == damageMost {
			return
		}
		told[at] = true
		logger.Error("stored object is damaged; its bytes are not used", "key", key, "block", block)
	}
}
