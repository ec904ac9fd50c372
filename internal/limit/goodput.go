package limit

import "time"

// autoStart is where the limit starts when no concurrency is configured.
const autoStart = 8

// goodput is the part of a gate's limit that finds how many calls are worth having in flight.
type goodput struct {
	now, most int
}

func newGoodput(start, most int) goodput {
	if start == 0 {
		start = autoStart
	}
	return goodput{now: start, most: most}
}

func (g *goodput) limit() int { return g.now }

// flying notes that so many calls are in flight from now on, and whether this part is the least of the limit's.
func (g *goodput) flying(_ time.Time, _ int, _ bool) {}

// served notes an answer that took so long and held so many output tokens.
func (g *goodput) served(_ time.Time, _ time.Duration, _ int64) {}

// lowered notes that failures lowered the limit.
func (g *goodput) lowered(_ time.Time) {}
