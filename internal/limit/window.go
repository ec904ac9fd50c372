package limit

import "time"

const (
	// windowVoid is when a window that is not finished is thrown away: what it began with is long over.
	windowVoid = 10 * time.Minute
	// windowFull is the share of a window's time for which calls in flight must have stood at the limit.
	windowFull = 0.9
	// quickGroup answers are a group, of which the quickest counts: see yield.quickest.
	quickGroup = 8
	// firstGroups groups at the beginning of the first window have hardly waited, whatever is in flight.
	firstGroups = 2
)

// window measures what comes of a limit, from served answers alone.
type window struct {
	// since is when it opened, zero before that; notBefore is when it may open.
	since, notBefore time.Time
	answers          int
	tokens           int64
	// squares and products are sums over answers of the square of the tokens, and of tokens × seconds.
	squares, products float64
	// silent counts answers without usage.
	silent int
	// took is the sum of the calls' times; quick that of the quickest call in each of groups groups, quickest is that of
	// the group under way.
	took, quick, quickest time.Duration
	groups                int
	// first is what the first groups took at the least.
	first least
	// full is for how long calls in flight stood at the limit up to at; standing says whether they do since.
	full     time.Duration
	at       time.Time
	standing bool
}

// reset begins a new window, which opens when calls in flight stand at the limit, but not before notBefore.
func (w *window) reset(now, notBefore time.Time) {
	*w = window{notBefore: notBefore, at: now, standing: w.standing}
	w.open(now)
}

// stand notes whether calls in flight stand at the limit from now on.
func (w *window) stand(now time.Time, standing bool) {
	w.advance(now)
	w.standing = standing
	w.open(now)
}

// advance counts the time that has passed.
func (w *window) advance(now time.Time) {
	if w.standing && !w.since.IsZero() {
		w.full += now.Sub(w.at)
	}
	w.at = now
}

// open opens the window if that is due.
func (w *window) open(now time.Time) {
	if w.since.IsZero() && w.standing && !now.Before(w.notBefore) {
		w.since = now
	}
}

// served counts an answer, if the window is open, and returns for how long it has been.
func (w *window) served(now time.Time, took time.Duration, tokens int64) time.Duration {
	if w.since.IsZero() {
		return 0
	}
	w.advance(now)
	length := now.Sub(w.since)
	if length <= 0 {
		return 0
	}
	w.answers++
	w.took += took
	w.tokens += tokens
	w.squares += float64(tokens) * float64(tokens)
	w.products += float64(tokens) * took.Seconds()
	if tokens <= 0 {
		w.silent++
	}
	if w.quickest == 0 || took < w.quickest {
		w.quickest = took
	}
	if w.answers%quickGroup == 0 {
		w.group()
	}
	return length
}

// group ends a group of answers.
func (w *window) group() {
	w.groups++
	w.quick += w.quickest
	w.quickest = 0
	if w.groups == firstGroups {
		y := w.yield(w.at)
		w.first = least{quickest: y.quickest(), perToken: y.perToken()}
	}
}

// valid reports whether calls in flight stood at the limit for nearly all of the window.
func (w *window) valid(length time.Duration) bool {
	return float64(w.full) >= windowFull*float64(length)
}

// yield returns what the window has found.
func (w *window) yield(now time.Time) yield {
	return yield{
		length: now.Sub(w.since).Seconds(), answers: float64(w.answers), tokens: float64(w.tokens), told: w.silent == 0,
		took: w.took.Seconds(), quick: w.quick.Seconds(), groups: float64(w.groups),
		squares: w.squares, products: w.products,
	}
}
