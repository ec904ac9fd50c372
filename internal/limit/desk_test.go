package limit_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"batchd/internal/limit"
)

// desk is a gate under test and the time at which it is asked next: nothing here reads a clock.
type desk struct {
	t       *testing.T
	address *limit.Address
	gate    *limit.Gate
	now     time.Time
	// queue is what waits at the gate besides; at first so much that no line is alone.
	queue limit.Queue
	lines uint32
}

// openGate returns the only gate of an address, both with room for so many calls; 0 has the room found.
func openGate(t *testing.T, concurrency int) *desk {
	t.Helper()
	most := concurrency
	if most == 0 {
		most = limit.AutoMost
	}
	random := rand.New(rand.NewPCG(1, 2))
	d := &desk{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), queue: limit.Queue{Left: 1000, Fresh: true}}
	d.address = limit.NewAddress(most, random.Float64)
	d.gate = limit.NewGate(d.address, limit.Options{Concurrency: concurrency, Rand: random})
	return d
}

// beside returns another gate of the same address, asked at the same time.
func (d *desk) beside(concurrency int) *desk {
	other := *d
	other.gate = limit.NewGate(d.address, limit.Options{Concurrency: concurrency, Rand: rand.New(rand.NewPCG(3, 4))})
	other.lines = 1_000_000
	return &other
}

// pass lets time pass.
func (d *desk) pass(passed time.Duration) { d.now = d.now.Add(passed) }

// line returns a line that was never tried, of batch a.
func (d *desk) line() *limit.History { return d.lineOf("a") }

func (d *desk) lineOf(batch string) *limit.History {
	d.lines++
	return &limit.History{Batch: batch, Line: d.lines}
}

// call is a call in flight.
type call struct {
	desk   *desk
	permit limit.Permit
	line   *limit.History
}

// begin takes a permit, which must be had, and starts the call of a line.
func (d *desk) begin(h *limit.History) *call {
	d.t.Helper()
	p, wait, ok := d.gate.Take(d.now)
	if !ok {
		d.t.Fatalf("no permit: %+v", wait)
	}
	return d.start(p, h)
}

// start starts the call of a line with a permit.
func (d *desk) start(p limit.Permit, h *limit.History) *call {
	c := &call{desk: d, permit: p, line: h}
	c.permit.Start(d.now, h)
	return c
}

// ends ends the call at the desk's time.
func (c *call) ends(s *limit.Signal) limit.Verdict {
	return c.permit.Done(c.desk.now, c.line, s, func() limit.Queue { return c.desk.queue })
}

// send makes a call of one millisecond.
func (d *desk) send(h *limit.History, s *limit.Signal) limit.Verdict {
	d.t.Helper()
	c := d.begin(h)
	d.pass(time.Millisecond)
	return c.ends(s)
}

// serve has so many fresh lines served, one after the other.
func (d *desk) serve(n int) {
	d.t.Helper()
	for range n {
		d.send(d.line(), served())
	}
}

// beginMany starts calls of so many fresh lines.
func (d *desk) beginMany(n int) []*call {
	d.t.Helper()
	calls := make([]*call, n)
	for i := range calls {
		calls[i] = d.begin(d.line())
	}
	return calls
}

// endAll ends calls alike.
func endAll(calls []*call, s *limit.Signal) {
	for _, c := range calls {
		c.ends(s)
	}
}

// closeGate has every place of the gate, and at least 21 lines, end in this way.
func (d *desk) closeGate(s *limit.Signal) {
	d.t.Helper()
	for range 21 {
		if d.gate.Closed() {
			return
		}
		endAll(d.beginMany(d.gate.Limit()), s)
	}
	d.t.Fatalf("still open after %+v to everybody", s)
}

// mustWait asks for a permit, which must not be had, and returns why.
func (d *desk) mustWait() limit.Wait {
	d.t.Helper()
	_, wait, ok := d.gate.Take(d.now)
	if ok {
		d.t.Fatal("granted, want none")
	}
	return wait
}

// untilProbe lets time pass until the closed gate's next probe, and returns how long that was.
func (d *desk) untilProbe() time.Duration {
	d.t.Helper()
	wait := d.mustWait()
	if wait.Next.IsZero() {
		d.t.Fatalf("no time is named: %+v", wait)
	}
	pause := wait.Next.Sub(d.now)
	d.now = wait.Next
	return pause
}

// wantLimit checks the limit and whether the gate is closed.
func (d *desk) wantLimit(limit int, closed bool) {
	d.t.Helper()
	if d.gate.Limit() != limit || d.gate.Closed() != closed {
		d.t.Errorf("limit %d, closed %v; want %d, %v", d.gate.Limit(), d.gate.Closed(), limit, closed)
	}
}

func served() *limit.Signal    { return &limit.Signal{Kind: limit.Served, Status: 200} }
func answered() *limit.Signal  { return &limit.Signal{Kind: limit.Answered, Status: 400} }
func abandoned() *limit.Signal { return &limit.Signal{Kind: limit.Abandoned} }

func denied(status int) *limit.Signal {
	return &limit.Signal{Kind: limit.Denied, Status: status, Reason: limit.ReasonDenied}
}

func broken() *limit.Signal {
	return &limit.Signal{Kind: limit.Broken, Status: 500, Reason: limit.ReasonFailing}
}

func lost() *limit.Signal {
	return &limit.Signal{Kind: limit.Broken, Lost: true, Reason: limit.ReasonFailing}
}

func noRoom(status int, retryAfter time.Duration) *limit.Signal {
	return &limit.Signal{Kind: limit.NoRoom, Status: status, Reason: limit.ReasonNoRoom, RetryAfter: retryAfter}
}

func unreachable() *limit.Signal {
	return &limit.Signal{Kind: limit.Unreachable, Reason: limit.ReasonUnreachable, Detail: "refused"}
}
