package limit

import "time"

const (
	// chronicWindows windows of refusals at half the limit or less show that refusals are not about room.
	chronicWindows = 3
	// chronicFor is how long such refusals then lower nothing.
	chronicFor = 5 * time.Minute
	// rare is the share of refusals below which all is well; the share of chronic ones is between chronicLeast and
	// chronicMost; one that rises above chronicAlarm and doubles is about something else.
	rare         = 0.05
	chronicLeast = 0.10
	chronicAlarm = 0.20
	chronicMost  = 0.70
)

// chronic finds refusals that do not become rarer when fewer calls are in flight, as they come from one bad replica
// behind a balancer, or are the fate of some lines: to lower the limit for them would only cost throughput.
type chronic struct {
	// answers and refusals are those of the window under way; limit is the greatest in it.
	answers, refusals int
	limit             int
	// top is the limit at which refusals began, share what part of the answers they were there; share 0 for none.
	top   int
	share float64
	// low counts windows at half of top or less in which they were no rarer, lowShare is the greatest share in one of them.
	low      int
	lowShare float64
	// until is when refusals count again; usual is their share while they do not.
	until time.Time
	usual float64
}

// ignoring reports whether refusals lower nothing for now.
func (c *chronic) ignoring(now time.Time) bool { return now.Before(c.until) }

// note counts an answer that was served or refused; least is the gate's limit as it is in force.
func (c *chronic) note(now time.Time, r *room, least int, refused bool) {
	if refused {
		c.refusals++
	}
	c.answers++
	c.limit = max(c.limit, least)
	if c.answers < max(windowAnswers, c.limit) {
		return
	}
	share, limit := float64(c.refusals)/float64(c.answers), c.limit
	c.answers, c.refusals, c.limit = 0, 0, 0
	if c.ignoring(now) {
		c.renew(now, share)
		return
	}
	c.judge(now, r, share, limit)
}

// renew decides at the end of a window whether refusals go on lowering nothing.
func (c *chronic) renew(now time.Time, share float64) {
	switch {
	case share > chronicMost || share > chronicAlarm && share >= 2*c.usual:
		c.until = time.Time{}
		c.top, c.share, c.low, c.lowShare = 0, 0, 0, 0
	case share > chronicLeast:
		c.until = now.Add(chronicFor)
	}
}

// judge takes a finished window into account.
func (c *chronic) judge(now time.Time, r *room, share float64, limit int) {
	switch {
	case share < rare:
		c.top, c.share, c.low, c.lowShare = 0, 0, 0, 0
	case c.share == 0:
		c.top, c.share = limit, share
	case 2*limit > c.top:
		// Refusals are quick and long calls are not, so the first window holds more of them than are their share.
		c.share = min(c.share, share)
	case 2*limit <= c.top && share >= chronicLeast && share <= chronicMost && share >= c.share/2:
		c.lowShare = max(c.lowShare, share)
		if c.low++; c.low >= chronicWindows {
			r.limit, r.ceiling, r.stepped, r.credit = max(r.limit, c.top), 0, false, 0
			// The greatest share that was usual: windows of 30 answers lie by half of it.
			c.until, c.usual = now.Add(chronicFor), max(c.share, c.lowShare)
			c.low, c.lowShare = 0, 0
		}
	}
}
