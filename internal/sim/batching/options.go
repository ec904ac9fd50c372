package batching

import (
	"fmt"
	"math"
	"time"
)

// Options configures an Engine. A step lasts Base + PerSequence x sequences that decode + PerPrefillToken x
// tokens of prompts read + PerKVToken x tokens in memory, divided by the factor of Speed.
type Options struct {
	// Base, PerSequence, PerPrefillToken and PerKVToken are the parts of a step's time. Base is above 0.
	Base, PerSequence, PerPrefillToken, PerKVToken time.Duration
	// MaxSequences is how many sequences run at a time.
	MaxSequences int
	// StepTokens is how many tokens one step processes: one for each sequence that decodes, the rest for prompts, which
	// are read in pieces where they are longer. It is above MaxSequences.
	StepTokens int
	// KVTokens is the size of the KV memory in tokens; 0 means no limit. A sequence takes its whole prompt at admission
	// and one more with each token generated. When memory is short the last one of the queue's order gives up its
	// place, waits again, and reads prompt and output so far once more.
	KVTokens int
	// Queue is how many requests may wait that the next step has no place for; one more is refused. Below 0: no limit.
	Queue int
	// ByPriority orders queue and preemption by Request.Priority instead of by arrival alone. As in vLLM, a request
	// that waits takes no place from one that runs.
	ByPriority bool
	// Speed changes how fast steps are, Room changes MaxSequences and KVTokens. Sequences that have no place in a room
	// that shrinks are preempted; a request larger than the shrunk memory waits, and all behind it, until it grows.
	Speed, Room []Level
}

// OptionError says what is wrong with an option.
type OptionError struct {
	// Option is the name of the field, Problem the rest of a sentence about it.
	Option, Problem string
}

// Error returns the sentence.
func (e *OptionError) Error() string { return "option " + e.Option + " " + e.Problem }

func (o *Options) check() error {
	switch {
	case o.Base <= 0:
		return &OptionError{"Base", "is not above zero"}
	case o.PerSequence < 0:
		return &OptionError{"PerSequence", "is below zero"}
	case o.PerPrefillToken < 0:
		return &OptionError{"PerPrefillToken", "is below zero"}
	case o.PerKVToken < 0:
		return &OptionError{"PerKVToken", "is below zero"}
	case o.MaxSequences < 1:
		return &OptionError{"MaxSequences", "is below one"}
	case o.StepTokens <= o.MaxSequences:
		return &OptionError{"StepTokens", "is not above the number of sequences: prompts would never be read"}
	case o.KVTokens < 0:
		return &OptionError{"KVTokens", "is below zero"}
	}
	for _, l := range o.Speed {
		if l.Factor <= 0 {
			return &OptionError{"Speed", fmt.Sprintf("has factor %v at %v: an engine that stands still is one without capacity", l.Factor, l.At)}
		}
	}
	if err := checkLevels("Speed", o.Speed); err != nil {
		return err
	}
	return checkLevels("Room", o.Room)
}

func (o *Options) sequences(factor float64) int { return scaled(o.MaxSequences, factor) }

func (o *Options) memory(factor float64) int {
	if o.KVTokens == 0 {
		return math.MaxInt
	}
	return scaled(o.KVTokens, factor)
}
