package limit

// State is how a gate stands, for those who watch it.
type State struct {
	// InFlight of Limit calls are under way.
	InFlight, Limit int
	// LimitedBy is the part of the limit that is the least.
	LimitedBy Part
	// Step is what the gate does to find out how many calls are worth having in flight, or why it keeps to what it found.
	Step Step
	// Closed is set while calls are held back until a probe is served.
	Closed bool
	// Condition is what keeps lines waiting at the gate; its reason is empty while that may be a matter of single lines.
	Condition Condition
}

// Part is one of those a limit is the least of.
type Part string

// The parts.
const (
	// PartAddress is the upstream's cap, and what unreachable answers leave of it.
	PartAddress Part = "address"
	// PartRoom is what answers without room and failures leave.
	PartRoom Part = "room"
	// PartGoodput is how many calls were found worth having in flight.
	PartGoodput Part = "goodput"
	// PartPace is how fast a limit may grow.
	PartPace Part = "pace"
)

// State returns how the gate stands now.
func (g *Gate) State() State {
	c, _ := g.Condition()
	s := State{InFlight: g.inFlight, Limit: g.Limit(), Step: g.goodput.step, Closed: g.Closed(), Condition: c}
	switch least := g.least(); {
	case int(g.pace.limit) < least:
		s.LimitedBy = PartPace
	case g.address.limit == least:
		s.LimitedBy = PartAddress
	case g.room.limit == least:
		s.LimitedBy = PartRoom
	default:
		s.LimitedBy = PartGoodput
	}
	return s
}

// Condition returns what keeps lines waiting at the gate; false while it may be a matter of single lines.
func (g *Gate) Condition() (Condition, bool) {
	if c, ok := g.address.Condition(); ok {
		return c, true
	}
	return g.closing.condition()
}
