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
	if e.opts.Queue >= 0 {
		// Those that will find a place in the next step do not count as waiting, unless it is memory that is short: then free
		// places mean nothing.
		places := 0
		if !e.short {
			places = max(0, e.opts.sequences(factorAt(e.opts.Room, now))-len(e.running))
		}
		if len(e.waiting.items) >= e.opts.Queue+places {
			e.counts.Refused++
			return 0, ErrQueueFull
		}
	}
	e.last++
	unread := max(1, r.PromptTokens-max(0, r.CachedTokens))
	e.waiting.push(sequence{Call: Call{ID: e.last, Request: r, Arrived: now}, unread: unread})
	return e.last, nil
}

// Step runs one iteration that begins at a time, which must not be before the end of the last one: sequences whose
// prompt is read get one token each, and what is left of the budget reads prompts, those of running sequences before
// those of the queue. It takes time in proportion to the sequences that run and allocates nothing in the long run.
func (e *Engine) Step(now time.Duration) Iteration {
	room := factorAt(e.opts.Room, now)
	seats, memory := e.opts.sequences(room), e.opts.memory(room)
	e.makeRoom(seats, memory)
	read := e.readPrompts(e.opts.StepTokens-e.decoding, seats, memory)
	o := &e.opts
	took := o.Base + time.Duration(e.decoding)*o.PerSequence + time.Duration(read)*o.PerPrefillToken + time.Duration(e.kv)*o.PerKVToken
	if speed := factorAt(o.Speed, now); speed != 1 {
		took = time.Duration(float64(took) / speed)
	}
	e.out.Took = took
	e.counts.PrefillTokens += int64(read)
	e.generate(now + e.out.Took)
	return e.out
}

// makeRoom preempts until all that run have a seat, and memory for the token that each may add in this step.
func (e *Engine) makeRoom(seats, memory int) {
	for len(e.running) > seats || (len(e.running) > 0 && e.kv+len(e.running) > memory) {
		worst := 0
		for i := range e.running {
			if before(&e.running[worst].Call, &e.running[i].Call, e.opts.ByPriority) {
				worst = i
			}
		}
		s := e.evict(worst)
		s.unread = s.size() // memory is given up, not saved: all of it is read again
		e.waiting.push(s)
		e.counts.Preemptions++
	}
}

// evict takes a sequence out of the running ones and frees its memory.
func (e *Engine) evict(i int) sequence {
	s := e.running[i]
	e.running = slices.Delete(e.running, i, i+1)
	e.kv -= s.size()
	if s.unread == 0 {
		e.decoding--
	}
	return s
}

// readPrompts spends a budget of tokens on prompts, admitting from the queue while there is room, and returns how many
// were read. The head of the queue is never overtaken: else a long prompt would wait for ever behind short ones.
func (e *Engine) readPrompts(budget, seats, memory int) (read int) {
	if e.decoding < len(e.running) {
		for i := range e.running {
			read += e.running[i].read(budget - read)
		}
	}
	e.short = false
	for read < budget && len(e.running) < seats && len(e.waiting.items) > 0 {
		size := e.waiting.items[0].size()
		if e.short = e.kv+size+len(e.running)+1 > memory; e.short {
			break
		}
		s := e.waiting.pop()
		e.kv += size
		read += s.read(budget - read)
		e.running = append(e.running, s)
	}
	return read
}

// read reads up to so many tokens of what is unread.
func (s *sequence) read(budget int) int {
	n := min(s.unread, budget)
	s.unread -= n
	return n
}

// generate gives a token to each sequence whose prompt is read, and lets those go that have all of theirs.
func (e *Engine) generate(end time.Duration) {
	e.out.First, e.out.Finished = e.out.First[:0], e.out.Finished[:0]
	e.decoding = 0
	kept := 0
	for i := range e.running {
		s := &e.running[i]
		if s.unread == 0 {
			s.generated++
			e.kv++
			e.counts.OutputTokens++
			if s.generated == 1 {
				e.waits.add(&s.Call, end)
				e.out.First = append(e.out.First, s.Call)
			}
			if s.generated >= s.Request.OutputTokens {
				e.kv -= s.size()
				e.counts.Finished++
				e.out.Finished = append(e.out.Finished, s.Call)
				continue
			}
			e.decoding++
		}
		if kept < i {
			e.running[kept] = *s
		}
		kept++
	}
	e.running = e.running[:kept]
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
