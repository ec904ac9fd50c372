package dispatch

import (
	"context"
	"math"
	"net/http"
	"slices"
	"time"

	"batchd/internal/limit"
)

// answer is what a simulated upstream says to a call, and how long it takes to say it; 0 is the time of a good answer.
type answer struct {
	signal limit.Signal
	takes  time.Duration
}

func (a *answer) good() bool { return a.signal.Kind == limit.Served }

// Times of answers that are none.
const (
	refusalTakes = 5 * time.Millisecond
	failureTakes = 20 * time.Millisecond
)

// refused is the answer of an upstream that cannot be reached.
var refused = answer{limit.Signal{Kind: limit.Unreachable, Reason: limit.ReasonUnreachable, Detail: "refused"}, refusalTakes}

// status is the answer with an HTTP status, sorted as package upstream does it.
func status(code int) answer {
	s := limit.Signal{Status: code}
	takes := refusalTakes
	switch code {
	case http.StatusOK:
		s.Kind, takes = limit.Served, 0
	case http.StatusBadRequest:
		s.Kind = limit.Answered
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		s.Kind, s.Reason = limit.NoRoom, limit.ReasonNoRoom
	case http.StatusPaymentRequired:
		s.Kind, s.Reason = limit.Denied, limit.ReasonAccount
	case http.StatusNotFound:
		s.Kind, s.Reason = limit.Denied, limit.ReasonMisconfigured
	case http.StatusUnauthorized, http.StatusForbidden:
		s.Kind, s.Reason = limit.Denied, limit.ReasonDenied
	default:
		s.Kind, s.Reason, takes = limit.Broken, limit.ReasonFailing, failureTakes
	}
	return answer{s, takes}
}

// later is a refusal that names a time.
func later(a answer, retryAfter time.Duration) answer {
	a.signal.RetryAfter = retryAfter
	return a
}

// slow is an answer that takes as long as a good one.
func slow(a answer) answer {
	a.takes = 0
	return a
}

// upstreamSpec describes an upstream of a simulated world.
type upstreamSpec struct {
	name string
	// concurrency is Target.Concurrency.
	concurrency int
	// takes is the mean time of a good answer, 100 ms if zero.
	takes  time.Duration
	models []string
	// seats is how many calls run at once, queue how many wait for a seat; what is beyond is refused. 0 seats is no bound.
	seats, queue int
	// seatsAt changes the seats at times.
	seatsAt []seatsAt
	full    answer
	bucket  *bucketSpec
	outages []outage
	// chances are answers that come by chance, to whatever line.
	chances []chanceOf
	// front answers 400 to every n-th line, whatever the engine behind it does.
	front int
}

type seatsAt struct {
	at    time.Duration
	seats int
}

// outage is a time in which every call that begins gets wrong.
type outage struct {
	from, lasts time.Duration
	// up and every make it flap: of each every it is up for so long.
	up, every time.Duration
	// afterCalls, if set, begins it with the call after so many, afterLines once so many lines have an outcome.
	afterCalls, afterLines int
	// model, if set, is the only one concerned.
	model string
	wrong answer
	begun bool
}

type chanceOf struct {
	share float64
	wrong answer
}

// bucketSpec is a rate limit: so many requests and tokens a minute, with room for a burst.
type bucketSpec struct {
	requests, tokens float64
	burst            time.Duration
	// told is set if a refusal says when there will be room.
	told bool
}

// simCall is one call to a simulated upstream.
type simCall struct {
	*assignment
	batch    *simBatch
	upstream *simUpstream
	began    time.Duration
	answer   answer
	// seated is set while the call has one of the upstream's seats.
	seated bool
}

// simUpstream is an upstream of a simulation.
type simUpstream struct {
	spec    upstreamSpec
	seats   int
	running int
	waiting []*simCall
	// inFlight and most are the calls in flight, now and at most.
	inFlight, most, calls int
	// requests and tokens are what the bucket holds, filled at the time of filled.
	requests, tokens float64
	filled           time.Duration
	// busy is how many seconds its seats were taken in all until counted, busyAtLast how many when the last call got one.
	busy, busyAtLast   float64
	counted, lastBegan time.Duration
}

func newSimUpstream(s *simulation, spec upstreamSpec) *simUpstream {
	u := &simUpstream{spec: spec, seats: spec.seats}
	u.spec.outages = slices.Clone(spec.outages)
	if u.spec.takes == 0 {
		u.spec.takes = 100 * time.Millisecond
	}
	for _, change := range spec.seatsAt {
		s.after(change.at, func() { u.seats = change.seats; u.seat(s) })
	}
	if b := spec.bucket; b != nil {
		u.requests, u.tokens = b.requests*b.burst.Minutes(), b.tokens*b.burst.Minutes()
	}
	return u
}

func (u *simUpstream) Name() string { return u.spec.name }

