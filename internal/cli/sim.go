package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"batchd/internal/sim"
	"batchd/internal/sim/batching"
)

// Names of the engines that can be simulated.
const (
	engineSeats    = "seats"
	engineBatching = "batching"
)

// simCommand runs the simulated engine. Its flags are the options of the engine, where 0 stands for a default: a placeholder that
// is a value is that default.
type simCommand struct {
	Listen         string        `default:"127.0.0.1:9000" placeholder:"HOST:PORT" help:"Address to serve on (default 127.0.0.1:9000)."`
	Seed           uint64        `placeholder:"N" help:"Random seed: with the same seed, the same request gets the same answer."`
	Model          []string      `placeholder:"NAME" help:"Model to serve; may be given several times. Without any, every model is."`
	Seats          int           `placeholder:"N" help:"How many requests run at a time; 0 for no limit."`
	Timetable      string        `placeholder:"TIME=SEATS,…" help:"Changes of the seats over time since the start, like 5m=4,10m=12."`
	Queue          int           `default:"-1" placeholder:"N" help:"How many requests may wait for a seat; one more is refused. -1 for no limit (default)."`
	ByPriority     bool          `help:"Order the queue by the integer \"priority\" in a request's body, lower first."`
	RefuseStatus   int           `placeholder:"429" help:"Status of a request that finds the queue full."`
	RetryAfter     time.Duration `placeholder:"1s" help:"Retry-After of a refused request; below 0 for none."`
	RPM            int           `name:"rpm" placeholder:"N" help:"Limit of requests per minute; 0 for none."`
	TPM            int           `name:"tpm" placeholder:"N" help:"Limit of tokens per minute; 0 for none."`
	Latency        time.Duration `placeholder:"0s" help:"Latency of every request."`
	PerPromptToken time.Duration `placeholder:"0s" help:"Latency per token of the prompt (20us with --engine batching)."`
	PerOutputToken time.Duration `placeholder:"0s" help:"Latency per token of the answer."`
	Jitter         float64       `placeholder:"SIGMA" help:"Spread of the latency: sigma of a log-normal factor."`
	OutputTokens   int           `placeholder:"N" help:"Median length of answers in tokens; 0 for their natural length."`
	OutputSpread   float64       `placeholder:"SIGMA" help:"Spread of the length: sigma of a log-normal distribution."`
	KVTokens       int           `name:"kv-tokens" placeholder:"N" help:"Size of the KV cache in tokens; 0 for no preemptions (200000 with --engine batching)."`
	PrefixCache    int           `placeholder:"N" help:"How many prompt prefixes are cached and cost no time."`
	ContentModes   bool          `help:"Let MODE:name in a request's text choose its answer, and DELAY:ms delay it."`
	Faults         string        `placeholder:"FILE" help:"Fault script in JSON: which requests fail, and how."`
	HideMetrics    bool          `help:"Answer /metrics with 404, as hosted endpoints do."`

	Engine   string           `default:"seats" enum:"seats,batching" placeholder:"seats|batching" help:"What decides how long a request takes: a number of seats (default), or continuous batching in steps, as in vLLM."`
	Batching simBatchingFlags `embed:""`
}

// Run serves until a signal comes.
func (c *simCommand) Run(s *invocation) error {
	engine, err := c.engine()
	if err != nil {
		return misuse("%v", err)
	}
	return sim.Serve(s.ctx, c.Listen, engine, func(a net.Addr) {
		fmt.Fprintf(s.Stderr, "batchd sim listening on http://%s/v1\n", a)
	})
}

// engine makes the engine that the flags describe.
func (c *simCommand) engine() (*sim.Engine, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	o := sim.Options{
		Seed: c.Seed, Models: c.Model, Seats: c.Seats, Queue: c.Queue, ByPriority: c.ByPriority, ContentModes: c.ContentModes,
		RefuseStatus: c.RefuseStatus, RetryAfter: c.RetryAfter, RPM: c.RPM, TPM: c.TPM,
		Base: c.Latency, PerPromptToken: c.PerPromptToken, PerOutputToken: c.PerOutputToken, Jitter: c.Jitter,
		OutputTokens: c.OutputTokens, OutputSpread: c.OutputSpread, KVTokens: c.KVTokens, PrefixCache: c.PrefixCache, HideMetrics: c.HideMetrics,
	}
	if c.Faults != "" {
		text, err := os.ReadFile(c.Faults)
		if err != nil {
			return nil, unreadable(err)
		}
		if o.Faults, err = sim.ParseScript(text); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Faults, err)
		}
	}
	var err error
	if o.Timetable, err = sim.ParseTimetable(c.Timetable); err != nil {
		return nil, fmt.Errorf("--timetable: %w", err)
	}
	if c.Engine == engineBatching {
		if err := c.Batching.apply(&o); err != nil {
			return nil, err
		}
	}
	e, err := sim.New(o)
	var wrong *batching.OptionError
	if errors.As(err, &wrong) && c.flagOf(wrong.Option) != "" {
		return nil, fmt.Errorf("%s %s", c.flagOf(wrong.Option), wrong.Problem)
	}
	return e, err
}

// flagOf returns the flag that sets an option of the engine, for errors about it; "" for an option that no flag sets.
func (c *simCommand) flagOf(option string) string {
	if option == "Base" && c.Engine == engineBatching {
		return "--step-time"
	}
	field, _, _ := strings.Cut(option, "[")
	return map[string]string{
		"Seats": "--seats", "Timetable": "--timetable", "RPM": "--rpm", "TPM": "--tpm", "Models": "--model",
		"RefuseStatus": "--refuse-status", "Base": "--latency", "PerOutputToken": "--per-output-token", "Jitter": "--jitter",
		"OutputTokens": "--output-tokens", "OutputSpread": "--output-spread", "PrefixCache": "--prefix-cache",
		"PerPromptToken": "--per-prompt-token", "PerPrefillToken": "--per-prompt-token", "KVTokens": "--kv-tokens",
		"MaxSequences": "--max-num-seqs", "StepTokens": "--max-num-batched-tokens", "PerSequence": "--step-time-per-seq",
		"PerKVToken": "--step-time-per-kv-token", "Speed": "--speed", "Room": "--capacity", "Online.Rate": "--interactive-rate",
		"Online.BurstFactor": "--interactive-burst", "Online.BurstFor": "--interactive-burst-for",
	}[field]
}

// check finds flags of the engine that was not chosen: they would silently do nothing.
func (c *simCommand) check() error {
	if c.Engine == engineSeats {
		if c.Batching != (simBatchingFlags{}) {
			return errors.New("a flag of the engine that batches needs --engine batching")
		}
		return nil
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"--seats", c.Seats != 0},
		{"--timetable", c.Timetable != ""},
		{"--latency", c.Latency != 0},
		{"--per-output-token", c.PerOutputToken != 0},
		{"--jitter", c.Jitter != 0},
	} {
		if f.set {
			return fmt.Errorf("%s is for --engine seats", f.name)
		}
	}
	return c.Batching.check()
}
