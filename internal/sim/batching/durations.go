package batching

import (
	"math"
	"time"
)

const (
	// shortest and growth are the edge of the first bucket and the ratio of one edge to the one before. So many
	// buckets reach beyond a day.
	shortest = time.Millisecond
	growth   = 1.02
	buckets  = 928
)

// Durations is a histogram of times of fixed size, exact to 2% between a millisecond and a day. The zero value is
// empty.
type Durations struct {
	counts [buckets]int32
	count  int64
	sum    time.Duration
	max    time.Duration
}

// Add counts one time. What is below 0 counts as 0.
func (d *Durations) Add(t time.Duration) {
	t = max(t, 0)
	i := 0
	if t > shortest {
		i = min(buckets-1, int(math.Ceil(math.Log(float64(t)/float64(shortest))/math.Log(growth))))
	}
	d.counts[i]++
	d.count++
	d.sum += t
	d.max = max(d.max, t)
}

// Count is how many times were added.
func (d *Durations) Count() int64 { return d.count }

// Mean is the average, exactly; 0 if there is none.
func (d *Durations) Mean() time.Duration {
	if d.count == 0 {
		return 0
	}
	return d.sum / time.Duration(d.count)
}

// Max is the longest, exactly; 0 if there is none.
func (d *Durations) Max() time.Duration { return d.max }

// Quantile is the time that a share q of all do not exceed, at most 2% too long; 0 if there is none.
func (d *Durations) Quantile(q float64) time.Duration {
	rank := max(1, int64(math.Ceil(q*float64(d.count))))
	for i, n := range &d.counts {
		if rank -= int64(n); rank <= 0 {
			return min(d.max, time.Duration(float64(shortest)*math.Pow(growth, float64(i))))
		}
	}
	return d.max
}

// Reset empties the histogram: a scenario measures from here on.
func (d *Durations) Reset() { *d = Durations{} }
