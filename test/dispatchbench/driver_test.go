package dispatchbench

import (
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"batchd/internal/sim/batching"
)

// named returns a scenario.
func named(t *testing.T, name string) scenario {
	t.Helper()
	list := scenarios()
	i := slices.IndexFunc(list, func(s scenario) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("no scenario %s", name)
	}
	return list[i]
}

func TestEveryLineIsSomewhere(t *testing.T) {
	t.Parallel()
	inBubble(t, func() {
		s := named(t, "h-12-0")
		for _, c := range contenders(&s, 12) {
			w := &world{engine: s.engine(t), calls: make(map[batching.ID]*call), meter: meter{clients: make([]tally, 1)}}
			own := &client{limiter: c.limiter(1), mix: s.mix, rand: newRand(1, 1)}
			w.clients = []*client{own}
			w.run(2 * time.Minute)
			lines := w.meter.clients[0].served + len(w.calls) + len(own.putOff) + len(own.ready)
			if own.next != nil {
				lines++
			}
			if lines != own.lines || w.meter.clients[0].served < 100 {
				t.Errorf("%s: %d of %d lines are somewhere, %d served", c.name, lines, own.lines, w.meter.clients[0].served)
			}
		}
	})
}

func TestRunsAreAFunctionOfTheirSeed(t *testing.T) {
	t.Parallel()
	inBubble(t, func() {
		s := named(t, "h-48-8")
		for _, c := range contenders(&s, 48) {
			first, again, other := s.run(t, 1, c.limiter), s.run(t, 1, c.limiter), s.run(t, 2, c.limiter)
			if !reflect.DeepEqual(first, again) || reflect.DeepEqual(first, other) {
				t.Errorf("%s: one seed gave %+v and %+v, another %+v", c.name, first, again, other)
			}
		}
	})
}

// The engine's own tests say how much a fixed limit reaches; the driver must not change that.
func TestAFixedLimitReachesWhatItIsKnownFor(t *testing.T) {
	t.Parallel()
	s := named(t, "a-seats")
	small, right := s.run(t, 1, fixedAt(64)), s.run(t, 1, fixedAt(256))
	if share := small.rate / right.rate; share < 0.60 || share > 0.63 {
		t.Errorf("64 in flight reach %.3f of 256, want 0.60 to 0.63", share)
	}
	if right.queue > 1 || right.peak != 256 {
		t.Errorf("256 in flight: %.1f wait, at most %d in flight, want none and 256", right.queue, right.peak)
	}
}

func TestBestFixedLimitIsTheLeastGoodOne(t *testing.T) {
	t.Parallel()
	for _, want := range []int{4, 12, 48, 144, 256, 1024} {
		if got := bestFixed(func(limit int) float64 { return float64(min(limit, want)) }); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}

func TestDocumentsHoldEveryContender(t *testing.T) {
	t.Parallel()
	s := named(t, "h-12-0")
	s.come = []time.Duration{0, time.Minute}
	var c *comparison
	inBubble(t, func() { c = compare(t, &s, 1) })
	svg, section := newPlot(c).svg(), c.section()
	for _, o := range c.outcomes {
		if !strings.Contains(svg, o.label()) || !strings.Contains(section, "| "+o.label()+" |") {
			t.Errorf("%s is missing in\n%s\n%s", o.label(), section, svg)
		}
	}
	if len(svg) > 60_000 {
		t.Errorf("the plot has %d bytes, more than a page should load", len(svg))
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
}
