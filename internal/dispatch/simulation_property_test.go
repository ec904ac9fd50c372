package dispatch

import (
	"fmt"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"

	"pgregory.net/rapid"
)

// drawnWorld is any small world: up to three batches, two models and two upstreams that answer what chance will have.
func drawnWorld(t *rapid.T) world {
	var w world
	for i := range rapid.IntRange(1, 2).Draw(t, "upstreams") {
		u := upstreamSpec{name: string(rune('a' + i)), concurrency: rapid.IntRange(1, 12).Draw(t, "concurrency"), takes: 300 * ms, full: status(429)}
		u.seats = rapid.IntRange(0, 8).Draw(t, "seats")
		u.queue = rapid.IntRange(0, 3).Draw(t, "queue")
		if u.seats > 0 {
			u.seatsAt = []seatsAt{{time.Duration(rapid.IntRange(1, 600).Draw(t, "growth at")) * sec, 16}}
		}
		for _, wrong := range []answer{refused, status(401), status(500), status(503), later(status(429), 3*sec), status(403), status(400)} {
			if rapid.IntRange(0, 2).Draw(t, "kind") == 0 {
				u.chances = append(u.chances, chanceOf{rapid.SampledFrom([]float64{0.01, 0.1, 0.4, 0.9}).Draw(t, "share"), wrong})
			}
		}
		if rapid.Bool().Draw(t, "outage") {
			u.outages = []outage{{from: secs(rapid.Float64Range(0, 300).Draw(t, "from")), lasts: secs(rapid.Float64Range(1, 900).Draw(t, "lasts")), wrong: rapid.SampledFrom([]answer{refused, status(500), status(429)}).Draw(t, "wrong")}}
		}
		w.upstreams = append(w.upstreams, u)
	}
	for range rapid.IntRange(1, 3).Draw(t, "batches") {
		b := batchSpec{lines: rapid.IntRange(1, 120).Draw(t, "lines"), window: time.Hour, at: time.Duration(rapid.IntRange(0, 120).Draw(t, "at")) * sec}
		if rapid.Bool().Draw(t, "two models") {
			b.models = []string{"m", "n"}
		}
		if rapid.Bool().Draw(t, "bad") {
			b.bad, b.wrong = scattered(uint64(rapid.IntRange(0, 1000).Draw(t, "per mille"))), rapid.SampledFrom(wrongKinds).Draw(t, "answer")
		}
		w.batches = append(w.batches, b)
	}
	return w
}

func TestScheduleKeepsItsPromisesWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawnWorld(t)
		s := simulate(&w, rapid.Uint64().Draw(t, "seed"))
		for range rapid.IntRange(0, 3).Draw(t, "clock steps") {
			by := time.Duration(rapid.IntRange(-4000, 4000).Draw(t, "by")) * sec
			s.after(time.Duration(rapid.IntRange(0, 1200).Draw(t, "step at"))*sec, func() { s.skew += by; wake(s.d.pumpWakeUp) })
		}
		if rapid.Bool().Draw(t, "cancel") {
			b := s.batches[0]
			s.after(b.spec.at+time.Duration(rapid.IntRange(0, 300).Draw(t, "cancel at"))*sec, func() { s.stop(b, batch.StopCancel) })
		}
		var idle idleness
		s.watch = func() {
			checkPermits(t, s)
			idle.check(t, s)
			checkReasons(t, s)
		}
		s.run()
		for s.inFlight() > 0 && s.step() {
		}
		if n := s.inFlight() + s.permits(); n != 0 {
			t.Fatalf("%d calls or permits are left at the end", n)
		}
	})
}

// inFlight is how many calls the upstreams hold.
func (s *simulation) inFlight() (n int) {
	for _, u := range s.upstreams {
		n += u.inFlight
	}
	return n
}

// permits is how many permits the gates have given out.
func (s *simulation) permits() (n int) {
	for _, q := range s.d.schedule.queues {
		for _, g := range q.gates {
			n += g.InFlight()
		}
	}
	return n
}

// checkPermits checks that each call has its permit and no permit lacks a call.
func checkPermits(t *rapid.T, s *simulation) {
	addresses := 0
	for _, a := range s.d.schedule.targets {
		addresses += a.address.InFlight()
		if a.address.InFlight() > a.concurrency {
			t.Fatalf("%d calls are in flight, want at most %d", a.address.InFlight(), a.concurrency)
		}
	}
	if f := s.inFlight(); f != s.permits() || f != addresses || f != s.d.inFlight {
		t.Fatalf("%d calls are in flight, gates count %d, addresses %d, the dispatcher %d", f, s.permits(), addresses, s.d.inFlight)
	}
}

// idleness is since when a line could go and does not.
type idleness struct {
	since time.Time
}

func (i *idleness) check(t *rapid.T, s *simulation) {
	what := s.couldGo()
	switch {
	case what == "":
		i.since = time.Time{}
	case i.since.IsZero():
		i.since = s.now
	case s.now.Sub(i.since) > sec:
		t.Fatalf("%s could go since %s and does not (it is %s)", what, i.since.Sub(s.start), s.since())
	}
}

// couldGo names a line that an open gate with a free permit could take; empty if there is none.
func (s *simulation) couldGo() string {
	for _, l := range s.d.schedule.lanes {
		for _, g := range l.queue.gates {
			if !g.serves || g.Closed() || g.Holding() {
				continue
			}
			if _, _, ok := g.Take(s.clock()); !ok {
				continue
			}
			if len(l.filling) > 0 {
				return "a fresh line of " + l.job.batch.ID
			}
			if free := l.inFlight == 0 || l.faults < fewFaults || len(l.controls) > 1; len(l.controls) > 0 && l.retries.count == 0 && free && !l.mayHaveFresh() {
				return fmt.Sprintf("a control (of %d, %d in flight, %d at the gate) of %s", len(l.controls), l.inFlight, g.InFlight(), l.job.batch.ID)
			}
			for _, b := range l.retries.ready {
				if len(b.tasks) > 0 && g.MayCarry(&b.tasks[0].history) && (b.failedAt != g || !l.queue.openElsewhere(g) && !b.tasks[0].back.After(s.clock())) {
					return "a retry of " + l.job.batch.ID
				}
			}
		}
	}
	return ""
}

// checkReasons checks that lines which wait have a reason.
func checkReasons(t *rapid.T, s *simulation) {
	for _, l := range s.d.schedule.lanes {
		if l.job.stop != batch.StopNone || l.waiting() == 0 {
			continue
		}
		reasons := s.d.WaitingFor(l.job.batch.ID)
		if len(reasons) == 0 {
			t.Fatalf("%d lines of %s wait for nothing", l.waiting(), l.job.batch.ID)
		}
		for _, w := range reasons {
			if w.Reason == limit.Reason("") {
				t.Fatalf("lines of %s wait without a reason: %+v", l.job.batch.ID, w)
			}
		}
	}
}
