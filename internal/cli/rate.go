package cli

import "time"

// rateWindow is how far back the shown rate of requests looks. A shorter one jumps with every answer where answers take
// seconds; a longer one shows an outage late.
const rateWindow = 10 * time.Second

// sample is how much was done at some moment.
type sample struct {
	at     time.Time
	done   int64
	tokens int64
}

// meter computes rates from samples. It reads no clock.
type meter struct {
	// first is what was there when watching began: work of earlier runs, which must not count as speed.
	first sample
	// recent are the samples of the window, and one that is older.
	recent []sample
}

// observe takes a sample. Samples come in order of time. Those that are older than the window are dropped but for the newest of
// them, from which the window is measured; two are kept however old they are, since a rate needs two.
func (m *meter) observe(s sample) {
	if len(m.recent) == 0 {
		m.first = s
	}
	m.recent = append(m.recent, s)
	for len(m.recent) > 2 && s.at.Sub(m.recent[1].at) >= rateWindow {
		m.recent = m.recent[1:]
	}
}

// requests returns the requests per second over the window.
func (m *meter) requests() float64 {
	if len(m.recent) == 0 {
		return 0
	}
	oldest, newest := m.recent[0], m.recent[len(m.recent)-1]
	return perSecond(newest.done-oldest.done, newest.at.Sub(oldest.at))
}

// tokens returns the tokens per second since watching began: the sum advances in steps that are wider than the window.
func (m *meter) tokens() float64 {
	if len(m.recent) == 0 {
		return 0
	}
	newest := m.recent[len(m.recent)-1]
	return perSecond(newest.tokens-m.first.tokens, newest.at.Sub(m.first.at))
}

// left returns how long the rest of total takes at the rate of the window, and false if nothing moves.
func (m *meter) left(total int64) (time.Duration, bool) {
	rate := m.requests()
	if rate <= 0 {
		return 0, false
	}
	rest := total - m.recent[len(m.recent)-1].done
	return time.Duration(float64(rest) / rate * float64(time.Second)), true
}

// perSecond is 0 for what did not advance or took no time: a first sample, or a clock that was set back.
func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 || n <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
