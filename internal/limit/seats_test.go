package limit_test

import (
	"math"
	"math/rand/v2"
	"time"

	"batchd/internal/limit"
)

// seats is an engine in virtual time: so many calls are served at a time, others wait in a queue without end or are
// refused when it is full. Each dispatcher keeps as many calls in flight as its gate allows, from lines without end.
type seats struct {
	now     time.Time
	n       int
	queue   int // how many may wait; -1 for any number
	mean    time.Duration
	sigma   float64
	tokens  bool    // answers say how many tokens they hold
	broken  float64 // what share of the calls fails
	rand    *rand.Rand
	events  []event
	order   int
	waiting []*seated
	head    int
	busy    int
	who     []*dispatcher
	plan    []func() // what happens later, by number in events
	slow    float64  // with so many seats busy a call takes twice as long as alone; 0 for never
	online  int      // seats that others take, before anybody else

	// work is the time that seats were busy, asked the time that there were any, flight that of calls in flight, each in
	// seconds and since the last look.
	work, asked, flight float64
	peak, inFlight      int
	served, refused     int
	last                time.Time
}

type dispatcher struct {
	engine *seats
	gate   *limit.Gate
	wake   time.Time
	line   uint32
	// served counts answers since the last look; inFlight is bounded by most, besides the gate.
	served, inFlight, most int
}

// start is when the seats are taken first.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

type seated struct {
	d       *dispatcher
	permit  limit.Permit
	history limit.History
	service time.Duration
}

type event struct {
	at      time.Time
	order   int
	c       *seated
	d       *dispatcher
	refused bool
	plan    int
}

// newSeats returns an engine of n seats with calls of mean length.
func newSeats(n, queue int, mean time.Duration, seed uint64) *seats {
	return &seats{
		now: start, last: start, n: n, queue: queue, mean: mean, sigma: 0.6, rand: rand.New(rand.NewPCG(seed, 77)),
	}
}

// dispatch adds a dispatcher with a gate of its own.
func (s *seats) dispatch(concurrency int) *dispatcher {
	return s.dispatchWith(limit.Options{Concurrency: concurrency})
}

func (s *seats) dispatchWith(o limit.Options) *dispatcher {
	o.Rand = s.rand
	d := &dispatcher{engine: s, most: math.MaxInt, gate: limit.NewGate(limit.NewAddress(limit.AutoMost, s.rand.Float64), o)}
	s.who = append(s.who, d)
	return d
}

// after plans what happens later.
func (s *seats) after(d time.Duration, f func()) {
	s.plan = append(s.plan, f)
	s.push(event{at: s.now.Add(d), plan: len(s.plan)})
}

// read hands the dispatchers a reading of the engine's load every two seconds, for as long as reads returns true.
func (s *seats) read(reads func() bool) {
	s.after(2*time.Second, func() {
		if reads() {
			l := limit.EngineLoad{Running: s.busy, Waiting: len(s.waiting) - s.head, KVUsage: -1, At: s.now}
			for _, d := range s.who {
				d.gate.Load(s.now, l, 1)
				d.fill()
			}
		}
		s.read(reads)
	})
}

// run lets time pass and returns how busy the seats were, and how many calls were in flight on average.
func (s *seats) run(d time.Duration) (share, inFlight float64) {
	end := s.now.Add(d)
	s.count()
	s.work, s.asked, s.flight, s.served, s.refused = 0, 0, 0, 0, 0
	for _, d := range s.who {
		d.served = 0
		d.fill()
	}
	for len(s.events) > 0 && !s.events[0].at.After(end) {
		s.step()
	}
	s.now = end
	s.count()
	return s.work / s.asked, s.flight / d.Seconds()
}

// until lets time pass until the seats are as busy as share for a second or a mean call, whichever is more, but no
// longer than most, and returns how much time.
func (s *seats) until(share float64, most time.Duration) time.Duration {
	began, step := s.now, max(time.Second, s.mean)
	for s.now.Sub(began) < most {
		if got, _ := s.run(step); got >= share {
			break
		}
	}
	return s.now.Sub(began)
}

// count enters the time since the last look into the sums.
func (s *seats) count() {
	passed := s.now.Sub(s.last).Seconds()
	s.last = s.now
	s.work += passed * float64(min(s.busy, s.n))
	s.asked += passed * float64(s.n)
	s.flight += passed * float64(s.inFlight)
}

