package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// world is what a simulation is made of.
type world struct {
	upstreams   []upstreamSpec
	batches     []batchSpec
	keepSeconds bool
}

// batchSpec describes a batch of a simulated world.
type batchSpec struct {
	lines int
	// at is when it arrives, window how long it has from there; 24 h if zero.
	at, window time.Duration
	// bad says which lines get wrong instead of an answer, always.
	bad   func(line, total int) bool
	wrong answer
	// once is what each line gets at its first try, if set.
	once *answer
	// models are its models, in blocks of lines; one if empty.
	models []string
}

// unitLines is how many lines a unit of a simulated batch has.
const unitLines = 1000

// simLine is the state of one line.
type simLine struct {
	bad, inFlight, settled, served bool
	tries                          int32
	size                           int32
}

// simBatch is a batch of a simulation, and what became of it.
type simBatch struct {
	id     string
	spec   *batchSpec
	models []string
	lines  []simLine
	units  []*simUnit
	next   int
	job    *job

	over, stopped   bool
	good, unsettled int
	// lost counts good lines that were given up, failed calls without a result.
	lost, failed int
	// ended is when the last line got its outcome, lastGood when the last good one was served, most when 99 % of them were,
	// all in time since the start.
	ended, lastGood, most time.Duration
	goodServed            int
	// lastOf is when the last line of each model was served.
	lastOf map[string]time.Duration
	// openGood and openBad are the lines without an outcome at the end of the window.
	openGood, openBad int
}

func newSimBatch(spec *batchSpec, i int) *simBatch {
	b := &simBatch{id: fmt.Sprintf("batch%d", i), spec: spec, models: spec.models, lines: make([]simLine, spec.lines), unsettled: spec.lines, lastOf: make(map[string]time.Duration)}
	if len(b.models) == 0 {
		b.models = []string{"m"}
	}
	for n := range b.lines {
		b.lines[n].bad = spec.bad != nil && spec.bad(n, spec.lines)
		if !b.lines[n].bad {
			b.good++
		}
	}
	share := (spec.lines + len(b.models) - 1) / len(b.models)
	for m, model := range b.models {
		for first := m * share; first < min((m+1)*share, spec.lines); first += unitLines {
			b.units = append(b.units, &simUnit{
				batch: b, ordinal: len(b.units), model: model, at: first, end: min(first+unitLines, (m+1)*share, spec.lines),
			})
		}
	}
	for _, u := range b.units {
		u.left = u.end - u.at
	}
	return b
}

func (b *simBatch) window() time.Duration {
	if b.spec.window == 0 {
		return 24 * time.Hour
	}
	return b.spec.window
}

// leaseUnits returns the next n units, of some models if any are named.
func (b *simBatch) leaseUnits(models []int, n int) []Unit {
	var leased []Unit
	for _, u := range b.units {
		wanted := len(models) == 0 || slices.Contains(models, slices.Index(b.models, u.model))
		if wanted && !u.leased && b.job.stop == batch.StopNone && len(leased) < n {
			u.leased = true
			leased = append(leased, u)
		}
	}
	return leased
}

// settle notes that a line has its outcome.
func (b *simBatch) settle(s *simulation, c *simCall) {
	l := &b.lines[c.line.Number]
	if l.settled {
		panic("a line got a second outcome")
	}
	l.settled = true
	s.settledLines++
	if b.stopped {
		return
	}
	served := c.answer.good()
	l.served = served
	switch {
	case served:
		s.served++
		s.count(&s.servedIn)
		b.goodServed++
		b.lastGood = s.since()
		b.lastOf[c.unit.Model()] = b.lastGood
		if b.goodServed == b.good-b.good/100 {
			b.most = s.since()
		}
	case !l.bad:
		b.lost++
	}
	if b.unsettled--; b.unsettled == 0 {
		b.ended = s.since()
		b.end(s)
	}
}

// end notes that nothing more comes for the batch.
func (b *simBatch) end(s *simulation) {
	if b.over {
		return
	}
	b.over = true
	s.open--
	for i := range b.lines {
		switch l := &b.lines[i]; {
		case l.settled:
		case l.bad:
			b.openBad++
		default:
			b.openGood++
		}
	}
	if b.unsettled > 0 {
		b.ended = s.since()
	}
}

// simUnit is a unit of a simulated batch.
type simUnit struct {
	batch   *simBatch
	ordinal int
	model   string
	// at is the next line to take, end the one behind the last, left how many have no outcome.
	at, end, left int
	leased        bool
}

func (u *simUnit) ID() batch.UnitID { return batch.UnitID{Batch: u.batch.id, Ordinal: u.ordinal} }
func (u *simUnit) Model() string    { return u.model }
func (u *simUnit) Left() int        { return u.left }
func (u *simUnit) line(n int) Line  { return Line{Number: uint32(n), Length: 100} }

// Controls takes the lines that are kept back.
func (u *simUnit) Controls() []Line {
	var kept []Line
	for n := u.at; n < u.end; n++ {
		if u.kept(n) {
			kept = append(kept, u.line(n))
		}
	}
	u.skip()
	return kept
}

func (u *simUnit) kept(n int) bool { return KeptBack(int64(n), int64(len(u.batch.lines))) }

// skip passes over the lines that are kept back, from both ends.
func (u *simUnit) skip() {
	for u.at < u.end && u.kept(u.at) {
		u.at++
	}
	for u.at < u.end && u.kept(u.end-1) {
		u.end--
	}
}

// TakeLast returns the last line.
func (u *simUnit) TakeLast() (Line, bool) {
	if u.at >= u.end {
		return Line{}, false
	}
	u.end--
	n := u.end
	u.skip()
	return u.line(n), true
}

// Take returns the next line.
func (u *simUnit) Take() (Line, bool) {
	if u.at >= u.end {
		return Line{}, false
	}
	n := u.at
	u.at++
	u.skip()
	return u.line(n), true
}

func (u *simUnit) Untaken() bool { return u.at < u.end }

func (u *simUnit) Load(context.Context, Line) (Loaded, error) { panic("not in a simulation") }

func (u *simUnit) Record(uint32, []byte, *batch.Outcome) (int, error) {
	panic("not in a simulation")
}

func (u *simUnit) Seal(context.Context, batch.Stop, map[uint32]string) (store.SealResult, error) {
	panic("not in a simulation")
}
