package limit

import (
	"math/rand/v2"
	"testing"
	"time"
)

// bench is a gate of 64 places whose parts a test can look at.
type bench struct {
	gate  *Gate
	now   time.Time
	lines uint32
}

func newBench() *bench {
	random := rand.New(rand.NewPCG(1, 2))
	return &bench{
		gate: NewGate(NewAddress(64, random.Float64), Options{Concurrency: 64, Rand: random}),
		now:  time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

// begin starts the call of a fresh line.
func (b *bench) begin(t *testing.T) (*Permit, *History) {
	t.Helper()
	b.lines++
	h := &History{Batch: "a", Line: b.lines}
	return b.retry(t, h), h
}

func (b *bench) retry(t *testing.T, h *History) *Permit {
	t.Helper()
	p, wait, ok := b.gate.Take(b.now)
	if !ok {
		t.Fatalf("no permit: %+v", wait)
	}
	p.Start(b.now, h)
	return &p
}

func (b *bench) end(p *Permit, h *History, s Signal) Verdict {
	b.now = b.now.Add(time.Millisecond)
	return p.Done(b.now, h, &s, func() Queue { return Queue{Left: 1000, Fresh: true} })
}

func (b *bench) want(t *testing.T, limit, ceiling, cautious int) {
	t.Helper()
	r := &b.gate.room
	if r.limit != limit || r.ceiling != ceiling || r.cautious != cautious {
		t.Errorf("limit %d, ceiling %d, k %d; want %d, %d, %d", r.limit, r.ceiling, r.cautious, limit, ceiling, cautious)
	}
}

func TestARefusedLineThatProvesToBeAtFaultGivesItsPlaceBackOnce(t *testing.T) {
	t.Parallel()
	b := newBench()
	var permits []*Permit
	var lines []*History
	for range 64 {
		p, h := b.begin(t)
		permits, lines = append(permits, p), append(lines, h)
	}
	for i := range 8 {
		b.end(permits[i], lines[i], Signal{Kind: NoRoom, Status: 429})
	}
	b.want(t, 56, 56, 1)
	b.gate.room.cautious = 4
	for i := 8; i < 64; i++ {
		b.end(permits[i], lines[i], Signal{Kind: Abandoned})
	}
	for range 3 {
		p, h := b.begin(t)
		b.end(p, h, Signal{Kind: Served})
		b.end(b.retry(t, lines[0]), lines[0], Signal{Kind: NoRoom, Status: 429})
		b.want(t, 57, 57, 2)
	}
}

func TestARefusalThatLoweredNothingGivesNothingBack(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.gate.room.chronic.until = b.now.Add(time.Second)
	p, bad := b.begin(t)
	b.end(p, bad, Signal{Kind: NoRoom, Status: 429})
	b.want(t, 64, 0, 1)

	b.now = b.now.Add(time.Second)
	b.gate.room.limit, b.gate.room.ceiling, b.gate.room.cautious = 20, 20, 8
	p, h := b.begin(t)
	b.end(p, h, Signal{Kind: Served})
	b.end(b.retry(t, bad), bad, Signal{Kind: NoRoom, Status: 429})
	b.want(t, 20, 20, 8)
}

func TestRefusalsThatAreIgnoredCloseNoGate(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.gate.room.chronic.until = b.now.Add(time.Minute)
	b.gate.room.chronic.usual = 0.25
	for range 25 {
		p, h := b.begin(t)
		b.end(p, h, Signal{Kind: NoRoom, Status: 429, RetryAfter: time.Minute})
	}
	if b.gate.Closed() {
		t.Error("closed")
	}
	for range 64 { // now all of a window were refused: that is about something else
		if b.gate.Closed() {
			return
		}
		p, h := b.begin(t)
		b.end(p, h, Signal{Kind: NoRoom, Status: 429})
	}
	t.Error("never closed though everybody is refused")
}

func TestAClosingLeavesTheCeilingOfBeforeItsRun(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]Signal{"no room": {Kind: NoRoom, Status: 503}, "broken": {Kind: Broken, Status: 500}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench()
			b.gate.room.ceiling = 50
			for range 30 {
				if b.gate.Closed() {
					break
				}
				p, h := b.begin(t)
				b.end(p, h, s)
			}
			b.now = b.now.Add(2 * time.Second)
			p, h := b.begin(t)
			b.end(p, h, Signal{Kind: Served})
			b.want(t, 32, 50, 1)
		})
	}
}

func TestAGateOpensAtHalfAtOnceHoweverLowItWas(t *testing.T) {
	t.Parallel()
	b := newBench()
	for range 2 {
		p, h := b.begin(t)
		b.end(p, h, Signal{Kind: NoRoom, Status: 503})
	}
	b.now = b.now.Add(2 * time.Second)
	p, h := b.begin(t)
	b.end(p, h, Signal{Kind: Served})
	for range 32 {
		b.begin(t)
	}
}

