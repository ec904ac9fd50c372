package dispatchbench

import (
	"math"
	"time"
)

// result is what one run measured.
type result struct {
	// rate is tokens a second of all clients.
	rate float64
	// inFlight and queue are means, peak is of the whole run.
	inFlight, queue float64
	peak            int
	// refused is per 1,000 served; took is how long a call takes in the mean.
	refused float64
	took    time.Duration
	// firstToken is the 99th percentile for interactive requests.
	firstToken time.Duration
	// smaller is what the client with least got, in percent of all.
	smaller float64
	samples []sample
}

func newResult(s *scenario, w *world) *result {
	m, span := &w.meter, (s.whole - s.settled).Seconds()
	all, least := tally{}, m.clients[0].tokens
	for _, t := range m.clients {
		all.served += t.served
		all.tokens += t.tokens
		all.took += t.took
		least = min(least, t.tokens)
	}
	served := max(1, all.served)
	return &result{
		rate: float64(all.tokens) / span, inFlight: m.flew / span, queue: m.queued / span, peak: m.peak,
		refused: 1000 * float64(m.refusals) / float64(served), took: all.took / time.Duration(served),
		firstToken: w.engine.FirstTokens(true).Quantile(0.99),
		smaller:    100 * float64(least) / float64(max(1, all.tokens)),
		samples:    m.samples[:s.whole/sampleEvery], // what ends with the last step may be in another
	}
}

// last is the rate of the last four minutes, when all changes are over; it holds whole bursts of interactive traffic.
func (r *result) last() float64 {
	const span = 4 * time.Minute
	tokens, n := 0, int(span/sampleEvery)
	for _, s := range r.samples[len(r.samples)-n:] {
		tokens += s.tokens
	}
	return float64(tokens) / span.Seconds()
}

// reaches returns how many seconds after a time two samples in a row were served at a rate; infinity if never.
func (r *result) reaches(rate float64, from time.Duration) float64 {
	enough := rate * 2 * sampleEvery.Seconds()
	for i := int(from/sampleEvery) + 1; i < len(r.samples); i++ {
		if float64(r.samples[i-1].tokens+r.samples[i].tokens) >= enough {
			return (time.Duration(i+1)*sampleEvery - from).Seconds()
		}
	}
	return math.Inf(1)
}
