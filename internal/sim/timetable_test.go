package sim_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/sim"
)

func TestSeatsFollowTheTimetable(t *testing.T) {
	t.Parallel()
	opts := sim.Options{
		Seats: 4, Queue: -1, Base: 10 * time.Second,
		Timetable: []sim.Shift{{At: 15 * time.Second, Seats: 1}, {At: 45 * time.Second, Seats: 3}, {At: time.Minute}},
	}
	inBubble(t, opts, func(t *testing.T, e *sim.Engine, client *http.Client) {
		var calls sync.WaitGroup
		calls.Go(func() { callMany(t, client, 30) })
		var running []int
		for range 7 {
			time.Sleep(9 * time.Second)
			synctest.Wait()
			running = append(running, e.Stats().Running)
		}
		// At 9 s, 18 s (they keep their seats), 27 s and 36 s (one at a time), 45 s and 54 s, and 63 s, when all that are left run.
		if d := cmp.Diff([]int{4, 4, 1, 1, 3, 3, 16}, running); d != "" {
			t.Errorf("running every 9 s (-want +got):\n%s", d)
		}
		calls.Wait()
	})
}

func TestATimetableIsReadFromText(t *testing.T) {
	t.Parallel()
	got, err := sim.ParseTimetable("90s=4,1h=0")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]sim.Shift{{At: 90 * time.Second, Seats: 4}, {At: time.Hour}}, got); d != "" {
		t.Errorf("timetable (-want +got):\n%s", d)
	}
	if got, err := sim.ParseTimetable(""); got != nil || err != nil {
		t.Errorf("no text gives %v, %v", got, err)
	}
	for _, bad := range []string{",", "5m", "5=1", "5m=many", "5m=1;6m=2"} {
		if got, err := sim.ParseTimetable(bad); err == nil || !strings.Contains(err.Error(), "timetable entry") {
			t.Errorf("ParseTimetable(%q) = %v, %v", bad, got, err)
		}
	}
}

func TestAWrongTimetableIsNamed(t *testing.T) {
	t.Parallel()
	for _, bad := range [][]sim.Shift{{{At: 0, Seats: 1}}, {{At: 2, Seats: 1}, {At: 2, Seats: 1}}, {{At: 1, Seats: -1}}} {
		if _, err := sim.New(sim.Options{Timetable: bad}); err == nil || !strings.Contains(err.Error(), "Timetable[") {
			t.Errorf("New with %v = %v, want the entry named", bad, err)
		}
	}
}
