package limit

import "time"

// EngineLoad is one reading of an engine's own metrics.
type EngineLoad struct {
	// Running and Waiting are how many requests the engine works on, and how many stand in its queue.
	Running, Waiting int
	// KVUsage is how full its cache for keys and values is, from 0 to 1; -1 if unknown.
	KVUsage float64
	// Preemptions counts requests that it has put back since it started, for want of cache.
	Preemptions float64
	// At is when it was read.
	At time.Time
}

// EngineLoads are the loads behind one address.
type EngineLoads struct {
	Total EngineLoad
	// ByModel has the load of each model that the engine names; it is empty if it names none.
	ByModel map[string]EngineLoad
}