func TestOnlyAnswersWithEveryPlaceOfTheCeilingTakenForgetIt(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.gate.room.limit, b.gate.room.ceiling = 2, 2
	p, h := b.begin(t)
	b.end(p, h, Signal{Kind: Served})
	if n := b.gate.room.calm.answers; n != 0 {
		t.Errorf("%d answers count with one of two places taken", n)
	}
	p, h = b.begin(t)
	b.begin(t)
	b.end(p, h, Signal{Kind: Served})
	if n := b.gate.room.calm.answers; n != 1 {
		t.Errorf("%d answers count, want the one with both places taken", n)
	}
}

func TestALimitThatGrowsIsNotUsedAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.gate.room.limit = 8
	for range 8 {
		b.begin(t)
	}
	b.gate.room.limit = 64
	_, wait, ok := b.gate.Take(b.now)
	if ok || wait.Reason != ReasonConcurrency || !wait.Next.After(b.now) || b.gate.Limit() != 8 {
		t.Fatalf("granted %v, %+v, limit %d; want to wait a little", ok, wait, b.gate.Limit())
	}
	b.now = wait.Next
	b.begin(t)
	b.now = b.now.Add(time.Second)
	for n := range 20 {
		if _, _, ok := b.gate.Take(b.now); !ok {
			if n != 3 && n != 4 {
				t.Errorf("%d more after a second without a call, want no more than one step", n)
			}
			return
		}
		b.begin(t)
	}
	t.Error("grown at once")
}

func TestARunIsToldFromItsThirdLineOn(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var c closing
	for n := range uint32(3) {
		if _, told := c.condition(); told {
			t.Fatalf("told after %d lines", n)
		}
		c.fail(moment{at: now.Add(time.Duration(n) * time.Second)}, moment{}, lineKey{"a", n}, &Signal{
			Kind: NoRoom, Status: 429 + int(n), Reason: ReasonNoRoom, Code: "full", Message: "come again",
		})
	}
	want := Condition{Reason: ReasonNoRoom, Since: now, Status: 431, Code: "full", Message: "come again", Batch: "a"}
	if got, told := c.condition(); !told || got != want {
		t.Errorf("told %v: %+v, want %+v", told, got, want)
	}
	c.close(moment{at: now}, 0.5)
	want.Next = now.Add(time.Second)
	if got, _ := c.condition(); got != want {
		t.Errorf("closed: %+v, want %+v", got, want)
	}
	c.probing, want.Next = true, time.Time{}
	if got, _ := c.condition(); got != want {
		t.Errorf("probing: %+v, want %+v", got, want)
	}
	later := now.Add(time.Minute)
	c.fail(moment{at: later}, moment{}, lineKey{"a", 9}, &Signal{Kind: Broken, Status: 500, Reason: ReasonFailing})
	if got, _ := c.condition(); got.Reason != ReasonFailing || !got.Since.Equal(later) || got.Message != "" {
		t.Errorf("told %+v, want what it is about since %s", got, later)
	}
	c.served(moment{at: later})
	if got, told := c.condition(); told {
		t.Errorf("told though it is over: %+v", got)
	}
}

func TestARunIsBounded(t *testing.T) {
	t.Parallel()
	var c closing
	for n := range uint32(1000) {
		c.fail(moment{}, moment{}, lineKey{"a", n}, &Signal{Kind: Broken})
	}
	if len(c.run) < runToLower || len(c.run) > 2*runToLower {
		t.Errorf("%d lines are kept", len(c.run))
	}
}

func TestALineRestsNoLongerThanEightSecondsWhereRefusalsPass(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		chronic   bool
		recovered int
		want      time.Duration
	}{
		"they pass":                {true, chanceLines, 8 * time.Second},
		"none recovered":           {true, 0, 16 * time.Second},
		"they may be about room":   {false, chanceLines, 16 * time.Second},
		"nothing is known of them": {false, 0, 16 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench()
			if c.chronic {
				b.gate.room.chronic.until = b.now.Add(time.Hour)
			}
			b.gate.chances[classNoRoom] = chance{lines: c.recovered, last: b.now}
			p, h := b.begin(t)
			v := b.end(p, h, Signal{Kind: NoRoom, Status: 429})
			for range 4 {
				v = b.end(b.retry(t, h), h, Signal{Kind: NoRoom, Status: 429})
			}
			if v.Pause != c.want {
				t.Errorf("rests for %s after five tries, want %s", v.Pause, c.want)
			}
		})
	}
}
