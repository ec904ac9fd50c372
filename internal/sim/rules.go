package sim

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errOutage is the cause of ending a request in flight when a rule crashes the engine.
var errOutage = errors.New("engine is down")

// A faultPlan is a script with the state of its rules.
type faultPlan struct {
	rules    []*armedRule
	stalls   []*armedRule
	crashing bool // some rule, or a request by its content, crashes the engine

	mu        sync.Mutex // guards the fields below
	downUntil time.Time
	crashed   chan struct{} // closed by a crash, then replaced: each request watches the one it arrived under
}

type armedRule struct {
	Rule
	contains []byte
	draw     uint64
	fired    atomic.Int64

	mu   sync.Mutex         // guards seen
	seen map[[16]byte]int32 // attempts by body; nil unless they are limited
}

// compile validates a script and readies it.
func compile(s Script) (*faultPlan, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	p := &faultPlan{crashed: make(chan struct{})}
	for i, r := range s.Rules {
		a := &armedRule{Rule: r, contains: []byte(r.Match.Contains), draw: drawFault + uint64(i)}
		if r.Match.Attempts > 0 {
			a.seen = make(map[[16]byte]int32)
		}
		if r.Action.Stall > 0 {
			p.stalls = append(p.stalls, a)
			continue
		}
		p.rules = append(p.rules, a)
		p.crashing = p.crashing || r.Action.Crash > 0
	}
	return p, nil
}

// match returns the action for a call, nil for none, and counts its rule as fired.
func (p *faultPlan) match(c *call) *Action {
	for _, r := range p.rules {
		if r.matches(c) && r.fire() {
			return &r.Action
		}
	}
	return nil
}

// stall returns how long to wait before the body of a call is read.
func (p *faultPlan) stall(c *call) time.Duration {
	for _, r := range p.stalls {
		if r.Match.early(c) && r.fire() {
			return r.Action.Stall
		}
	}
	return 0
}

// early checks what is known before the body is read.
func (m *Match) early(c *call) bool {
	return (m.Nth == 0 || m.Nth == c.Number) && m.From <= c.Number && (m.To == 0 || c.Number <= m.To) &&
		(m.Path == "" || m.Path == c.Path)
}

// matches reports whether a call meets all conditions of the rule, the cheap ones first. Only one that meets the others
// counts as an attempt.
func (r *armedRule) matches(c *call) bool {
	m := &r.Match
	if !m.early(c) || !bytes.Contains(c.Body, r.contains) || m.Rate > 0 && c.id.rand(r.draw).Float64() >= m.Rate {
		return false
	}
	if m.Model != "" {
		var req common
		_ = decode(c.Body, &req) // a body that cannot be read has no model
		if req.Model != m.Model {
			return false
		}
	}
	if r.seen == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	body := [16]byte(c.id[:16])
	r.seen[body]++
	return int(r.seen[body]) <= m.Attempts
}

// fire counts the rule as applied, or reports that it has no more shots.
func (r *armedRule) fire() bool {
	n := r.fired.Add(1)
	return r.Times == 0 || n <= int64(r.Times)
}

// crash takes the engine down until a time and ends what is in flight.
func (p *faultPlan) crash(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.downUntil) {
		p.downUntil = until
	}
	close(p.crashed)
	p.crashed = make(chan struct{})
}

// down reports whether the engine is down at a time.
func (p *faultPlan) down(now time.Time) bool {
	if !p.crashing {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Before(p.downUntil)
}

// during derives the context of a request that arrives now, which ends with cause errOutage if the engine crashes.
// It is not up while the engine is down.
func (p *faultPlan) during(parent context.Context, now time.Time) (ctx context.Context, cancel func(), up bool) {
	if !p.crashing {
		return parent, func() {}, true
	}
	p.mu.Lock()
	crashed, down := p.crashed, now.Before(p.downUntil)
	p.mu.Unlock()
	if down {
		return parent, func() {}, false
	}
	ctx, end := context.WithCancelCause(parent)
	finished := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-crashed:
			end(errOutage)
		case <-finished:
		}
	})
	return ctx, func() {
		close(finished)
		watch.Wait()
		end(nil)
	}, true
}
