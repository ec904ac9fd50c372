package batching

import (
	"errors"
	"time"
)

// tick is the longest iteration of Seats, so that a scenario gets to look at it often.
const tick = 10 * time.Millisecond

// SeatOptions configures Seats.
type SeatOptions struct {
	// Seats is how many calls run at a time.
	Seats int
	// Queue is how many calls may wait for a seat; one more is refused. 0: none, below 0: no limit.
	Queue int
	// ByPriority orders the queue by Request.Priority instead of by arrival alone.
	ByPriority bool
	// Room changes Seats by a timetable. Calls that hold a seat keep it when there are fewer.
	Room []Level
}

// Seats is an engine of so many seats, of which a call holds one for its Service time. It is not safe for concurrent
// use.
type Seats struct {
	opts    SeatOptions
	last    ID
	waiting heap[Call]
	running heap[seated]
	counts  Gauges
	waits   firstTokens
	out     Iteration
}

// seated is a call that holds a seat until a time.
type seated struct {
	Call
	until time.Duration
}

// NewSeats returns an idle engine. The error names the option that is wrong.
func NewSeats(opts SeatOptions) (*Seats, error) {
	if opts.Seats < 1 {
		return nil, errors.New("option Seats is below one")
	}
	if err := checkLevels("Room", opts.Room); err != nil {
		return nil, err
	}
	s := &Seats{opts: opts}
	s.waiting.before = func(a, b *Call) bool { return before(a, b, opts.ByPriority) }
	s.running.before = func(a, b *seated) bool {
		return a.until < b.until || (a.until == b.until && a.ID < b.ID)
	}
	return s, nil
}

// Submit puts a call into the queue at a time that is not before the last Step's; the next Step looks at it. The error
// is ErrQueueFull or ErrNeverFits, and then nothing of it is kept.
func (s *Seats) Submit(now time.Duration, r Request) (ID, error) {
	if r.Service <= 0 || r.OutputTokens < 0 {
		return 0, ErrNeverFits
	}
	free := max(0, s.seats(now)-len(s.running.items))
	if s.opts.Queue >= 0 && len(s.waiting.items) >= s.opts.Queue+free {
		s.counts.Refused++
		return 0, ErrQueueFull
	}
	s.last++
	s.waiting.push(Call{ID: s.last, Request: r, Arrived: now})
	return s.last, nil
}

func (s *Seats) seats(now time.Duration) int { return scaled(s.opts.Seats, factorAt(s.opts.Room, now)) }

// Step gives free seats to the queue and goes on to the next end of a call, or for ten milliseconds if there is none
// before. A service begins at the time given here, which must not be before the end of the last Step.
func (s *Seats) Step(now time.Duration) Iteration {
	s.out.First, s.out.Finished = s.out.First[:0], s.out.Finished[:0]
	for seats := s.seats(now); len(s.running.items) < seats && len(s.waiting.items) > 0; {
		c := s.waiting.pop()
		s.waits.add(&c, now)
		s.out.First = append(s.out.First, c)
		s.running.push(seated{c, now + c.Request.Service})
	}
	end := now + tick
	if len(s.running.items) > 0 {
		end = max(now, min(end, s.running.items[0].until))
	}
	for len(s.running.items) > 0 && s.running.items[0].until <= end {
		c := s.running.pop()
		s.counts.Finished++
		s.counts.OutputTokens += int64(c.Request.OutputTokens)
		s.out.Finished = append(s.out.Finished, c.Call)
	}
	s.out.Took = end - now
	return s.out
}

// Cancel forgets a call, waiting or running, and reports whether it was there.
func (s *Seats) Cancel(id ID) bool {
	return s.running.removeFunc(func(c *seated) bool { return c.ID == id }) ||
		s.waiting.removeFunc(func(c *Call) bool { return c.ID == id })
}

// Gauges returns the state between two steps, at a time not before the last Step's.
func (s *Seats) Gauges(now time.Duration) Gauges {
	g := s.counts
	g.Running, g.Waiting = len(s.running.items), len(s.waiting.items)
	g.KVUsage = share(g.Running, s.seats(now))
	return g
}

// FirstTokens returns the times from arrival to a seat of one class, interactive or not, since the beginning or the
// last Reset of it. It stays the engine's.
func (s *Seats) FirstTokens(interactive bool) *Durations { return s.waits.of(interactive) }
