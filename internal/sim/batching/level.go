package batching

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// A Level is an entry of a timetable of capacity: from a time on, what it is about is multiplied by a factor, until
// the next entry. Before the first entry the factor is 1.
type Level struct {
	At     time.Duration
	Factor float64
}

// checkLevels checks what holds for every timetable.
func checkLevels(name string, levels []Level) error {
	if !slices.IsSortedFunc(levels, func(a, b Level) int { return cmp.Compare(a.At, b.At) }) {
		return &OptionError{name, "is not in order of time"}
	}
	for _, l := range levels {
		if l.Factor < 0 || math.IsNaN(l.Factor) || math.IsInf(l.Factor, 0) {
			return &OptionError{name, fmt.Sprintf("has factor %v at %v", l.Factor, l.At)}
		}
	}
	return nil
}

// factorAt is the factor that a timetable gives for a time.
func factorAt(levels []Level, now time.Duration) float64 {
	factor := 1.0
	for _, l := range levels {
		if l.At > now {
			break
		}
		factor = l.Factor
	}
	return factor
}

// scaled is a number of places under a factor.
func scaled(n int, factor float64) int {
	if factor == 1 {
		return n
	}
	return int(math.Round(float64(n) * factor))
}
