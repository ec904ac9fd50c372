package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"batchd/internal/sim/batching"
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
	var shifts []Shift
	err := parseTimes(text, "SEATS", func(at time.Duration, value string) error {
		seats, err := strconv.Atoi(value)
		shifts = append(shifts, Shift{At: at, Seats: seats})
		return err
	})
	return shifts, err
}

// ParseLevels reads factors of capacity or speed like `0s=0.5,10m=1`; the empty text has none.
func ParseLevels(text string) ([]batching.Level, error) {
	var levels []batching.Level
	err := parseTimes(text, "FACTOR", func(at time.Duration, value string) error {
		factor, err := strconv.ParseFloat(value, 64)
		levels = append(levels, batching.Level{At: at, Factor: factor})
		return err
	})
	return levels, err
}

// parseTimes reads the entries of a timetable, like `5m=x,10m=y`.
func parseTimes(text, what string, entry func(at time.Duration, value string) error) error {
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		at, value, ok := strings.Cut(part, "=")
		if !ok {
			return fmt.Errorf("timetable entry %q is not TIME=%s", part, what)
		}
		since, err := time.ParseDuration(at)
		if err == nil {
			err = entry(since, value)
		}
		if err != nil {
			return fmt.Errorf("timetable entry %q: %w", part, err)
		}
	}
	return nil
}
