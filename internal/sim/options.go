package sim

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"batchd/internal/sim/batching"
)

// DefaultModel is the model that is listed, and named in metrics, when Options.Models is empty.
const DefaultModel = "sim-small"

// DefaultMaxBodyBytes is the request body cap when Options.MaxBodyBytes is zero.
const DefaultMaxBodyBytes = 64 << 20

// Options configures an Engine. The zero value is an engine without limits that answers at once.
type Options struct {
	// Seed changes every answer, id and draw. Equal seeds and bodies give equal answers.
	Seed uint64
	// Models are the served models. If set, a request for any other model is answered 404 `model_not_found`.
	// If empty, every model is accepted and DefaultModel is listed.
	Models []string

	// Seats is how many sequences run at a time; 0 means no limit. SetSeats changes it later.
	Seats int
	// Timetable changes the seats by itself, in order of time. SetSeats may be called as well: the last change counts.
	Timetable []Shift
	// Queue is how many requests may wait for a seat: 0 means none, below 0 no limit. One more is refused.
	Queue int
	// ByPriority orders the queue by the body's integer "priority", lower first and 0 if absent, then by arrival. Off,
	// the member changes nothing. Nobody who has a seat loses it.
	ByPriority bool
	// RefuseStatus is the status of a request that found the queue full: 429 by default. vLLM says 503, Dynamo 529.
	RefuseStatus int
	// RetryAfter is the hint on a refused request, in whole seconds rounded up; 1 s by default, below 0 no hint.
	RetryAfter time.Duration
	// RPM and TPM bound requests and tokens (prompt plus output) per minute; 0 means no limit. Either one being set
	// adds the x-ratelimit-* headers to every answer.
	RPM, TPM int

	// Base, PerPromptToken and PerOutputToken are the time a running request takes: a sum of the three.
	// All zero: answers come at once and no timer is made.
	Base, PerPromptToken, PerOutputToken time.Duration
	// Jitter is the sigma of a log-normal factor of mean 1 on that time, drawn from the seed and the body.
	Jitter float64
	// OutputTokens is the median length of generated text in tokens; 0 means the natural length of the sentence.
	OutputTokens int
	// OutputSpread is the sigma of the log-normal distribution of lengths round OutputTokens; 0 means all alike.
	OutputSpread float64
	// KVTokens is the size of the KV cache in tokens. A request started in a full cache is counted as a preemption
	// and pays for its prompt twice. 0: no preemptions, and the usage shown is the share of seats in use.
	KVTokens int
	// PrefixCache is how many prompt prefixes (everything before the last message) are remembered, least recently
	// used first out. Tokens of a remembered prefix take no time. 0: none. It makes time, not answers, depend on order.
	PrefixCache int

	// Batching, if set, has requests go through a model of continuous batching instead of seats: how long one takes
	// follows from its tokens and from what else is in the engine. Queue and ByPriority are taken from here; Seats,
	// Timetable, Base, PerPromptToken, PerOutputToken, Jitter and KVTokens belong to the other model and must be zero.
	// Requests wait until Run is called.
	Batching *batching.Options
	// Online is what others send to the same engine, drawn from the seed; only with Batching. A Rate of 0: nothing.
	Online batching.Traffic
	// HideMetrics answers 404 at /metrics, as a hosted endpoint does.
	HideMetrics bool

	// MaxBodyBytes caps a request's body; a longer one is answered 413. 0 means DefaultMaxBodyBytes.
	MaxBodyBytes int64
	// Faults is what goes wrong, and for which requests. The zero value is an engine that works.
	Faults Script
	// ContentModes lets a request choose its answer by a text anywhere in its body, so that a test writes into a line
	// what becomes of it. `MODE:name` picks the whole answer of that name, which takes no seat: see the table in
	// modes_answers.go. `MODE:crash` is down like Action.Crash, for 20 s or the milliseconds of `DOWN:ms`. `DELAY:ms`
	// waits first, without a seat, with a mode or without. A rule of Faults that matches goes before.
	ContentModes bool

	// OnCall, if set, is called for every inference request once its body was read, before any waiting. It is called
	// from many goroutines at once. A request that is refused at the connection (an outage) is not seen here.
	OnCall func(Call)
	// OnAnswer, if set, is called for each request seen by OnCall once its answer was written or given up.
	OnAnswer func(Call)
	// Now is the clock for Call.Start, rate limits and outages; time.Now by default.
	// Waiting is done with timers, so a synctest bubble controls it.
	Now func() time.Time
}

