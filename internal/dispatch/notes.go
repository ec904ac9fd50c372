package dispatch

import (
	"context"
	"log/slog"
	"time"

	"batchd/internal/limit"
)

// note is a line for the log that came up under the mutex, to be written when it is free again: a log that blocks must
// stop nobody.
type note struct {
	level slog.Level
	text  string
	args  []any
	// reason says that it is about a reason to wait.
	reason bool
}

// unlock gives the mutex back, and then writes what was noted while it was held.
func (d *Dispatcher) unlock() {
	notes := d.notes
	d.notes = nil
	d.mu.Unlock()
	for _, n := range notes {
		log := d.o.Logger
		if n.reason {
			log = d.o.Reasons
		}
		log.Log(context.Background(), n.level, n.text, n.args...) //nolint:sloglint // the texts are constants, where notes are made
	}
}

// tell notes a line about a reason to wait. The mutex is held.
func (d *Dispatcher) tell(level slog.Level, text string, args ...any) {
	d.notes = append(d.notes, note{level, text, args, true})
}

// tellAfter is how long a condition must have lasted before the log has it: many bad lines among good ones come and go.
const tellAfter = time.Second

// noteGate tells when a reason to wait begins, changes and ends: once for an address, once for each of its gates. The
// mutex is held.
func (d *Dispatcher) noteGate(g *gate, now time.Time) {
	shared := g.target.condition(d.schedule.queues, now)
	if worthTelling(&g.target.told, &shared, now) {
		d.noteChange(&g.target.told, &shared, len(g.queue.lanes) == 0, now, "upstream", g.target.upstream.Name())
	}
	if shared.Reason != "" {
		return
	}
	if own := g.condition(now); worthTelling(&g.told, &own, now) {
		d.noteChange(&g.told, &own, len(g.queue.lanes) == 0, now, "upstream", g.target.upstream.Name(), "model", g.queue.model)
	}
}

// worthTelling reports whether a condition is another than the one that was told last, and has lasted if it is one.
func worthTelling(told, c *limit.Condition, now time.Time) bool {
	if told.Reason == c.Reason && (told.Detail == c.Detail || c.Reason == limit.ReasonFailing) {
		return false // calls that break off do so in this way and that
	}
	return c.Reason == "" || now.Sub(c.Since) >= tellAfter
}

// noteLeft tells that nothing waits any more where the last lane of a model went. The mutex is held.
func (d *Dispatcher) noteLeft(q *queue, now time.Time) {
	if len(q.lanes) > 0 {
		return
	}
	for _, g := range q.gates {
		d.noteGate(g, now)
	}
}

// noteChange tells that a condition is another than before; idle says that nobody waits at the gate.
func (d *Dispatcher) noteChange(told, c *limit.Condition, idle bool, now time.Time, where ...any) {
	before := *told
	*told = *c
	if c.Reason == "" {
		text := "upstream takes calls again"
		if idle {
			text = "nothing waits for the upstream any more"
		}
		d.tell(slog.LevelInfo, text, append(where, "reason", before.Reason, "after", now.Sub(before.Since).Round(time.Second))...)
		return
	}
	level := slog.LevelWarn
	if c.Reason == limit.ReasonDenied || c.Reason == limit.ReasonAccount || c.Reason == limit.ReasonMisconfigured {
		level = slog.LevelError // it takes a person to mend it
	}
	args := append(where, "reason", c.Reason)
	add := func(name, value string) {
		if value != "" {
			args = append(args, name, value)
		}
	}
	add("detail", c.Detail)
	if c.Status != 0 {
		args = append(args, "status", c.Status)
	}
	add("code", c.Code)
	add("answer", c.Message)
	d.tell(level, "upstream keeps lines waiting", args...)
}
