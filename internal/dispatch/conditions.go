package dispatch

import (
	"time"

	"batchd/internal/limit"
)

// fewLines are too few to make a run of failures, which is what a gate tells conditions by.
const fewLines = 3

// condition is what keeps lines waiting at the gate now; its reason is empty if nothing does, or nobody waits.
func (g *gate) condition(now time.Time) limit.Condition {
	if len(g.queue.lanes) == 0 {
		return limit.Condition{}
	}
	if c, ok := g.Condition(); ok {
		return upcoming(c, now)
	}
	return upcoming(g.fewWaiting(), now)
}

// condition is what keeps the upstream from being reached, if lines wait for it.
func (t *target) condition(queues map[string]*queue, now time.Time) limit.Condition {
	c, ok := t.address.Condition()
	if !ok {
		return limit.Condition{}
	}
	for _, q := range queues {
		if g := q.at(t); g != nil && len(q.lanes) > 0 {
			return upcoming(c, now)
		}
	}
	return limit.Condition{}
}

// upcoming drops a time of the next try that has passed: what is due then waits for a permit.
func upcoming(c limit.Condition, now time.Time) limit.Condition {
	if !c.Next.After(now) {
		c.Next = time.Time{}
	}
	return c
}

// fewWaiting is what the last lines at the gate were told where these are too few for a run of failures: all of them were
// put off, and nothing was served since that would speak against them.
func (g *gate) fewWaiting() (c limit.Condition) {
	if g.InFlight() > 0 {
		return limit.Condition{} // nearly always, and lanes may be many
	}
	left := 0
	for _, l := range g.queue.lanes {
		left += l.left
		if l.job.mayLease(l.model) {
			left += fewLines
		}
	}
	if left >= fewLines {
		return limit.Condition{}
	}
	alike := true
	for _, l := range g.queue.lanes {
		l.retries.each(func(t *task) bool {
			last, ok := t.history.Last()
			alike = alike && ok && t.failedAt == g && t.unproven && !g.Followed(&t.history)
			if alike {
				c = limit.Condition{
					Reason: last.Reason, Detail: last.Detail, Status: last.Status, Code: last.Code, Message: last.Message,
					Batch: l.job.batch.ID, Since: t.since, Next: t.due,
				}
			}
			return alike
		})
	}
	if !alike {
		return limit.Condition{}
	}
	return c
}
