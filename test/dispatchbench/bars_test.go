package dispatchbench

import (
	"fmt"
	"strings"
	"time"
)

// bars are what a contender is held to in a scenario; the zero value of each asks nothing.
type bars struct {
	// share is of the best fixed limit's throughput, in percent.
	share float64
	// soon asks for 80% of it within 90 s or 30 mean calls, whichever is more; within for a time of its own.
	soon   bool
	within time.Duration
	// inFlight is the mean, in multiples of the seats.
	inFlight float64
	// refused is per 1,000 served.
	refused    float64
	firstToken time.Duration
	// smaller is what the client with less gets at least, in percent of all.
	smaller float64
}

// verdict lists what is asked of a contender, each with ok or MISSED by the median.
func (c *comparison) verdict(o *outcome) string {
	b := c.bars[o.kind]
	if b.soon {
		b.within = max(90*time.Second, time.Duration(30*c.call)*time.Second)
	}
	var words []string
	judge := func(asked, met bool, format string, bar any) {
		switch {
		case !asked:
		case met:
			words = append(words, fmt.Sprintf(format, bar)+" ok")
		default:
			words = append(words, fmt.Sprintf(format, bar)+" **MISSED**")
		}
	}
	judge(b.share > 0, o.share.median() >= b.share, "≥ %v%%", b.share)
	judge(b.within > 0, o.slow.median() <= b.within.Seconds(), "80%% in %v s", b.within.Seconds())
	judge(b.inFlight > 0, o.inFlight.median() <= b.inFlight, "≤ %v ×", b.inFlight)
	judge(b.refused > 0, o.refused.median() <= b.refused, "≤ %v refused", b.refused)
	judge(b.firstToken > 0, o.firstToken.median() <= b.firstToken.Seconds(), "≤ %v", b.firstToken)
	judge(b.smaller > 0, o.smaller.median() >= b.smaller, "smaller ≥ %v%%", b.smaller)
	return strings.Join(words, ", ")
}
