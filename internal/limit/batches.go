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
