package main

import (
	"fmt"
	"strings"
)

// reaches returns the end of the first second from which on so many calls were served in a second, over a few.
func (h *history) reaches(speed float64) (float64, bool) {
	moments := append([]moment{{}}, h.Seconds...)
	for i := recoveredFor; i < len(moments); i++ {
		from, to := moments[i-recoveredFor], moments[i]
		if float64(to.Served-from.Served)/(to.At-from.At) >= speed {
			return moments[i-recoveredFor+1].At, true
		}
	}
	return 0, false
}

// courseOf is for how many seconds one figure of a course stands.
const courseOf = 10

// course is the mean in flight in tens of seconds, as multiples of the seats, and the refusals in them.
func (h *history) course(seats float64) string {
	var out strings.Builder
	out.WriteString("in flight over seats by tens of seconds:")
	moments := append([]moment{{}}, h.Seconds...)
	for i := courseOf; i < len(moments); i += courseOf {
		from, to := moments[i-courseOf], moments[i]
		fmt.Fprintf(&out, " %.2f", (to.Flight-from.Flight)/(to.At-from.At)/seats)
		if n := to.Refused - from.Refused; n > 0 {
			fmt.Fprintf(&out, " (%d refused)", n)
		}
	}
	return out.String()
}
