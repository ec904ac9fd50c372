package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Shift is an entry of a timetable of capacity: what SetSeats is called with at a time.
type Shift struct {
	// At is the time since New, above 0.
	At time.Duration
	// Seats is how many sequences run at a time from then on; 0 means no limit.
	Seats int
}

// ParseTimetable reads shifts like `5m=4,10m=12`; the empty text has none.
func ParseTimetable(text string) ([]Shift, error) {
	if text == "" {
		return nil, nil
	}
	var shifts []Shift
	for entry := range strings.SplitSeq(text, ",") {
		at, seats, ok := strings.Cut(entry, "=")
		if !ok {
			return nil, fmt.Errorf("timetable entry %q is not TIME=SEATS", entry)
		}
		var s Shift
		var err error
		if s.At, err = time.ParseDuration(at); err != nil {
			return nil, fmt.Errorf("timetable entry %q: %w", entry, err)
		}
		if s.Seats, err = strconv.Atoi(seats); err != nil {
			return nil, fmt.Errorf("timetable entry %q: %w", entry, err)
		}
		shifts = append(shifts, s)
	}
	return shifts, nil
}

func checkTimetable(shifts []Shift) error {
	last := time.Duration(0)
	for i, s := range shifts {
		if s.At <= last {
			return fmt.Errorf("sim option Timetable[%d] is at %v, not after %v", i, s.At, last)
		}
		if s.Seats < 0 {
			return fmt.Errorf("sim option Timetable[%d] has seats below zero", i)
		}
		last = s.At
	}
	return nil
}

// followTimetable sets a timer for each shift. They hold the engine until they fire and need no stopping.
func (e *Engine) followTimetable() {
	for _, s := range e.opts.Timetable {
		time.AfterFunc(s.At, func() { e.SetSeats(s.Seats) })
	}
}
