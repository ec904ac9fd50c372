package batching

import (
	"slices"
	"time"
)

// An Engine is one replica with continuous batching. It is not safe for concurrent use.
type Engine struct {
	opts     Options
	last     ID
	waiting  heap[sequence]
	running  []sequence // in the order they were admitted
	decoding int        // of the running, those whose prompt is read
	kv       int        // tokens in memory: prompt and output so far of all that run
	short    bool       // the last step left somebody waiting for want of memory
	counts   Gauges
	waits    firstTokens
	out      Iteration
}

// A sequence is a call inside the engine.
type sequence struct {
	Call
	unread    int // tokens to prefill before the next one can be generated
	generated int
}

// size is what the sequence holds in memory while it runs.
func (s *sequence) size() int { return s.Request.PromptTokens + s.generated }

// New returns an idle engine. The error names the option that is wrong.
func New(opts Options) (*Engine, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	e := &Engine{opts: opts, running: make([]sequence, 0, opts.MaxSequences)}
	e.waiting.before = func(a, b *sequence) bool { return before(&a.Call, &b.Call, opts.ByPriority) }
	return e, nil
}

// Submit puts a request into the queue at a time that is not before the last Step's; the next Step looks at it. The
// error is ErrQueueFull or ErrNeverFits, and then the engine has kept nothing of it.
func (e *Engine) Submit(now time.Duration, r Request) (ID, error) {
	if r.PromptTokens < 1 || r.OutputTokens < 1 || r.PromptTokens+r.OutputTokens > e.opts.memory(1) {
		return 0, ErrNeverFits
	}
	if e.full(now) {
		e.counts.Refused++
		return 0, ErrQueueFull
	}
	e.last++
	unread := max(1, r.PromptTokens-max(0, r.CachedTokens))
	e.waiting.push(sequence{Call: Call{ID: e.last, Request: r, Arrived: now}, unread: unread})
	return e.last, nil
}

// full reports whether one more request would wait beyond the queue's limit. Those that will find a place in the next
// step do not count as waiting, unless it is memory that is short: then free places mean nothing.
func (e *Engine) full(now time.Duration) bool {
	if e.opts.Queue < 0 {
		return false
	}
	places := 0
	if !e.short {
		places = max(0, e.opts.sequences(factorAt(e.opts.Room, now))-len(e.running))
	}
	return len(e.waiting.items) >= e.opts.Queue+places
}

// Cancel forgets a request, waiting or running, and reports whether it was there. What it generated stays counted.
func (e *Engine) Cancel(id ID) bool {
	if i := slices.IndexFunc(e.running, func(s sequence) bool { return s.ID == id }); i >= 0 {
		e.evict(i)
		return true
	}
	return e.waiting.removeFunc(func(s *sequence) bool { return s.ID == id })
}

// Gauges returns the state between two steps, at a time not before the last Step's.
func (e *Engine) Gauges(now time.Duration) Gauges {
	g := e.counts
	g.Running, g.Waiting, g.KVTokens = len(e.running), len(e.waiting.items), e.kv
	room := factorAt(e.opts.Room, now)
	if e.opts.KVTokens == 0 {
		g.KVUsage = share(g.Running, e.opts.sequences(room))
	} else {
		g.KVUsage = share(e.kv, e.opts.memory(room))
	}
	return g
}

// FirstTokens returns the times from arrival to the first token of one class, interactive or not, since the beginning
// or the last Reset. It stays the engine's.
func (e *Engine) FirstTokens(interactive bool) *Durations { return e.waits.of(interactive) }