// check reports the first option that is wrong. If none is, it sets those that were left open to their defaults.
func (o *Options) check() error {
	for _, f := range []struct {
		name     string
		negative bool
	}{
		{"Seats", o.Seats < 0},
		{"RPM", o.RPM < 0},
		{"TPM", o.TPM < 0},
		{"Base", o.Base < 0},
		{"PerPromptToken", o.PerPromptToken < 0},
		{"PerOutputToken", o.PerOutputToken < 0},
		{"Jitter", o.Jitter < 0},
		{"OutputTokens", o.OutputTokens < 0},
		{"OutputSpread", o.OutputSpread < 0},
		{"KVTokens", o.KVTokens < 0},
		{"PrefixCache", o.PrefixCache < 0},
		{"MaxBodyBytes", o.MaxBodyBytes < 0},
	} {
		if f.negative {
			return &batching.OptionError{Option: f.name, Problem: "is below zero"}
		}
	}
	if s := o.RefuseStatus; s != 0 && (s < 400 || s > 599) {
		return &batching.OptionError{Option: "RefuseStatus", Problem: fmt.Sprintf("is %d, not 400 to 599", s)}
	}
	if err := o.checkModel(); err != nil {
		return err
	}
	for i, m := range o.Models {
		if m == "" {
			return &batching.OptionError{Option: fmt.Sprintf("Models[%d]", i), Problem: "is empty"}
		}
	}
	last := time.Duration(0)
	for i, s := range o.Timetable {
		if s.At <= last {
			return &batching.OptionError{Option: fmt.Sprintf("Timetable[%d]", i), Problem: fmt.Sprintf("is at %v, not after %v", s.At, last)}
		}
		if s.Seats < 0 {
			return &batching.OptionError{Option: fmt.Sprintf("Timetable[%d]", i), Problem: fmt.Sprintf("has %d seats at %v", s.Seats, s.At)}
		}
		last = s.At
	}
	if o.RefuseStatus == 0 {
		o.RefuseStatus = http.StatusTooManyRequests
	}
	if o.RetryAfter == 0 {
		o.RetryAfter = time.Second
	}
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = DefaultMaxBodyBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// checkModel reports options that belong to the model of an engine that was not chosen.
func (o *Options) checkModel() error {
	if o.Batching == nil {
		if o.Online.Rate != 0 {
			return errors.New("sim option Online needs Batching")
		}
		return nil
	}
	// What would never arrive is kept out, and what would arrive without end.
	finite := func(v float64) bool { return v >= 0 && !math.IsInf(v, 1) }
	switch t := &o.Online; {
	case !finite(t.Rate):
		return &batching.OptionError{Option: "Online.Rate", Problem: fmt.Sprintf("is %v", t.Rate)}
	case !finite(t.BurstFactor):
		return &batching.OptionError{Option: "Online.BurstFactor", Problem: fmt.Sprintf("is %v", t.BurstFactor)}
	case t.BurstEvery < 0, t.BurstFor < 0, t.BurstEvery > 0 && t.BurstFor >= t.BurstEvery:
		return &batching.OptionError{Option: "Online.BurstFor", Problem: fmt.Sprintf("is %v, with a burst every %v", t.BurstFor, t.BurstEvery)}
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"Seats", o.Seats != 0},
		{"Timetable", len(o.Timetable) > 0},
		{"Base", o.Base != 0},
		{"PerPromptToken", o.PerPromptToken != 0},
		{"PerOutputToken", o.PerOutputToken != 0},
		{"Jitter", o.Jitter != 0},
		{"KVTokens", o.KVTokens != 0},
	} {
		if f.set {
			return fmt.Errorf("sim option %s cannot be combined with Batching", f.name)
		}
	}
	return nil
}
