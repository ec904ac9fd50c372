package limit

// class groups the kinds of failure that a line's record keeps apart: a line that failed with 403 and then with 500
// has failed each way once.
type class int

const (
	classDenied class = iota
	classBroken
	classNoRoom
	classUnreachable
	classes = iota
)

// classOf returns the class of a failure; false for kinds that are none.
func classOf(k Kind) (class, bool) {
	switch k {
	case Denied:
		return classDenied, true
	case Broken:
		return classBroken, true
	case NoRoom:
		return classNoRoom, true
	case Unreachable:
		return classUnreachable, true
	default:
		return 0, false
	}
}

// History is what a line's failed tries have shown. The zero value is a line that never failed; it is owned by whoever
// owns the line, and changed by Permit.Done alone. It is not safe for concurrent use.
type History struct {
	// Batch names the line's batch, Line its number; together they tell lines apart.
	Batch string
	Line  uint32
	// Small is set for a line of a batch of fewer than 20 lines in all.
	Small bool

	// failed is nil until the line fails for the first time, as nearly every line never does.
	failed *failures
}

// failures are a line's failed tries.
type failures struct {
	by [classes]record
	// lost is how many tries ended with a connection that broke, but for those put down to another line.
	lost int
	// last is what the line was told last.
	last Signal
}

// record is what a line's tries of one class have shown.
type record struct {
	// tries is how often the line failed in this way, strikes how often that counted against it.
	tries, strikes int
	// began and ended are those of the first such try: a call that was served after it was served after the later ones'
	// cause was there, and one that began after the last of them may never come.
	began, ended moment
	// proven is set when the gate has served others between two such failures: the fault is the line's own.
	proven bool
	// lowered is set once a refusal of the line has lowered the gate's limit, places is how many places that took.
	lowered bool
	places  int
}

// Suspect reports whether the line is to be sent alone among its like: its connection broke twice, so it may be what
// crashes the server.
func (h *History) Suspect() bool { return h.failed != nil && h.failed.lost >= suspectAfter }

// Last returns what the line was told last; false if it never failed.
func (h *History) Last() (Signal, bool) {
	if h.failed == nil {
		return Signal{}, false
	}
	return h.failed.last, true
}

// Tries returns how often the line failed.
func (h *History) Tries() int {
	if h.failed == nil {
		return 0
	}
	n := 0
	for i := range h.failed.by {
		n += h.failed.by[i].tries
	}
	return n
}

// Proven reports whether the fault of the line's last failure is known to be its own.
func (h *History) Proven() bool {
	if h.failed == nil {
		return false
	}
	c, ok := classOf(h.failed.last.Kind)
	return ok && h.failed.by[c].proven
}

// note enters a failure and returns its record. The gate decides about strikes; see Gate.own.
func (h *History) note(now, began moment, s *Signal) (*record, bool) {
	c, ok := classOf(s.Kind)
	if !ok {
		return nil, false
	}
	if h.failed == nil {
		h.failed = &failures{}
	}
	h.failed.last = *s
	r := &h.failed.by[c]
	if r.tries == 0 {
		r.began, r.ended = began, now
	}
	r.tries++
	return r, true
}
