package cli

import (
	"testing"
	"time"
)

// start is some moment.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

func TestRatesKnowNothingBeforeTwoSamples(t *testing.T) {
	t.Parallel()
	var m meter
	for range 2 {
		if m.requests() != 0 || m.tokens() != 0 {
			t.Errorf("got %v requests and %v tokens per second", m.requests(), m.tokens())
		}
		if _, ok := m.left(10); ok {
			t.Error("a time is left though nothing moved")
		}
		m.observe(sample{at: start, done: 5, tokens: 100})
	}
}

func TestRatesCountWhatWasDoneSinceWatchingBegan(t *testing.T) {
	t.Parallel()
	var m meter
	m.observe(sample{at: start, done: 1000, tokens: 5000})
	m.observe(sample{at: at(2), done: 1100, tokens: 5600})
	if got := m.requests(); got != 50 {
		t.Errorf("got %v requests per second, want 50", got)
	}
	if got := m.tokens(); got != 300 {
		t.Errorf("got %v tokens per second, want 300", got)
	}
	if left, ok := m.left(1600); !ok || left != 10*time.Second {
		t.Errorf("got %s left, %v, want 10s", left, ok)
	}
}

func TestRateOfRequestsForgetsWhatIsOlderThanItsWindow(t *testing.T) {
	t.Parallel()
	var m meter
	for second := range 60 {
		done := int64(second * 100)
		if second > 30 {
			done = 3000 // nothing moves any more
		}
		m.observe(sample{at: at(float64(second)), done: done})
		if len(m.recent) > 13 {
			t.Fatalf("%d samples are kept for a window of %s", len(m.recent), rateWindow)
		}
	}
	if got := m.requests(); got != 0 {
		t.Errorf("got %v requests per second half a minute after the last one", got)
	}
	if _, ok := m.left(4000); ok {
		t.Error("a time is left though nothing moves")
	}
}

func TestRateSurvivesAClockThatStandsStillOrGoesBack(t *testing.T) {
	t.Parallel()
	var m meter
	m.observe(sample{at: start, done: 1})
	m.observe(sample{at: start, done: 2})
	m.observe(sample{at: at(-5), done: 3})
	if got := m.requests(); got != 0 {
		t.Errorf("got %v requests per second", got)
	}
}
