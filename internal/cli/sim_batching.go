package cli

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"batchd/internal/sim"
	"batchd/internal/sim/batching"
)

// simBatchingFlags are the flags of the engine that batches. A flag that is not given keeps the value of
// batching.Reference and, of the traffic of others, of batching.Online.
type simBatchingFlags struct {
	MaxNumSeqs           int           `group:"With --engine batching:" placeholder:"256" help:"How many sequences run at a time."`
	MaxNumBatchedTokens  int           `group:"With --engine batching:" placeholder:"2048" help:"Tokens per step: one for each generating sequence, the rest for prompts."`
	StepTime             time.Duration `group:"With --engine batching:" placeholder:"6ms" help:"Time of every step."`
	StepTimePerSeq       time.Duration `group:"With --engine batching:" placeholder:"30us" help:"Step time per generating sequence."`
	StepTimePerKVToken   time.Duration `group:"With --engine batching:" name:"step-time-per-kv-token" placeholder:"10ns" help:"Step time per token in the KV cache."`
	Capacity             string        `group:"With --engine batching:" placeholder:"TIME=FACTOR,…" help:"Changes of the capacity (sequences and KV cache) over time, like 5m=0.5,10m=1."`
	Speed                string        `group:"With --engine batching:" placeholder:"TIME=FACTOR,…" help:"Changes of the speed of steps over time, like 0s=0.1."`
	InteractiveRate      float64       `group:"With --engine batching:" placeholder:"N" help:"Interactive requests per second that share the engine; 0 for none."`
	InteractivePrompt    int           `group:"With --engine batching:" name:"interactive-prompt-tokens" placeholder:"500" help:"Mean length of interactive prompts."`
	InteractiveOutput    int           `group:"With --engine batching:" name:"interactive-output-tokens" placeholder:"200" help:"Mean length of interactive answers."`
	InteractivePriority  int           `group:"With --engine batching:" placeholder:"N" help:"Priority of interactive requests under --by-priority."`
	InteractiveBurst     float64       `group:"With --engine batching:" placeholder:"3" help:"Factor on the interactive rate during a burst."`
	InteractiveBurstEach time.Duration `group:"With --engine batching:" name:"interactive-burst-every" placeholder:"0s" help:"Interval from burst to burst; 0 for no bursts."`
	InteractiveBurstFor  time.Duration `group:"With --engine batching:" placeholder:"0s" help:"How long a burst lasts (default: a sixth of the interval)."`
}

// check finds flags that describe interactive traffic where there is none: they would silently do nothing.
func (f *simBatchingFlags) check() error {
	traffic := simBatchingFlags{
		InteractivePrompt: f.InteractivePrompt, InteractiveOutput: f.InteractiveOutput, InteractivePriority: f.InteractivePriority,
		InteractiveBurst: f.InteractiveBurst, InteractiveBurstEach: f.InteractiveBurstEach, InteractiveBurstFor: f.InteractiveBurstFor,
	}
	if f.InteractiveRate == 0 && traffic != (simBatchingFlags{}) {
		return errors.New("interactive traffic needs --interactive-rate")
	}
	return nil
}

// apply turns an engine's options into those of one that batches. Two flags that both engines have, tokens of the KV cache and time
// per token of the prompt, move from the engine with seats to the replica.
func (f *simBatchingFlags) apply(o *sim.Options) error {
	replica := batching.Reference()
	replica.MaxSequences = cmp.Or(f.MaxNumSeqs, replica.MaxSequences)
	// A step must hold a token for each sequence that generates, and some of prompts beside them.
	replica.StepTokens = cmp.Or(f.MaxNumBatchedTokens, max(replica.StepTokens, 2*replica.MaxSequences))
	replica.Base = cmp.Or(f.StepTime, replica.Base)
	replica.PerSequence = cmp.Or(f.StepTimePerSeq, replica.PerSequence)
	replica.PerKVToken = cmp.Or(f.StepTimePerKVToken, replica.PerKVToken)
	replica.PerPrefillToken, o.PerPromptToken = cmp.Or(o.PerPromptToken, replica.PerPrefillToken), 0
	replica.KVTokens, o.KVTokens = cmp.Or(o.KVTokens, replica.KVTokens), 0
	var err error
	if replica.Room, err = sim.ParseLevels(f.Capacity); err != nil {
		return fmt.Errorf("--capacity: %w", err)
	}
	if replica.Speed, err = sim.ParseLevels(f.Speed); err != nil {
		return fmt.Errorf("--speed: %w", err)
	}
	o.Batching = &replica
	if f.InteractiveRate != 0 {
		o.Online = f.traffic()
	}
	return nil
}

// traffic is the interactive traffic that shares the engine.
func (f *simBatchingFlags) traffic() batching.Traffic {
	t := batching.Online()
	t.Rate, t.Mix.Priority = f.InteractiveRate, f.InteractivePriority
	t.Mix.Prompt.Mean = cmp.Or(float64(f.InteractivePrompt), t.Mix.Prompt.Mean)
	t.Mix.Output.Mean = cmp.Or(float64(f.InteractiveOutput), t.Mix.Output.Mean)
	t.BurstFactor = cmp.Or(f.InteractiveBurst, t.BurstFactor)
	t.BurstEvery = f.InteractiveBurstEach
	t.BurstFor = cmp.Or(f.InteractiveBurstFor, f.InteractiveBurstEach/6) // as Online has it
	return t
}
