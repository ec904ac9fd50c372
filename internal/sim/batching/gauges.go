package batching

import "time"

// Gauges are what an engine shows of itself, as a /metrics page would.
type Gauges struct {
	// Running and Waiting are the requests with a place, and those in the queue.
	Running, Waiting int
	// KVTokens are the tokens in memory; 0 in Seats.
	KVTokens int
	// KVUsage is the share of the present memory in use, 0 to 1. Where memory is not modelled it is the share of seats.
	KVUsage float64
	// Preemptions counts how often a running request lost its place.
	Preemptions int64
	// OutputTokens counts tokens generated, PrefillTokens those of prompts read, again and again where preempted.
	OutputTokens, PrefillTokens int64
	// Finished counts requests completed, Refused those for which there was no room in the queue.
	Finished, Refused int64
}

// share is how much of a size is used, at most all of it.
func share(used, size int) float64 {
	if used >= size {
		return 1
	}
	return float64(used) / float64(size)
}

// firstTokens are the times to the first token, by class.
type firstTokens struct{ batch, interactive Durations }

func (f *firstTokens) of(interactive bool) *Durations {
	if interactive {
		return &f.interactive
	}
	return &f.batch
}

func (f *firstTokens) add(c *Call, at time.Duration) {
	f.of(c.Request.Interactive).Add(at - c.Arrived)
}
