package dispatchbench

import "time"

// sampleEvery is how far apart the points of a plot are, and the grain of the time to 80% of the best.
const sampleEvery = 5 * time.Second

// meter adds up what happens in a world. Sums are of what is settled, but for peak and samples, which are of all.
type meter struct {
	from    time.Duration
	clients []tally
	// queued and flew are calls × seconds.
	queued, flew float64
	refusals     int
	peak         int
	samples      []sample
}

// tally is what one client got.
type tally struct {
	served int
	tokens int
	took   time.Duration
}

// sample is what happened in one sampleEvery.
type sample struct {
	tokens int
	// flew are calls × seconds of each client.
	flew []float64
}

// step notes an iteration of the engine.
func (m *meter) step(w *world, begin, took time.Duration) {
	s := m.sample(begin, len(w.clients))
	total := 0
	for i, c := range w.clients {
		s.flew[i] += float64(c.inFlight) * took.Seconds()
		total += c.inFlight
	}
	m.peak = max(m.peak, total)
	if begin < m.from {
		w.engine.FirstTokens(true).Reset()
		return
	}
	m.flew += float64(total) * took.Seconds()
	m.queued += float64(w.engine.Gauges(w.now).Waiting) * took.Seconds()
}

// sample returns the sample that a time is in.
func (m *meter) sample(at time.Duration, clients int) *sample {
	i := int(at / sampleEvery)
	for len(m.samples) <= i {
		m.samples = append(m.samples, sample{flew: make([]float64, clients)})
	}
	return &m.samples[i]
}

// refused notes a refusal.
func (m *meter) refused(now time.Duration) {
	if now >= m.from {
		m.refusals++
	}
}

// served notes a good answer.
func (m *meter) served(now time.Duration, c *client, l *call) {
	m.sample(now, len(m.clients)).tokens += l.request.OutputTokens
	if now < m.from {
		return
	}
	t := &m.clients[c.index]
	t.served++
	t.tokens += l.request.OutputTokens
	t.took += now - l.began
}