// step lets the next event happen.
func (s *seats) step() {
	e := s.pop()
	s.now = e.at
	switch {
	case e.plan > 0:
		s.count()
		s.plan[e.plan-1]()
		s.seat()
	case e.c != nil:
		s.end(e.c, e.refused)
	default:
		e.d.fill()
	}
}

// end ends a call, and gives its seat away.
func (s *seats) end(c *seated, refused bool) {
	s.count()
	s.inFlight--
	c.d.inFlight--
	signal := limit.Signal{Kind: limit.NoRoom, Status: 429, Reason: limit.ReasonNoRoom}
	if refused {
		s.refused++
	} else {
		s.busy--
		s.seat()
		signal = s.answer(c)
	}
	c.permit.Done(s.now, &c.history, &signal, func() limit.Queue { return limit.Queue{Left: 1 << 20, Fresh: true} })
	c.d.fill()
}

// answer is what a call that had a seat ends with.
func (s *seats) answer(c *seated) limit.Signal {
	if s.broken > 0 && s.rand.Float64() < s.broken {
		return limit.Signal{Kind: limit.Broken, Status: 500, Reason: limit.ReasonFailing}
	}
	s.served++
	c.d.served++
	signal := limit.Signal{Kind: limit.Served, Status: 200}
	if s.tokens {
		signal.OutputTokens = 1 + int64(c.service/(5*time.Millisecond))
	}
	return signal
}

// seat gives free seats to what waits.
func (s *seats) seat() {
	for s.busy < s.n-s.online && s.head < len(s.waiting) {
		c := s.waiting[s.head]
		s.head++
		s.busy++
		s.push(event{at: s.now.Add(s.slowed(c.service)), c: c})
	}
	if s.head == len(s.waiting) {
		s.waiting, s.head = s.waiting[:0], 0
	} else if s.head > 4096 {
		s.waiting, s.head = append(s.waiting[:0], s.waiting[s.head:]...), 0
	}
}

// slowed is how long a call takes that starts now.
func (s *seats) slowed(d time.Duration) time.Duration {
	if s.slow > 0 {
		return time.Duration(float64(d) * (1 + float64(s.busy)/s.slow))
	}
	return d
}

// fill starts as many calls as the gate allows.
func (d *dispatcher) fill() {
	s := d.engine
	for d.inFlight < d.most {
		p, wait, ok := d.gate.Take(s.now)
		if !ok {
			if !wait.Next.IsZero() && (!d.wake.After(s.now) || wait.Next.Before(d.wake)) {
				d.wake = wait.Next
				s.push(event{at: wait.Next, d: d})
			}
			return
		}
		d.line++
		c := &seated{d: d, permit: p, history: limit.History{Batch: "batch", Line: d.line}}
		c.permit.Start(s.now, &c.history)
		s.arrive(c)
	}
}

// arrive lets a call in, or refuses it.
func (s *seats) arrive(c *seated) {
	s.count()
	s.inFlight++
	c.d.inFlight++
	s.peak = max(s.peak, s.inFlight)
	length := math.Exp(s.rand.NormFloat64()*s.sigma - s.sigma*s.sigma/2)
	c.service = time.Duration(length * float64(s.mean))
	if s.queue >= 0 && s.busy >= s.n && len(s.waiting)-s.head >= s.queue {
		s.push(event{at: s.now.Add(5 * time.Millisecond), c: c, refused: true})
		return
	}
	s.waiting = append(s.waiting, c)
	s.seat()
}

// push and pop keep the events in a heap.
func (s *seats) push(e event) {
	s.order++
	e.order = s.order
	s.events = append(s.events, e)
	for i := len(s.events) - 1; i > 0 && s.events[i].before(&s.events[(i-1)/2]); i = (i - 1) / 2 {
		s.events[i], s.events[(i-1)/2] = s.events[(i-1)/2], s.events[i]
	}
}

func (s *seats) pop() event {
	top, n := s.events[0], len(s.events)-1
	s.events[0] = s.events[n]
	s.events = s.events[:n]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < n; child++ {
			if s.events[child].before(&s.events[least]) {
				least = child
			}
		}
		if least == i {
			return top
		}
		s.events[i], s.events[least] = s.events[least], s.events[i]
		i = least
	}
}

func (e *event) before(other *event) bool {
	if e.at.Equal(other.at) {
		return e.order < other.order
	}
	return e.at.Before(other.at)
}
