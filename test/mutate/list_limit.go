package main

// engines are the tests of package limit that drive simulated engines for minutes of virtual time: they show what the limits
// are worth, while what a rule says is tested without them.
const engines = `^Test(AnEngine|AnEndless|AConfigured|TheRight|RoomThatIs|FourTimes|TwoDispatchers|ABounded|Usage|EveryChange|` +
	`WithoutWork|FailuresBeside|Readings|WithoutReadings|WhenReadings|NoPermit)`

// ownFaults are mutations of rule 1 of docs/adr/whose-fault.md: whose fault a failure is. Each comparison is turned round.
var ownFaults = []mutation{
	rule1("own: the other call began before the failed one", `return !r.began.after(g.servedBegan) &&`, `return r.began.after(g.servedBegan) &&`),
	rule1("own: the other call ended before the failed one", `&& g.servedEnded.after(r.ended)`, `&& r.ended.after(g.servedEnded)`),
	rule1("own: a line's first failure is enough", `	case r.tries < 2:
		return false`, `	case r.tries > 2:
		return false`),
	rule1("own: a proven line counts at a closed gate alone", `return !g.closing.closed || !q.Fresh`, `return g.closing.closed || !q.Fresh`),
	rule1("own: a proven line counts while others were never tried", `return !g.closing.closed || !q.Fresh`, `return !g.closing.closed || q.Fresh`),
	rule1("strike: a later failure that is nobody's counts", `case r.tries == 1 && !g.closing.closed:`, `case r.tries != 1 && !g.closing.closed:`),
	rule1("strike: a first failure counts at a closed gate alone", `case r.tries == 1 && !g.closing.closed:`, `case r.tries == 1 && g.closing.closed:`),
	rule1("moment: of two things at one time the first is the later", `return m.order > o.order`, `return m.order < o.order`),
}

func rule1(name, before, after string) mutation {
	return mutation{
		name: name, promise: "whose fault a failure is (rule 1)", dir: "internal/limit", old: before, new: after, run: ".", skip: engines,
	}
}

// limits are mutations of rule 3 and of what opens a gate: how many calls may be in flight. Each comparison is turned round.
var limits = []mutation{
	rule3("run: twenty lines lower the limit, the 21st does not", `return len(c.run) >= max(runToLower, c.since)`, `return len(c.run) < max(runToLower, c.since)`),
	rule3("run: what began before it raises the limit", `return c.unanimous() && c.runSince.after(began)`, `return !c.unanimous() && c.runSince.after(began)`),
	rule3("run: what began in it lowers the limit", `return c.unanimous() && c.runSince.after(began)`, `return c.unanimous() && began.after(c.runSince)`),
	rule3("room: it rises only above what it may", `case r.limit >= r.max:`, `case r.limit < r.max:`),
	rule3("room: it rises by every answer above the ceiling", `r.limit < r.ceiling:`, `r.limit > r.ceiling:`),
	rule3("room: steps are quick above what met refusals", `if r.limit+1 < r.met {`, `if r.limit+1 > r.met {`),
	rule3("room: a step comes before its answers", `r.credit < k*r.limit {`, `r.credit > k*r.limit {`),
	rule3("room: a step below what met refusals makes bold", `if r.stepped && r.limit >= r.met {`, `if r.stepped && r.limit < r.met {`),
	rule3("room: only refusals with few in flight leave a ceiling", `if 2*inFlight >= least {`, `if 2*inFlight < least {`),
	rule3("room: a refusal raises the limit", `r.limit = max(1, min(r.limit, inFlight))`, `r.limit = max(1, max(r.limit, inFlight))`),
	rule3("calm: windows below the ceiling count", `inFlight < r.ceiling {`, `inFlight > r.ceiling {`),
	rule3("calm: a window is over before its answers", `if c.answers < max(windowAnswers, r.limit) ||`, `if c.answers > max(windowAnswers, r.limit) ||`),
	rule3("calm: a window is over before its time", `now.Sub(c.since) < forgetWindow {`, `now.Sub(c.since) > forgetWindow {`),
	rule3("calm: the first window forgets the ceiling", `c.windows < c.needed {`, `c.windows > c.needed {`),
	rule3("calm: a ceiling that proves wrong is kept longer", `if 5*inFlight < 6*c.forgotten {`, `if 5*inFlight > 6*c.forgotten {`),
	rule3("chronic: a window is over before its answers", `if c.answers < max(windowAnswers, c.limit) {`, `if c.answers > max(windowAnswers, c.limit) {`),
	rule3("chronic: rare refusals count, others do not", `case share < rare:`, `case share > rare:`),
	rule3("chronic: windows near the top count as low ones", `case 2*limit > c.top:`, `case 2*limit < c.top:`),
	rule3("chronic: refusals that became rarer are ignored", `share >= c.share/2:`, `share < c.share/2:`),
	rule3("chronic: two windows are enough, three are not", `c.low >= chronicWindows {`, `c.low < chronicWindows {`),
	rule3("chronic: ignoring ends where it should be renewed", `case share > chronicLeast:`, `case share < chronicLeast:`),
	rule3("chronic: an outage is ignored", `case share > chronicMost ||`, `case share < 0 ||`),
	rule3("witness: a batch speaks before five answers alone", `return w.answers >= cleanAnswers &&`, `return w.answers < cleanAnswers &&`),
	rule3("witness: a batch that fails speaks for the gate", `w.streak >= min(w.answers, cleanStreak) &&`, `w.streak < min(w.answers, cleanStreak) &&`),
	rule3("witness: a batch speaks long after it was served alone", `now.Sub(w.last) <= cleanFor
`, `now.Sub(w.last) > cleanFor
`),
	{
		name: "an old answer opens a closed gate", promise: "a gate opens by what began after it closed (rule 4)", dir: "internal/limit",
		old: `	if len(c.run) == 0 || c.runSince.after(began) {`, new: `	if len(c.run) == 0 {`, run: ".", skip: engines,
	},
	{
		name: "a probe that failed is never over", promise: "a closed gate is probed again (rule 4)", dir: "internal/limit",
		old: `	if p.probe {
		g.closing.probing = false
	}`, new: ``, run: ".", skip: engines,
	},
	{
		name: "a 5xx amid refused keys opens the gate", promise: "only a served call opens a gate (rule 4)", dir: "internal/limit",
		old: `	r, _ := h.note(now, p.began, s) // every kind`, new: `	if s.Kind == Broken {
		g.closing.served(p.began)
	}
	r, _ := h.note(now, p.began, s) // every kind`, run: ".", skip: engines,
	},
}

func rule3(name, before, after string) mutation {
	return mutation{
		name: name, promise: "how many calls are in flight (rule 3)", dir: "internal/limit", old: before, new: after, run: ".", skip: engines,
	}
}

// kinds are mutations that take each kind of answer for its neighbour.
var kinds = []mutation{
	takenFor("Served", "Answered"), takenFor("Answered", "Denied"), takenFor("Denied", "Broken"), takenFor("Broken", "NoRoom"),
	takenFor("NoRoom", "Unreachable"), takenFor("Unreachable", "Abandoned"), takenFor("Abandoned", "Served"),
}

func takenFor(kind, neighbour string) mutation {
	const before = `func (p *Permit) Done(now time.Time, h *History, s *Signal, waiting func() Queue) Verdict {
`
	return mutation{
		name: kind + " is taken for " + neighbour, promise: "what each kind of answer means", dir: "internal/limit",
		old: before, new: before + `	if s.Kind == ` + kind + ` {
		other := *s
		other.Kind = ` + neighbour + `
		s = &other
	}
`, run: ".", skip: engines,
	}
}
