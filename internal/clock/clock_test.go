package clock_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"batchd/internal/clock"
)

// memory is a store of one time.
type memory struct {
	mu    sync.Mutex
	last  time.Time
	shift time.Duration
	saves int
	err   error
}

func (m *memory) LastTime(context.Context) (time.Time, time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last, m.shift, m.err
}

func (m *memory) SaveTime(_ context.Context, t time.Time, shift time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last, m.shift = t, shift
	m.saves++
	return m.err
}

// machine is a wall clock that can be set, and what was logged.
type machine struct {
	mu  sync.Mutex
	off time.Duration
	log bytes.Buffer
}

func (m *machine) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.Write(p)
}

func (m *machine) set(off time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = off
}

func (m *machine) wall() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Add(m.off)
}

// said returns what was logged since it was asked last, without times.
func (m *machine) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.log.Reset()
	return m.log.String()
}

// run opens a clock and lets it run until the returned function is called.
func (m *machine) run(t *testing.T, s clock.Store) (*clock.Clock, func()) {
	t.Helper()
	handler := slog.NewTextHandler(m, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "from" || a.Key == "to" {
			return slog.Attr{}
		}
		return a
	}})
	c, err := clock.Open(t.Context(), clock.Options{
		Store: s, Logger: slog.New(handler), Registerer: prometheus.NewRegistry(), Wall: m.wall,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	return c, func() { cancel(); running.Wait() }
}

// ahead is by how much c is ahead of a clock that was never set, in whole seconds.
func ahead(c *clock.Clock) time.Duration { return c.Now().Sub(time.Now().Round(0)).Round(time.Second) }

func TestASetClockIsToldAndTakenAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{}
		c, stop := m.run(t, &memory{})
		defer stop()
		time.Sleep(time.Hour)
		if got := m.said(); got != "" {
			t.Errorf("said %q while nothing happened", got)
		}
		m.set(-time.Hour)
		if _, agreed := c.Agreed(); agreed {
			t.Error("agreed at once after the wall clock was set")
		}
		if later := c.Later().Sub(time.Now().Round(0)).Round(time.Second); later != 0 {
			t.Errorf("what begins now lives from %s on, want now", later)
		}
		time.Sleep(59 * time.Second)
		if got := ahead(c); got != 0 {
			t.Errorf("ahead by %s within a minute", got)
		}
		time.Sleep(2 * time.Second)
		shift, agreed := c.Agreed()
		if got := ahead(c); got != -time.Hour || !agreed || shift.Round(time.Second) != -time.Hour {
			t.Errorf("ahead by %s after a minute, agreed %v, shift %s; want -1h, true and -1h", got, agreed, shift)
		}
		const want = `level=WARN msg="the wall clock was set; windows and expiry go by its new time once that has held for a minute" by=-1h0m0s
level=WARN msg="windows and expiry go by the wall clock's new time from now on" by=-1h0m0s
`
		if got := m.said(); got != want {
			t.Errorf("said\n%swant\n%s", got, want)
		}
	})
}

func TestTheTimeIsKeptAcrossRestartsAndAWrongOneIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := &machine{}, &memory{}
		_, stop := m.run(t, s)
		time.Sleep(90 * time.Second)
		m.set(10 * 365 * 24 * time.Hour)
		time.Sleep(20 * time.Second)
		stop()
		s.mu.Lock()
		if got := s.last.Sub(time.Now().Round(0)).Round(time.Second); got != 0 || s.saves != 3 {
			t.Errorf("saved %d times, the last one %s from now; want 3 times, at the start, after a minute and now", s.saves, got)
		}
		s.mu.Unlock()
		m.said()
		time.Sleep(time.Hour) // the process is down, and somebody sets the clock right
		m.set(0)
		c, stop := m.run(t, s)
		defer stop()
		if got := ahead(c); got != -time.Hour {
			t.Errorf("ahead by %s after the restart, want -1h", got)
		}
		if got := m.said(); !strings.HasPrefix(got, `level=INFO msg="windows and expiry go on from the last time seen`) {
			t.Errorf("said %q at the start", got)
		}
		time.Sleep(61 * time.Second)
		if got := ahead(c); got != 0 {
			t.Errorf("ahead by %s a minute after the restart, want 0", got)
		}
	})
}

func TestAStartThatCannotReadTheTimeFailsAndARunThatCannotStoreItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		if _, err := clock.Open(t.Context(), clock.Options{Store: &memory{err: broken}}); !errors.Is(err, broken) {
			t.Errorf("got error %v, want %v", err, broken)
		}
		m, s := &machine{}, &memory{}
		_, stop := m.run(t, s)
		defer stop()
		time.Sleep(time.Second)
		s.mu.Lock()
		s.err = broken
		s.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if got := strings.Count(m.said(), "level=ERROR"); got != 2 {
			t.Errorf("%d errors in two minutes, want 2", got)
		}
	})
}
