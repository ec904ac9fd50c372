package upstream

import (
	"sync"
	"time"
)

// probeEvery is how often a paused upstream is tried.
const probeEvery = 30 * time.Second

// pause is the state of an upstream that refuses our credentials. While it lasts, one call in thirty seconds is let
// through as a probe; an answer to a probe that is no refusal ends it. Calls that began before the pause do not:
// they may have been admitted with a key that is no longer good.
type pause struct {
	// mu guards the fields below.
	mu     sync.Mutex
	reason string
	since  time.Time
	// next is when a probe may start; probing is set while one runs.
	next    time.Time
	probing bool
}

// ticket says how a call was let through.
type ticket int

const (
	refused ticket = iota
	normal
	probe
)

func (p *pause) state() (reason string, since time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reason, p.since, p.reason != ""
}

// wait returns how long to wait before a call would be let through; 0 means that it would be now.
func (p *pause) wait(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waitLocked(now)
}

func (p *pause) waitLocked(now time.Time) time.Duration {
	switch {
	case p.reason == "":
		return 0
	case p.probing:
		return probeEvery
	default:
		// A clock that was set back must not prolong the pause.
		return min(max(p.next.Sub(now), 0), probeEvery)
	}
}

// enter asks to make a call. A call with a ticket other than refused must leave.
func (p *pause) enter(now time.Time) (ticket, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wait := p.waitLocked(now); wait > 0 {
		return refused, wait
	}
	if p.reason == "" {
		return normal, 0
	}
	p.probing = true
	return probe, 0
}

// change is what a call did to the pause.
type change int

const (
	unchanged change = iota
	began
	ended
)

// leave tells what became of a call: denied with a reason, or answered in some other way, or neither.
func (p *pause) leave(t ticket, now time.Time, denied string, answered bool) change {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t == probe {
		p.probing = false
		p.next = now.Add(probeEvery)
	}
	switch {
	case denied != "" && p.reason == "":
		p.reason, p.since, p.next = denied, now, now.Add(probeEvery)
		return began
	case denied != "":
		p.reason = denied
	case answered && t == probe:
		p.reason = ""
		return ended
	}
	return unchanged
}
