package limit

import "time"

// moment is a time, and among equal times the order in which the address saw things happen: on a fast upstream the end
// of one call and the begin of the next may show the same time.
type moment struct {
	at    time.Time
	order uint64
}

func (m moment) after(o moment) bool {
	if m.at.Equal(o.at) {
		return m.order > o.order
	}
	return m.at.After(o.at)
}

func (m moment) latest(o moment) moment {
	if o.after(m) {
		return o
	}
	return m
}

// moment numbers something that happens now.
func (a *Address) moment(now time.Time) moment {
	a.events++
	return moment{now, a.events}
}
