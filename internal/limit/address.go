package limit

// Address is what the gates of one upstream have in common: whether it can be reached, its cap on calls in flight, and
// the one suspect that may be in flight there.
type Address struct {
	// most is the cap, limit what of it unreachable answers leave.
	most, limit int
	inFlight    int
	closing     closing
	// openings counts how often it has opened again.
	openings int
	// events numbers what happens.
	events uint64
	// suspects is how many suspects are in flight, crashed when the connection of one broke last.
	suspects int
	crashed  moment
	jitter   func() float64
}

// NewAddress returns an address that takes at most so many calls at a time. jitter returns numbers from 0 to 1.
func NewAddress(most int, jitter func() float64) *Address {
	return &Address{most: most, limit: most, jitter: jitter}
}

// InFlight returns how many calls are in flight.
func (a *Address) InFlight() int { return a.inFlight }

// Cap returns how many calls may be in flight at most.
func (a *Address) Cap() int { return a.most }

// Condition returns why the address takes no calls; false if it does.
func (a *Address) Condition() (Condition, bool) { return a.closing.condition() }

// full reports whether no call more may be in flight.
func (a *Address) full() bool { return a.inFlight >= a.limit }

// reached notes an answer of any kind: the address can be reached.
func (a *Address) reached(began moment) {
	if a.limit < a.most && !a.closing.outlived(began) {
		a.limit++
	}
	if a.closing.served(began) {
		a.limit = max(1, a.closing.before/2)
		a.openings++
	}
}

// unreached notes a call for which no connection came about; before is the limit that was in force at its gate. More
// than that may have been in flight through all gates.
func (a *Address) unreached(now, began moment, key lineKey, s *Signal, before int) {
	if a.closing.fail(now, began, key, s) {
		a.closing.before = max(before, a.inFlight+1)
	}
	a.limit = max(1, min(a.limit, a.inFlight))
	if a.inFlight == 0 {
		a.closing.close(now, a.jitter())
	}
}
