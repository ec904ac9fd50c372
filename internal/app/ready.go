package app

import "batchd/internal/httpapi"

// Ready says whether the node takes work: not while it is going down, nor while the disk or the database takes nothing.
func (e *Engine) Ready() httpapi.Readiness {
	e.mu.Lock()
	draining := e.draining
	e.mu.Unlock()
	low := e.space.Low()
	var r httpapi.Readiness
	if draining {
		r.Problems = append(r.Problems, "shutting down")
	}
	r.Problems = append(r.Problems, e.writable.Problems(low, e.storage.faulty.Load())...)
	if low {
		r.Reasons = append(r.Reasons, "disk nearly full: uploads are refused and no new work is started")
	}
	return r
}
