package limit

import (
	"testing"
	"time"
)

// seats is a room before an upstream that has so many seats, and the time there.
type seats struct {
	t     *testing.T
	room  room
	seats int
	now   time.Time
}

// newSeats returns the room of a gate that has just sent 64 calls to 56 seats, and so been refused eight times.
func newSeats(t *testing.T) *seats {
	t.Helper()
	s := &seats{t: t, room: newRoom(64, 1000), seats: 56, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for inFlight := 63; inFlight >= 56; inFlight-- {
		s.refuse(inFlight)
	}
	s.want(56, 56)
	return s
}

func (s *seats) want(limit, ceiling int) {
	s.t.Helper()
	if s.room.limit != limit || s.room.ceiling != ceiling {
		s.t.Errorf("limit %d, ceiling %d; want %d, %d", s.room.limit, s.room.ceiling, limit, ceiling)
	}
}

// refuse has a call refused beside so many others.
func (s *seats) refuse(inFlight int) { s.room.refused(s.now, inFlight, s.room.limit) }

// serve has calls served with every place taken, one after each other pause.
func (s *seats) serve(n int, pause time.Duration) {
	for range n {
		s.now = s.now.Add(pause)
		s.room.served(s.now, s.room.limit, s.room.limit)
	}
}

// untilStep has calls served until the limit grows, and returns how many.
func (s *seats) untilStep() int {
	limit := s.room.limit
	for n := 1; n < 10_000; n++ {
		if s.serve(1, 0); s.room.limit > limit {
			return n
		}
	}
	return 0
}

func TestAboveTheCeilingStepsBecomeRarerWhenTheyAreRefusedAndOftenerWhenTheyHold(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	for _, k := range []int{1, 2, 4, 8, 16, 32, 32} {
		if n := s.untilStep(); n != k*56 {
			t.Errorf("a step after %d answers, want %d", n, k*56)
		}
		s.want(57, 56)
		s.refuse(56)
		s.want(56, 56)
	}
	if n := s.untilStep(); n != 32*56 {
		t.Errorf("a step after %d answers, want %d", n, 32*56)
	}
	for i, k := range []int{32, 16, 8, 4, 2, 1, 1} { // each step waits with what the one before it left
		if n := s.untilStep(); n != k*(57+i) {
			t.Errorf("a step after %d answers, want %d", n, k*(57+i))
		}
		s.want(58+i, 57+i)
	}
}

func TestBelowTheCeilingEachAnswerGivesAPlace(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	s.room.lower(20)
	s.want(20, 56)
	s.serve(36, 0)
	s.want(56, 56)
	s.serve(55, 0)
	s.want(56, 56)
	s.serve(1, 0)
	s.want(57, 56)
}

func TestWithoutACeilingEachAnswerGivesAPlaceUpToTheMost(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	s.room = newRoom(64, 64)
	s.room.lower(10)
	s.serve(100, 0)
	s.want(64, 0)
}

func TestARefusalWithFewInFlightLeavesNoNewCeiling(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ inFlight, ceiling int }{"half": {28, 28}, "less": {27, 56}, "none": {0, 56}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSeats(t)
			s.refuse(c.inFlight)
			s.want(max(1, c.inFlight), c.ceiling)
		})
	}
	s := newSeats(t)
	s.room.refused(s.now, 4, 8) // half of what was in force, though this part allowed more
	s.want(4, 4)
}

func TestARefusalNeverRaisesTheLimit(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	s.room.lower(20)
	s.refuse(50) // there are more in flight than may begin
	if s.room.limit != 20 {
		t.Errorf("limit %d, want 20", s.room.limit)
	}
}

func TestWhatARefusalTookIsGivenBackWhenItWasTheLinesOwn(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	took, _ := s.room.refused(s.now, 53, 56) // two calls had ended that were not followed by others yet
	s.want(53, 53)
	s.room.giveBack(took)
	s.want(56, 56)
	s.untilStep()
	took, _ = s.room.refused(s.now, 56, 57)
	if s.room.cautious != 2 {
		t.Errorf("after a refused step the next waits for %d times the limit, want 2", s.room.cautious)
	}
	s.room.giveBack(took)
	s.want(57, 57)
	if s.room.cautious != 1 {
		t.Errorf("steps wait for %d times the limit, want 1 as before", s.room.cautious)
	}
	s.room = newRoom(64, 64)
	s.room.giveBack(1)
	s.want(64, 0)
	s.room.ceiling = 64
	s.room.giveBack(1)
	s.want(64, 64)
}

