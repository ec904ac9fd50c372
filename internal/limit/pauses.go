package limit

import (
	"net/http"
	"time"
)

// The constants of rule 2. Why these and no others stands in docs/adr/0015-whose-fault.md, with what was measured.
const (
	// forbiddenStrikes give up a line answered 403, which is nearly always about the line's content; strikes any other
	// line that is denied or breaks; chanceStrikes are added to those where such failures pass by themselves.
	forbiddenStrikes = 3
	strikes          = 5
	chanceStrikes    = 3
	// noRoomStrikes and the times give up a line that is refused for want of room while others are served.
	noRoomStrikes = 10
	busyFor       = 10 * time.Minute
	unavailable   = time.Hour
	// aloneLines is how few lines must be left at a gate for a line to be judged without others beside it.
	aloneLines = 20
	// alikeLines are how many lines of a batch must have been at fault themselves with the same words for these to be about
	// single lines.
	alikeLines = 3
	aloneFor   = 2 * time.Hour
	aloneTries = 10
	// smallFor, smallTries and smallBusyTries are the same for a line of a batch that never had aloneLines, and for one of
	// a batch of which aloneLines lines were given up with the same words.
	smallFor       = 15 * time.Minute
	smallTries     = 5
	smallBusyTries = 3
	// passingTries bound the rest of a line that is refused where refusals are not about room and lines recover from them:
	// to wait longer brings nothing.
	passingTries = 4
	// suspectAfter broken connections make a line a suspect of breaking its server.
	suspectAfter = 2
)

// pauses are a line's pauses between its tries: the last one goes on for ever.
var (
	forbiddenPauses = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second}
	failurePauses   = []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, 45 * time.Second, time.Minute}
	roomPauses      = []time.Duration{
		time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second,
	}
)

// pauseAfter returns how long a line rests after its n-th failure of a kind, counted from 1.
func pauseAfter(n int, s *Signal) time.Duration {
	return max(ownPause(n, s), s.RetryAfter)
}

// ownPause is pauseAfter without what the upstream asks for.
func ownPause(n int, s *Signal) time.Duration {
	table := pausesFor(s)
	return table[min(n, len(table))-1]
}

// pausesFor returns the pauses after a failure of a kind.
func pausesFor(s *Signal) []time.Duration {
	switch {
	case s.Kind == NoRoom || s.Kind == Unreachable:
		return roomPauses
	case s.Status == http.StatusForbidden:
		return forbiddenPauses
	default:
		return failurePauses
	}
}

// rest is pauseAfter with up to a tenth more for a pause that goes on for ever: an upstream that goes down again and
// again, each 10 s or each minute, would else be met at the same point of its round for hours.
func (g *Gate) rest(n int, s *Signal) time.Duration {
	d := pauseAfter(n, s)
	if n >= len(pausesFor(s)) {
		d += time.Duration(g.rand.Float64() * float64(d) / 10)
	}
	return d
}

// strikesAllowed is how many strikes a line has that is denied or breaks.
func strikesAllowed(s *Signal, chance bool) int {
	switch {
	case chance: // a 403 that passes by itself is not about the content either
		return strikes + chanceStrikes
	case s.Kind == Denied && s.Status == http.StatusForbidden:
		return forbiddenStrikes
	default:
		return strikes
	}
}

// roomPatience is how long a line is refused for want of room before it may be given up: 429 speaks of the caller's
// rate, the others of an engine that may be loading.
func roomPatience(s *Signal) time.Duration {
	if s.Status == http.StatusTooManyRequests {
		return busyFor
	}
	return unavailable
}
