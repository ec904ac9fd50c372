package limit

import "time"

// Step is what the part of a limit does that looks for the best one, in the words of the log and the metrics.
type Step string

// The steps.
const (
	// StepRamp: half as many calls again as long as each such step brings more.
	StepRamp Step = "ramp"
	// StepHeld: the limit is as good as any that was tried.
	StepHeld Step = "held"
	// StepUp and StepDown: more or fewer calls are being tried.
	StepUp   Step = "trying up"
	StepDown Step = "trying down"
	// StepBack: what was tried was no better.
	StepBack Step = "back"
	// StepQueued, StepFree and StepPreempted: the engine's own metrics show a queue, none, or requests put back.
	StepQueued    Step = "engine queues"
	StepFree      Step = "engine free"
	StepPreempted Step = "engine preempts"
	// StepUnknown: an engine that others use as well says nothing of its load, so few calls must do.
	StepUnknown Step = "load unknown"
)

// Change is one change of how many calls are found worth having in flight.
type Change struct {
	At       time.Time
	From, To int
	Why      Step
}
