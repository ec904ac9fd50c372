package limit

import (
	"math"
	"time"
)

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
	if w.answers%quickGroup != 0 {
		return length
	}
	w.groups++
	w.quick += w.quickest
	w.quickest = 0
	if w.groups == firstGroups {
		y := w.yield(w.at)
		w.first = least{quickest: y.quickest(), perToken: y.perToken()}
	}
	return length
}

// yield returns what the window has found.
func (w *window) yield(now time.Time) yield {
	return yield{
		length: now.Sub(w.since).Seconds(), answers: float64(w.answers), tokens: float64(w.tokens), told: w.silent == 0,
		took: w.took.Seconds(), quick: w.quick.Seconds(), groups: float64(w.groups),
		squares: w.squares, products: w.products,
	}
}

const (
	// changedGoodput and changedCall are by how much a window must differ from those before to be odd.
	changedGoodput = 0.20
	changedCall    = 0.15
	// pooled windows of one limit are taken together, so that chance plays a smaller part.
	pooled = 4
	// scatter, divided by the root of the number of answers, is how far goodput may be off by chance: nearly two standard
	// deviations where calls differ as much as those of a language model.
	scatter = 1.2
	// leastFor is when the least time of calls is forgotten; leastGroups groups must have found it.
	leastFor    = time.Hour
	leastGroups = 4
	// firstRise is how far the quickest calls' time must have risen in the first window for its beginning to be the least.
	firstRise = 2.5
	// apartLeast is how much lengths must vary to be apart: their variance, in squares of the mean.
	apartLeast = 0.04
)

// yield is what windows have found: in so many seconds so many answers, with so many output tokens if told, whose
// calls took so many seconds in all and in the quickest of each group.
type yield struct {
	length, answers, tokens float64
	told                    bool
	took, quick, groups     float64
	// squares and products are sums over answers of the square of the tokens, and of tokens × seconds.
	squares, products float64
}

func (y *yield) empty() bool { return y.answers == 0 }

// call is how long a call takes.
func (y *yield) call() time.Duration { return time.Duration(y.took / y.answers * float64(time.Second)) }

// gain is how many times the goodput of another yield this one has.
func (y *yield) gain(other *yield) float64 {
	if y.told && other.told {
		return y.tokens / y.length / (other.tokens / other.length)
	}
	return y.answers / y.length / (other.answers / other.length)
}

// slower is how many times as long a call takes as in another yield.
func (y *yield) slower(other *yield) float64 {
	if y.told && other.told {
		return y.perToken() / other.perToken()
	}
	return y.took / y.answers / (other.took / other.answers)
}

// odd reports whether a yield is so unlike another that the upstream, or what is asked of it, must have changed.
func (y *yield) odd(other *yield) bool {
	chance := y.chance(other)
	return math.Abs(y.gain(other)-1) > max(changedGoodput, chance) || math.Abs(y.slower(other)-1) > max(changedCall, chance)
}

// chance is by how much two yields may differ by chance.
func (y *yield) chance(other *yield) float64 { return scatter * math.Sqrt(1/y.answers+1/other.answers) }

// quickest is how long the quickest of sixteen calls takes. How long calls take follows the length of their answers;
// the quickest ones are hardly more than what every call has to wait.
func (y *yield) quickest() float64 { return y.quick / y.groups }

// perToken is how many seconds a call takes for each token of its answer; 0 if unknown.
func (y *yield) perToken() float64 {
	if !y.told {
		return 0
	}
	return y.took / y.tokens
}

// apart reports whether answers tell their lengths, and these differ enough to tell what a call takes before its answer.
func (y *yield) apart() bool {
	return y.told && y.groups >= leastGroups && y.answers*y.squares > (1+apartLeast)*y.tokens*y.tokens
}

// before is how many seconds a call takes whatever the length of its answer, by the line that fits times and tokens
// best. Calls that wait take that much longer, however long their answers are; slower steps take longer for each token.
func (y *yield) before() float64 {
	perToken := (y.answers*y.products - y.took*y.tokens) / (y.answers*y.squares - y.tokens*y.tokens)
	return (y.took - perToken*y.tokens) / y.answers
}

// free reports whether it is known that calls hardly wait.
func (y *yield) free(l *least) bool { return y.apart() && y.waiting(l) < noWaiting }

// waiting is the share of a call's time that it waits for its turn. Where usage is known it is no more than what a call
// takes longer for each token of its answer, so longer answers are not taken for waiting, and no more than what it takes
// before its answer, so slower steps are not either.
func (y *yield) waiting(l *least) float64 {
	if y.groups == 0 || l.quickest == 0 {
		return 0
	}
	share := (y.quickest() - l.quickest) / (y.took / y.answers)
	if y.told && l.perToken > 0 {
		share = min(share, 1-l.perToken/y.perToken())
	}
	if y.apart() {
		share = min(share, y.before()/(y.took/y.answers))
	}
	return max(0, share)
}

// add takes in what a newer window has found, which has at least a share of 1 in pooled + 1.
func (y *yield) add(newer *yield) {
	w := 0.0
	if y.answers > 0 {
		w = min(1, pooled*newer.answers/y.answers)
	}
	y.told = newer.told && (y.told || w == 0)
	y.length = w*y.length + newer.length
	y.answers = w*y.answers + newer.answers
	y.tokens = w*y.tokens + newer.tokens
	y.took = w*y.took + newer.took
	y.quick = w*y.quick + newer.quick
	y.groups = w*y.groups + newer.groups
	y.squares = w*y.squares + newer.squares
	y.products = w*y.products + newer.products
}

// least is what calls take when none has to wait: the quickest ones, and all for each token of their answers, in
// seconds; 0 if unknown.
type least struct {
	quickest, perToken float64
	at                 time.Time
}

// note takes what a yield has less of, and all of it if the last time is too long ago.
func (l *least) note(now time.Time, y *yield) {
	if y.groups < leastGroups {
		return
	}
	if now.Sub(l.at) > leastFor {
		*l = least{}
	}
	if q := y.quickest(); l.quickest == 0 || q < l.quickest {
		l.quickest, l.at = q, now
	}
	if p := y.perToken(); y.told && (l.perToken == 0 || p < l.perToken) {
		l.perToken, l.at = p, now
	}
}
