package limit

import "time"

// A limit that grows does so by at most paceShare of itself, but by paceLeast if that is more, in each paceEvery: an
// engine that is about to refuse is met by few calls at a time, and one that starts more slowly can be seen.
const (
	paceEvery = 100 * time.Millisecond
	paceLeast = 4
	paceShare = 0.05
)

// pace follows a limit down at once and up with time.
type pace struct {
	limit float64
	at    time.Time
	// known is up to where it follows up at once too: what was in flight before a closing is nothing new to the upstream.
	known int
}

// follow returns what of target may be used by now.
func (p *pace) follow(now time.Time, target int) int {
	t := float64(target)
	if t > p.limit {
		passed := min(now.Sub(p.at), paceEvery)
		t = min(t, max(float64(p.known), p.limit+p.rate()*float64(passed)/float64(paceEvery)))
	}
	p.limit, p.at = t, now
	return int(t)
}

// rate is how much is added in paceEvery.
func (p *pace) rate() float64 { return max(paceLeast, paceShare*p.limit) }

// until returns when the limit will have grown to n.
func (p *pace) until(n int) time.Time {
	missing := max(0, float64(n)-p.limit)
	return p.at.Add(time.Duration(missing/p.rate()*float64(paceEvery)).Round(time.Millisecond) + time.Millisecond)
}
