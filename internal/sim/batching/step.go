package batching

import (
	"slices"
	"time"
)

// Step runs one iteration that begins at a time, which must not be before the end of the last one: sequences whose
// prompt is read get one token each, and what is left of the budget reads prompts, those of running sequences before
// those of the queue. It takes time in proportion to the sequences that run and allocates nothing in the long run.
func (e *Engine) Step(now time.Duration) Iteration {
	room := factorAt(e.opts.Room, now)
	seats, memory := e.opts.sequences(room), e.opts.memory(room)
	e.makeRoom(seats, memory)
	read := e.readPrompts(e.opts.StepTokens-e.decoding, seats, memory)
	e.out.Took = e.duration(now, read)
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

// duration is how long the step takes that reads so many tokens of prompts.
func (e *Engine) duration(now time.Duration, read int) time.Duration {
	o := &e.opts
	d := o.Base + time.Duration(e.decoding)*o.PerSequence + time.Duration(read)*o.PerPrefillToken + time.Duration(e.kv)*o.PerKVToken
	if speed := factorAt(o.Speed, now); speed != 1 {
		d = time.Duration(float64(d) / speed)
	}
	return d
}

// generate gives a token to each sequence whose prompt is read, and lets go those that have all of theirs.
func (e *Engine) generate(end time.Duration) {
	e.out.First, e.out.Finished = e.out.First[:0], e.out.Finished[:0]
	e.decoding = 0
	kept := 0
	for i := range e.running {
		s := &e.running[i]
		if s.unread == 0 && e.token(s, end) {
			continue
		}
		if kept < i {
			e.running[kept] = *s
		}
		kept++
	}
	e.running = e.running[:kept]
}

// token generates one token of a sequence and reports whether it was the last.
func (e *Engine) token(s *sequence, at time.Duration) (last bool) {
	s.generated++
	e.kv++
	e.counts.OutputTokens++
	if s.generated == 1 {
		e.waits.add(&s.Call, at)
		e.out.First = append(e.out.First, s.Call)
	}
	if s.generated < s.Request.OutputTokens {
		e.decoding++
		return false
	}
	e.kv -= s.size()
	e.counts.Finished++
	e.out.Finished = append(e.out.Finished, s.Call)
	return true
}
