package limit_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"batchd/internal/limit"
)

// longest is the longest Retry-After of a random world, and longer than any other pause of a closed gate.
const longest = 2 * time.Minute

// world is an address of several gates whose calls begin and end at random.
type world struct {
	now     time.Time
	address *limit.Address
	gates   []*limit.Gate
	calls   []flight
	put     []*limit.History
	lines   uint32
	// usual is how most calls end.
	usual *limit.Signal
}

// flight is a call in flight through one of the gates.
type flight struct {
	gate   int
	permit limit.Permit
	line   *limit.History
}

func newWorld(t *rapid.T) *world {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	w := &world{usual: served(), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	w.address = limit.NewAddress(rapid.IntRange(1, 40).Draw(t, "cap"), random.Float64)
	for range rapid.IntRange(1, 3).Draw(t, "gates") {
		o := limit.Options{Concurrency: rapid.IntRange(0, 40).Draw(t, "concurrency"), Rand: random}
		w.gates = append(w.gates, limit.NewGate(w.address, o))
	}
	return w
}

// line draws a line that was never tried, or one that was put off.
func (w *world) line(t *rapid.T) *limit.History {
	if n := len(w.put); n > 0 && rapid.Bool().Draw(t, "put off") {
		i := rapid.IntRange(0, n-1).Draw(t, "which")
		h := w.put[i]
		w.put = append(w.put[:i], w.put[i+1:]...)
		return h
	}
	w.lines++
	return &limit.History{
		Batch: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "batch"), Line: w.lines, Small: rapid.Bool().Draw(t, "small"),
	}
}

// weather draws how most calls end from now on.
func (w *world) weather(t *rapid.T) { w.usual = signal(t) }

// news has a batch arrive and another go.
func (w *world) news(t *rapid.T) {
	g := w.gates[w.gate(t)]
	g.Arrived(w.now)
	g.Forget(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "gone"))
}

// signal draws how a call ends.
func signal(t *rapid.T) *limit.Signal {
	s := rapid.SampledFrom([]*limit.Signal{
		served(), served(), served(), answered(), denied(403), denied(401), broken(), lost(), noRoom(429, 0), noRoom(503, 0),
		unreachable(), abandoned(),
	}).Draw(t, "signal")
	if s.Kind == limit.NoRoom && rapid.Bool().Draw(t, "retry after") {
		s.RetryAfter = time.Duration(rapid.Int64Range(1, int64(longest)).Draw(t, "for"))
	}
	return s
}

func (w *world) gate(t *rapid.T) int { return rapid.IntRange(0, len(w.gates)-1).Draw(t, "gate") }

// take asks a gate for calls, and checks what it says.
func (w *world) take(t *rapid.T) {
	i := w.gate(t)
	for range rapid.IntRange(1, 20).Draw(t, "calls") {
		g := w.gates[i]
		p, wait, ok := g.Take(w.now)
		if !ok {
			w.checkWait(t, g, wait)
			return
		}
		if !g.Closed() && g.InFlight() >= g.Limit() {
			t.Fatalf("granted with %d in flight and a limit of %d", g.InFlight(), g.Limit())
		}
		w.start(t, i, p)
	}
}

func (w *world) start(t *rapid.T, i int, p limit.Permit) {
	h := w.line(t)
	if !w.gates[i].MayCarry(h) {
		w.put = append(w.put, h)
		w.lines++
		h = &limit.History{Batch: "a", Line: w.lines}
	}
	w.calls = append(w.calls, flight{gate: i, permit: p, line: h})
	w.calls[len(w.calls)-1].permit.Start(w.now, h)
}

// checkWait checks a refused call: whoever waits is told until when, or waits for a call that is in flight.
func (w *world) checkWait(t *rapid.T, g *limit.Gate, wait limit.Wait) {
	switch {
	case wait.Reason == "":
		t.Fatal("refused without a reason")
	case wait.Next.IsZero():
		if len(w.calls) == 0 {
			t.Fatalf("nothing is in flight, and no time is named: %+v", wait)
		}
	case !wait.Next.After(w.now) || wait.Next.Sub(w.now) > longest:
		t.Fatalf("at %s: %+v", w.now, wait)
	}
	if len(w.calls) == 0 && !g.Closed() && wait.Reason != limit.ReasonNoRoom {
		t.Fatalf("open, nothing is in flight, no lull: %+v", wait)
	}
}

func (w *world) takeProven(t *rapid.T) {
	i := w.gate(t)
	if p, ok := w.gates[i].TakeProven(w.now); ok {
		w.start(t, i, p)
	}
}

// end ends calls alike.
func (w *world) end(t *rapid.T) {
	s := w.usual
	if rapid.IntRange(0, 4).Draw(t, "unusual") == 0 {
		s = signal(t)
	}
	for range rapid.IntRange(1, 20).Draw(t, "ends") {
		if len(w.calls) == 0 {
			return
		}
		i := rapid.IntRange(0, len(w.calls)-1).Draw(t, "call")
		c := w.calls[i]
		w.calls = append(w.calls[:i], w.calls[i+1:]...)
		v := c.permit.Done(w.now, c.line, s, func() limit.Queue {
			return limit.Queue{Left: rapid.IntRange(1, 40).Draw(t, "left"), Fresh: rapid.Bool().Draw(t, "fresh")}
		})
		w.checkVerdict(t, c.line, s, v)
	}
}

func (w *world) checkVerdict(t *rapid.T, h *limit.History, s *limit.Signal, v limit.Verdict) {
	switch final := s.Kind == limit.Served || s.Kind == limit.Answered; {
	case final && !v.Final, v.Poison && (!v.Final || !s.Lost), !v.Final && v.Pause <= 0, v.Pause > longest:
		t.Fatalf("%+v: %+v", s, v)
	case v.Final && s.Kind == limit.Unreachable:
		t.Fatal("an unreachable line is given up")
	case !v.Final:
		w.put = append(w.put, h)
	}
}

func (w *world) pass(t *rapid.T) {
	w.now = w.now.Add(time.Duration(rapid.SampledFrom([]int64{1, 50, 1000, 10_000, 60_000, 900_000}).Draw(t, "ms")) * time.Millisecond)
}

func (w *world) lull(t *rapid.T) {
	g := w.gates[w.gate(t)]
	if rapid.Bool().Draw(t, "hold") {
		g.Hold(w.now, 10*time.Second)
	} else {
		g.Unhold(w.now)
	}
}

// check holds after every step.
func (w *world) check(t *rapid.T) {
	sum := 0
	for i, g := range w.gates {
		n := 0
		for _, c := range w.calls {
			if c.gate == i {
				n++
			}
		}
		if g.InFlight() != n || g.Limit() < 1 {
			t.Fatalf("gate %d says %d in flight of %d, want %d", i, g.InFlight(), g.Limit(), n)
		}
		sum += n
	}
	if a := w.address; a.InFlight() != sum || sum > a.Cap() {
		t.Fatalf("the address says %d in flight of %d, want %d", a.InFlight(), a.Cap(), sum)
	}
}

func TestNoPermitIsLeakedAndNobodyWaitsForNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		steps := []func(*rapid.T){w.take, w.take, w.take, w.end, w.end, w.end, w.pass, w.pass, w.weather, w.takeProven, w.lull, w.news}
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			rapid.SampledFrom(steps).Draw(t, "step")(t)
			w.check(t)
		}
	})
}
