package limit

import "testing"

func TestWindowsFarBelowHalfCountAndThoseNearTheTopCorrectTheShare(t *testing.T) {
	t.Parallel()
	for name, windows := range map[string][][3]int{
		"far below half":                 {{1, 100, 25}, {3, 30, 25}},
		"the first window told too much": {{1, 100, 60}, {1, 100, 25}, {3, 50, 20}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSeats(t)
			s.room = newRoom(1000, 1000)
			for _, w := range windows {
				s.share(w[0], w[1], w[2])
			}
			if !s.room.chronic.ignoring(s.now) {
				t.Error("refusals count though they do not become rarer")
			}
		})
	}
}

func TestMoreThanSevenTenthsRefusedAreAnOutageHoweverManyWereUsual(t *testing.T) {
	t.Parallel()
	for percent, want := range map[int]bool{65: true, 75: false} {
		s := chronicRoom(t)
		s.room.chronic.usual = 0.6
		s.share(1, 100, percent)
		if got := s.room.chronic.ignoring(s.now); got != want {
			t.Errorf("%d%% refused: ignored %v, want %v", percent, got, want)
		}
	}
}
