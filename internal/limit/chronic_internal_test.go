package limit

import (
	"testing"
	"time"
)

// share has windows of answers come at a limit in force, of which so many of a hundred are refusals, spread evenly.
func (s *seats) share(windows, limit, percent int) {
	for range windows {
		s.room.limit = min(s.room.limit, limit)
		for i := range max(windowAnswers, limit) {
			s.now = s.now.Add(10 * time.Millisecond)
			if i*percent/100 != (i+1)*percent/100 {
				s.room.refused(s.now, limit-1, limit)
			} else {
				s.room.served(s.now, limit, limit)
			}
		}
	}
}

// chronicRoom returns a room where a quarter of the answers are refusals, at the top and at half of it.
func chronicRoom(t *testing.T) *seats {
	t.Helper()
	s := newSeats(t)
	s.room = newRoom(1000, 1000)
	s.share(1, 100, 25)
	s.share(3, 50, 25)
	return s
}

func TestRefusalsThatDoNotBecomeRarerLowerNothing(t *testing.T) {
	t.Parallel()
	s := chronicRoom(t)
	if !s.room.chronic.ignoring(s.now) || s.room.limit < 100 || s.room.ceiling != 0 {
		t.Fatalf("limit %d, ceiling %d, refusals ignored: %v", s.room.limit, s.room.ceiling, s.room.chronic.ignoring(s.now))
	}
	before := s.room.limit
	for range 20 {
		s.room.refused(s.now, 10, 100)
	}
	if s.room.limit != before || s.room.ceiling != 0 {
		t.Errorf("limit %d, ceiling %d; want %d and none", s.room.limit, s.room.ceiling, before)
	}
}

func TestRefusalsAreTakenToBeAboutRoomUnlessAllShowsOtherwise(t *testing.T) {
	t.Parallel()
	for name, windows := range map[string][][3]int{
		"two windows":                      {{1, 100, 25}, {2, 50, 25}},
		"not at half the limit":            {{1, 100, 25}, {9, 51, 25}},
		"rarer than half":                  {{1, 100, 40}, {9, 50, 18}},
		"fewer than a tenth":               {{1, 100, 16}, {9, 50, 9}},
		"more than seven tenths":           {{1, 100, 80}, {9, 50, 75}},
		"a window with next to none":       {{1, 100, 25}, {2, 50, 25}, {1, 50, 2}, {2, 50, 25}},
		"no refusals at the top that told": {{1, 100, 2}, {3, 50, 25}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSeats(t)
			s.room = newRoom(1000, 1000)
			for _, w := range windows {
				s.share(w[0], w[1], w[2])
			}
			if s.room.chronic.ignoring(s.now) {
				t.Error("refusals are ignored")
			}
		})
	}
}

func TestAWindowThatSaysNothingDoesNotUndoTheOthers(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	s.room = newRoom(1000, 1000)
	s.share(1, 100, 25)
	s.share(2, 50, 25)
	s.share(1, 50, 8)
	s.share(1, 50, 25)
	if !s.room.chronic.ignoring(s.now) {
		t.Error("refusals count though a quarter are refused whatever the limit")
	}
}

func TestIgnoredRefusalsAreIgnoredForAsLongAsTheyStay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		percent int
		pause   time.Duration
		want    bool
	}{
		"they stay":             {25, 0, true},
		"over a tenth, renewed": {15, 4*time.Minute + 50*time.Second, true},
		"under a tenth, lapsed": {8, 4*time.Minute + 50*time.Second, false},
		"nearly doubled":        {46, 0, true},
		"doubled":               {52, 0, false},
		"all":                   {100, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := chronicRoom(t)
			s.now = s.now.Add(c.pause)
			s.share(1, 100, c.percent)
			s.now = s.now.Add(c.pause)
			if got := s.room.chronic.ignoring(s.now); got != c.want {
				t.Errorf("ignored %v, want %v", got, c.want)
			}
		})
	}
}

func TestAShareThatDoublesBelowAFifthIsIgnoredStill(t *testing.T) {
	t.Parallel()
	s := chronicRoom(t)
	s.room.chronic.usual = 0.08
	s.share(1, 100, 18)
	if !s.room.chronic.ignoring(s.now) {
		t.Error("refusals count though fewer than a fifth are refused")
	}
}

func TestWhatIsInForceTellsHowLongAWindowIs(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	s.room = newRoom(AutoMost, AutoMost) // this part allows far more than another one does
	s.room.served(s.now, 100, 100)
	s.share(1, 100, 25)
	s.share(5, 50, 25)
	if !s.room.chronic.ignoring(s.now) {
		t.Error("not seen after a few windows of what is in force")
	}
}

func TestAWindowOfRefusalsHasThirtyAnswersAtLeast(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	s.room = newRoom(8, 8)
	for range 29 {
		s.room.refused(s.now, 7, 8)
	}
	if s.room.chronic.share != 0 {
		t.Error("judged too early")
	}
	s.room.refused(s.now, 7, 8)
	if s.room.chronic.share != 1 || s.room.chronic.top != 8 {
		t.Errorf("share %.2f at %d, want all at 8", s.room.chronic.share, s.room.chronic.top)
	}
}

func TestIgnoringRefusalsAgainTakesAsManyWindows(t *testing.T) {
	t.Parallel()
	s := chronicRoom(t)
	s.now = s.now.Add(5 * time.Minute)
	s.share(2, 50, 25)
	if s.room.chronic.ignoring(s.now) {
		t.Error("ignored again after two windows")
	}
	s.share(1, 50, 25)
	if !s.room.chronic.ignoring(s.now) {
		t.Error("not ignored after three windows")
	}
}
