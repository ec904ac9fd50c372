package upstream

import (
	"testing"
	"time"
)

func TestPauseLetsOneProbeThroughAtATime(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	var p pause
	expect := func(want ticket, wait time.Duration) {
		t.Helper()
		got, w := p.enter(now)
		if got != want || w != wait {
			t.Errorf("got ticket %d, wait %v; want %d, %v", got, w, want, wait)
		}
	}
	expect(normal, 0)
	if c := p.leave(normal, now, "status_401", false); c != began {
		t.Errorf("the first refusal: %v", c)
	}
	expect(refused, probeEvery)
	now = now.Add(probeEvery)
	expect(probe, 0)
	expect(refused, probeEvery) // one at a time
	now = now.Add(time.Hour)
	if c := p.leave(probe, now, "", false); c != unchanged { // the probe got no answer
		t.Errorf("a probe without an answer: %v", c)
	}
	expect(refused, probeEvery)
	now = now.Add(probeEvery)
	expect(probe, 0)
	if c := p.leave(probe, now, "", true); c != ended {
		t.Errorf("a probe that passed: %v", c)
	}
	expect(normal, 0)
}

func TestPauseIsNotEndedByCallsOfBefore(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	var p pause
	p.leave(normal, now, "status_403", false)
	if c := p.leave(normal, now.Add(time.Second), "", true); c != unchanged {
		t.Errorf("an answer to a call of before: %v", c)
	}
	if c := p.leave(normal, now.Add(20*time.Second), "status_401", false); c != unchanged {
		t.Errorf("a second refusal: %v", c)
	}
	reason, since, ok := p.state()
	if !ok || reason != "status_401" || !since.Equal(now) {
		t.Errorf("state %q since %v, %v", reason, since, ok)
	}
	if wait := p.wait(now.Add(20 * time.Second)); wait != 10*time.Second {
		t.Errorf("a late refusal moved the probe: wait %v", wait)
	}
}

func TestPauseSurvivesAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	var p pause
	p.leave(normal, now, "status_401", false)
	if wait := p.wait(now.Add(-24 * time.Hour)); wait != probeEvery {
		t.Errorf("wait %v", wait)
	}
}