func (u *simUpstream) Serves(model string) bool {
	return len(u.spec.models) == 0 || slices.Contains(u.spec.models, model)
}

func (u *simUpstream) Call(context.Context, Call) Answer { panic("not in a simulation") }

// take answers a call, or lets it wait for a seat.
func (u *simUpstream) take(s *simulation, c *simCall) {
	c.upstream = u
	u.inFlight++
	u.calls++
	u.most = max(u.most, u.inFlight)
	line := &c.batch.lines[c.line.Number]
	if line.inFlight || line.settled {
		panic("a line is in flight twice, or sent after its outcome")
	}
	line.inFlight = true
	line.tries++
	c.answer = u.say(s, c, line)
	switch {
	case !c.answer.good() && c.answer.takes > 0:
		s.ends(c, c.answer.takes)
	case u.spec.seats == 0:
		s.ends(c, u.duration(s))
	case u.running+len(u.waiting) >= u.seats+u.spec.queue:
		c.answer = u.spec.full
		s.ends(c, c.answer.takes)
	default:
		u.waiting = append(u.waiting, c)
		u.seat(s)
	}
}

// seat gives free seats to the calls that wait.
func (u *simUpstream) seat(s *simulation) {
	for len(u.waiting) > 0 && u.running < u.seats {
		c := u.waiting[0]
		u.waiting = u.waiting[1:]
		u.countSeats(s)
		u.busyAtLast, u.lastBegan = u.busy, s.since()
		u.running++
		c.seated = true
		s.ends(c, u.duration(s))
	}
}

// countSeats adds up how long seats were taken.
func (u *simUpstream) countSeats(s *simulation) {
	u.busy += float64(u.running) * (s.since() - u.counted).Seconds()
	u.counted = s.since()
}

// leave ends a call at the upstream.
func (u *simUpstream) leave(s *simulation, c *simCall) {
	u.inFlight--
	c.batch.lines[c.line.Number].inFlight = false
	if c.seated {
		u.countSeats(s)
		u.running--
		u.seat(s)
	}
}

// say decides what a call is answered.
func (u *simUpstream) say(s *simulation, c *simCall, line *simLine) answer {
	spec := &u.spec
	if spec.front > 0 && int(c.line.Number)%spec.front == 0 {
		return status(http.StatusBadRequest)
	}
	for i := range spec.outages {
		o := &spec.outages[i]
		if (o.model == "" || o.model == c.unit.Model()) && o.on(s) {
			return o.wrong
		}
	}
	if line.bad {
		return c.batch.spec.wrong
	}
	if c.batch.spec.once != nil && line.tries == 1 {
		return *c.batch.spec.once
	}
	for _, chance := range spec.chances {
		if s.rand.Float64() < chance.share {
			return chance.wrong
		}
	}
	if spec.bucket != nil {
		return u.draw(s, c, line)
	}
	return status(http.StatusOK)
}

// on reports whether the outage is on.
func (o *outage) on(s *simulation) bool {
	if o.afterCalls > 0 || o.afterLines > 0 {
		if !o.begun && (o.afterCalls > 0 && s.begunCalls > o.afterCalls || o.afterLines > 0 && s.settledLines >= o.afterLines) {
			o.begun, o.from = true, s.since()
		}
		if !o.begun {
			return false
		}
	}
	t := s.since() - o.from
	if t < 0 || t >= o.lasts {
		return false
	}
	return o.every == 0 || t%o.every >= o.up
}

// draw takes a line's request and tokens out of the bucket, or refuses it.
func (u *simUpstream) draw(s *simulation, c *simCall, line *simLine) answer {
	b := u.spec.bucket
	if line.size == 0 {
		line.size = int32(250 + s.rand.IntN(500))
		if c.line.Number%1000 == 500 {
			line.size = 50 * 500
		}
	}
	minutes := (s.since() - u.filled).Minutes()
	u.filled = s.since()
	u.requests = min(u.requests+minutes*b.requests, b.requests*b.burst.Minutes())
	u.tokens = min(u.tokens+minutes*b.tokens, b.tokens*b.burst.Minutes())
	missing := max((1-u.requests)/b.requests, (float64(line.size)-u.tokens)/b.tokens)
	if missing <= 0 {
		u.requests--
		u.tokens -= float64(line.size)
		return status(http.StatusOK)
	}
	refusal := status(http.StatusTooManyRequests)
	if b.told {
		refusal.signal.RetryAfter = time.Duration(missing * float64(time.Minute))
	}
	return refusal
}

// spread is the sigma of the logarithm of the times of good answers.
const spread = 0.4

// duration is the time of a good answer.
func (u *simUpstream) duration(s *simulation) time.Duration {
	return time.Duration(float64(u.spec.takes) * math.Exp(spread*s.rand.NormFloat64()-spread*spread/2))
}