func TestARoomReopensAtHalfAndBelowTheCeilingOfBefore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ before, ceiling, want int }{
		"half": {64, 0, 32}, "never nothing": {1, 0, 1}, "a ceiling above": {64, 56, 32}, "a ceiling below": {64, 20, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSeats(t)
			s.untilStep()
			s.room.reopen(c.before, c.ceiling)
			s.want(c.want, c.ceiling)
			if s.room.stepped || s.room.credit != 0 {
				t.Error("a step from before the closing is remembered")
			}
		})
	}
}

// windowsUntilForgotten serves windows at the ceiling until that is forgotten, and returns how many it took.
func (s *seats) windowsUntilForgotten() int {
	for n := 1; n <= 20; n++ {
		s.room.cautious, s.room.met = maxCautious, 0 // so that the limit stands still meanwhile
		window := max(windowAnswers, s.room.limit)
		s.serve(window-1, 0)
		if s.room.ceiling == 0 {
			s.t.Error("forgotten within a window")
		}
		s.serve(1, forgetWindow)
		if s.room.ceiling == 0 {
			return n
		}
	}
	return 0
}

func TestACeilingIsForgottenAfterThreeWindowsWithoutARefusal(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	if n := s.windowsUntilForgotten(); n != 3 {
		t.Fatalf("forgotten after %d windows, want 3", n)
	}
	if s.room.cautious != maxCautious {
		t.Errorf("steps wait for %d times the limit, want as before", s.room.cautious)
	}
	before := s.room.limit
	s.serve(5, 0)
	s.want(before+5, 0)
}

func TestACeilingThatProvesRightIsKeptForTwiceAsLong(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	for _, want := range []int{3, 6, 8, 8} {
		if n := s.windowsUntilForgotten(); n != want {
			t.Fatalf("forgotten after %d windows, want %d", n, want)
		}
		s.room.limit = 70
		s.refuse(67) // below 1.2 × 56
		s.room.lower(56)
		s.room.ceiling = 56
	}
	s.windowsUntilForgotten()
	s.room.limit = 70
	s.refuse(68)
	s.room.lower(56)
	s.room.ceiling = 56
	if n := s.windowsUntilForgotten(); n != 3 {
		t.Errorf("forgotten after %d windows though the ceiling had proved wrong, want 3", n)
	}
}

func TestOnlyWindowsAtTheCeilingAndWithoutARefusalCount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(s *seats)
		want  int
	}{
		"all well": {func(*seats) {}, 1},
		"refused":  {func(s *seats) { s.refuse(56); s.room.limit, s.room.ceiling = 56, 56 }, 3},
		"below": {func(s *seats) {
			for range 1000 {
				s.now = s.now.Add(time.Second)
				s.room.served(s.now, 55, 56)
				s.room.credit = 0
			}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSeats(t)
			for range 2 {
				s.room.cautious, s.room.met = maxCautious, 0
				s.serve(55, 0)
				s.serve(1, forgetWindow)
			}
			c.spoil(s)
			if n := s.windowsUntilForgotten(); n != c.want {
				t.Errorf("forgotten after %d windows more, want %d", n, c.want)
			}
		})
	}
}

func TestAWindowLastsTenSecondsAtLeast(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	s.room.cautious = maxCautious
	s.serve(500, 0)
	s.serve(1, 10*time.Second-1)
	if s.room.calm.windows != 0 {
		t.Error("over too early")
	}
	s.serve(1, 1)
	if s.room.calm.windows != 1 {
		t.Error("not over after ten seconds and 502 answers")
	}
}

func TestAWindowHasThirtyAnswersAtLeast(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	s.room.limit, s.room.ceiling, s.room.cautious = 8, 8, maxCautious
	s.serve(29, forgetWindow)
	if s.room.calm.windows != 0 {
		t.Error("over too early")
	}
	s.serve(1, 0)
	if s.room.calm.windows != 1 {
		t.Error("not over after 30 answers")
	}
}
