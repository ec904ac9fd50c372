package limit

import "time"

// EngineLoad is what an engine says of itself, as its own metrics have it. An engine that queues without an end never
// refuses, so how much is worth having in flight can only be read here.
type EngineLoad struct {
	// Running is how many requests it works on, Waiting how many stand in its queue.
	Running int
	Waiting int
	// KVUsage is how full the memory for running requests is, from 0 to 1; of several replicas the fullest. -1 is unknown.
	KVUsage float64
	// Preemptions counts since the engine's start how often running requests were put back for lack of memory. It falls when
	// an engine is started again.
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
