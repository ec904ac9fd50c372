package limit

import "time"

const (
	// cleanAnswers served answers make a batch a witness for the gate, as long as its last cleanStreak were all good and
	// the last came within cleanFor.
	cleanAnswers = 5
	cleanStreak  = 50
	cleanFor     = 10 * time.Second
	// chanceLines lines that failed in one way at the open gate and were served later show that such failures pass; each
	// within chanceFor of the one before.
	chanceLines = 3
	chanceFor   = 10 * time.Minute
)

// witness is what a gate knows of one batch's answers.
type witness struct {
	answers, streak int
	last            time.Time
	// ends counts the batch's lines that were given up, by what they were told: with the upstream's own words, as long as
	// these are few, and without.
	ends map[verdictKey]int
}

// verdictKey is what lines that are given up were told.
type verdictKey struct {
	kind    Kind
	status  int
	message string
}

// mostVerdicts bounds how many different words are kept apart.
const mostVerdicts = 100

// gaveUp notes that a line is given up with what it was told.
func (w *witness) gaveUp(s *Signal) {
	if w.ends == nil {
		w.ends = make(map[verdictKey]int)
	}
	w.ends[verdictKey{s.Kind, s.Status, ""}]++
	if words := (verdictKey{s.Kind, s.Status, s.Message}); s.Message != "" && (w.ends[words] > 0 || len(w.ends) < mostVerdicts) {
		w.ends[words]++
	}
}

// alike reports whether so many lines were given up with the same status that one more is likely to be of their kind,
// and whether they were told the very same words.
func (w *witness) alike(s *Signal) (status, words bool) {
	status = w.ends[verdictKey{s.Kind, s.Status, ""}] >= aloneLines
	return status, s.Message != "" && w.ends[verdictKey{s.Kind, s.Status, s.Message}] >= aloneLines
}

func (w *witness) served(now time.Time) {
	w.answers++
	w.streak++
	w.last = now
}

func (w *witness) failed() { w.answers, w.streak = w.answers+1, 0 }

// clean reports whether the batch is served without failures right now.
func (w *witness) clean(now time.Time) bool {
	return w.answers >= cleanAnswers && w.streak >= min(w.answers, cleanStreak) && now.Sub(w.last) <= cleanFor
}

// chance counts lines that recovered from one kind of failure.
type chance struct {
	lines int
	last  time.Time
}

func (c *chance) recovered(now time.Time) {
	if now.Sub(c.last) > chanceFor {
		c.lines = 0
	}
	c.lines++
	c.last = now
}

func (c *chance) likely(now time.Time) bool {
	return c.lines >= chanceLines && now.Sub(c.last) <= chanceFor
}
