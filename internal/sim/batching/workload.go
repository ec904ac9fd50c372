package batching

import (
	"math"
	"math/rand/v2"
	"time"
)

// A LogNormal is a distribution of lengths or times by its mean, which stays what it is whatever the spread.
type LogNormal struct {
	Mean float64
	// Sigma is the spread: the standard deviation of the logarithm. 0: all alike.
	Sigma float64
	// Max cuts off what is longer; 0: nothing.
	Max float64
}

// Draw returns one value.
func (l LogNormal) Draw(r *rand.Rand) float64 {
	v := l.Mean * math.Exp(l.Sigma*r.NormFloat64()-l.Sigma*l.Sigma/2)
	if l.Max > 0 {
		return min(v, l.Max)
	}
	return v
}

// A Mix is a population of requests.
type Mix struct {
	// Prompt and Output are lengths in tokens; a draw below 1 gives 1.
	Prompt, Output LogNormal
	// Service is the time in seconds that a request holds a seat of Seats.
	Service LogNormal
	// Priority and Interactive are the same for all.
	Priority    int
	Interactive bool
}

// Chat is a population of short requests: means of 500 tokens in and 200 out, and a service of 6 s.
func Chat() Mix {
	return Mix{Prompt: LogNormal{500, 0.8, 32_000}, Output: LogNormal{200, 0.8, 8_000}, Service: LogNormal{6, 0.8, 240}}
}

// Documents is a population of long requests: means of 3,000 tokens in and 500 out, and a service of 15 s. They fill
// the memory of the Reference engine before its sequences.
func Documents() Mix {
	return Mix{Prompt: LogNormal{3000, 0.8, 32_000}, Output: LogNormal{500, 0.8, 8_000}, Service: LogNormal{15, 0.8, 240}}
}

// Draw returns one request.
func (m Mix) Draw(r *rand.Rand) Request {
	return Request{
		PromptTokens: max(1, int(math.Round(m.Prompt.Draw(r)))),
		OutputTokens: max(1, int(math.Round(m.Output.Draw(r)))),
		Service:      max(1, time.Duration(m.Service.Draw(r)*float64(time.Second))),
		Priority:     m.Priority,
		Interactive:  m.Interactive,
	}
}

// Traffic is what others send to the same engine, whatever it answers: Poisson arrivals with bursts at fixed times.
type Traffic struct {
	Mix Mix
	// Rate is the mean number of arrivals a second outside bursts, above 0.
	Rate float64
	// BurstFactor multiplies the rate for BurstFor at the end of each BurstEvery; all are ignored if BurstEvery is 0.
	BurstFactor          float64
	BurstEvery, BurstFor time.Duration
}

// Online is the interactive traffic of the project's scenarios: 6 chat requests a second, and for 20 s of every two
// minutes 3 times as many.
func Online() Traffic {
	m := Chat()
	m.Interactive = true
	return Traffic{Mix: m, Rate: 6, BurstFactor: 3, BurstEvery: 2 * time.Minute, BurstFor: 20 * time.Second}
}

// Arrivals are the requests of a Traffic in order of time.
type Arrivals struct {
	traffic Traffic
	rand    *rand.Rand
	at      time.Duration
	next    Request
}

// Arrivals returns the traffic from time 0 on, without end, drawn from r alone.
func (t Traffic) Arrivals(r *rand.Rand) *Arrivals {
	a := &Arrivals{traffic: t, rand: r}
	a.draw()
	return a
}

// Next is when the next request arrives.
func (a *Arrivals) Next() time.Duration { return a.at }

// Due takes the next request if it arrives by a time, and tells when it did.
func (a *Arrivals) Due(now time.Duration) (at time.Duration, r Request, ok bool) {
	if a.at > now {
		return 0, Request{}, false
	}
	at, r = a.at, a.next
	a.draw()
	return at, r, true
}

// draw finds the next arrival: the time at which the rate, summed up since the last, reaches an exponential draw.
func (a *Arrivals) draw() {
	left := a.rand.ExpFloat64()
	rate, until := a.traffic.rateAt(a.at)
	for until > 0 && rate*(until-a.at).Seconds() <= left {
		left -= rate * (until - a.at).Seconds()
		a.at = until
		rate, until = a.traffic.rateAt(a.at)
	}
	a.at += time.Duration(left / rate * float64(time.Second))
	a.next = a.traffic.Mix.Draw(a.rand)
}

// rateAt is the rate at a time, and until when it holds; 0 means for ever.
func (t *Traffic) rateAt(at time.Duration) (rate float64, until time.Duration) {
	if t.BurstEvery == 0 {
		return t.Rate, 0
	}
	begin := at - at%t.BurstEvery
	burst := begin + t.BurstEvery - t.BurstFor
	if at < burst {
		return t.Rate, burst
	}
	return t.Rate * t.BurstFactor, begin + t.BurstEvery
}
