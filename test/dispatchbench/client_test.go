package dispatchbench

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"batchd/internal/sim/batching"
)

// client sends the lines of an endless batch, as many at a time as its limiter lets it.
type client struct {
	index   int
	limiter limiter
	mix     batching.Mix
	rand    *rand.Rand
	// from is when it comes.
	from time.Duration
	// inFlight counts calls, those that sleep in their place left out.
	inFlight int
	lines    int
	// next is a new line that waits for a place, ready are those that have rested, putOff those that rest or whose refusal
	// is on its way, in order of due.
	next   *call
	ready  []*call
	putOff []*call
}

// call is a line from its first try until it is served.
type call struct {
	client  *client
	line    int
	request batching.Request
	began   time.Duration
	// due is when something happens to a call that was put off: its refusal is told, or it is sent again.
	due     time.Duration
	refused bool
	keeps   bool
}

// wake does what is due for calls that were put off.
func (c *client) wake(w *world) {
	for len(c.putOff) > 0 && c.putOff[0].due <= w.now {
		l := c.putOff[0]
		c.putOff = slices.Delete(c.putOff, 0, 1)
		switch {
		case l.refused:
			c.told(w, l)
		case l.keeps:
			c.submit(w, l)
		default:
			c.ready = append(c.ready, l)
		}
	}
}

// send sends one call if it may, and reports whether it did.
func (c *client) send(w *world) bool {
	if w.now < c.from {
		return false
	}
	l := c.first()
	if !c.limiter.take(w.now, l.line) {
		return false
	}
	if l == c.next {
		c.next = nil
	} else {
		c.ready = c.ready[1:]
	}
	c.submit(w, l)
	return true
}

// first is the call that goes out next: a line that was refused before a new one.
func (c *client) first() *call {
	if len(c.ready) > 0 {
		return c.ready[0]
	}
	if c.next == nil {
		c.lines++
		c.next = &call{client: c, line: c.lines, request: c.mix.Draw(c.rand)}
	}
	return c.next
}

// submit sends a call that has a place.
func (c *client) submit(w *world, l *call) {
	l.began, l.keeps = w.now, false
	c.inFlight++
	id, err := w.engine.Submit(w.now, l.request)
	if err != nil {
		l.refused = true
		c.putAside(l, w.now+refusalTakes)
		return
	}
	w.calls[id] = l
}

// told hands a refusal to the limiter.
func (c *client) told(w *world, l *call) {
	c.inFlight--
	l.refused = false
	w.meter.refused(w.now)
	r := c.limiter.done(w.now, l.line, answer{began: l.began, refused: true})
	l.keeps = r.keeps
	c.putAside(l, w.now+max(r.pause, time.Millisecond))
}

// served hands a good answer to the limiter.
func (c *client) served(w *world, l *call) {
	c.inFlight--
	w.meter.served(w.now, c, l)
	c.limiter.done(w.now, l.line, answer{began: l.began, tokens: l.request.OutputTokens})
}

// putAside puts a call off until a time.
func (c *client) putAside(l *call, due time.Duration) {
	l.due = due
	i, _ := slices.BinarySearchFunc(c.putOff, l, func(a, b *call) int {
		return cmp.Or(cmp.Compare(a.due, b.due), -1) // behind those of the same time
	})
	c.putOff = slices.Insert(c.putOff, i, l)
}
