package batch

import "time"

// Reason is why work waits, with what is known about it.
type Reason struct {
	// Kind is the reason in one word, like "denied"; Detail says more where that is not enough, or is "".
	Kind, Detail string
	// Since is when it began; zero where that says nothing.
	Since time.Time
	// Status and Code are of the last answer that caused it; 0 and "" for none.
	Status int
	Code   string
	// Message is the beginning of that answer, in the upstream's own words. It may be about another tenant's request.
	Message string
	// NextTry is when the next try is due; zero while one is under way, or where nothing but room is waited for.
	NextTry time.Time
}

// Waiting is one reason why lines of a running batch are not in flight. It is computed whenever a batch is shown, and stored
// nowhere.
type Waiting struct {
	Reason
	// Lines is how many lines wait for this reason.
	Lines int64
	// Upstream and Model are where they wait; "" for reasons that no upstream is the cause of.
	Upstream, Model string
	// Own is set if Status, Code and Message are an answer to a line of the batch itself.
	Own bool
}

// DamagedFile is a file of a batch that cannot be read whole.
type DamagedFile struct {
	FileID string
	// Problem is what is wrong in one word: damaged, missing or unreadable.
	Problem string
	// Since is when that was found.
	Since time.Time
}

// Upstream is the state of an inference server, as it is shown.
type Upstream struct {
	// Name is what everybody may know it by; Host is its host, port and path.
	Name, Host string
	// Models are those that it lists; nil where it takes any, or nobody has asked.
	Models []string
	// InFlight of at most Limit calls are under way.
	InFlight, Limit int
	// Reason is what keeps it from being reached; its kind is "" if it can be.
	Reason Reason
	// Gates are the models for which there is, or was lately, work.
	Gates []Gate
}

// Gate is the state of one model at one upstream.
type Gate struct {
	Model           string
	InFlight, Limit int
	// LimitedBy names the part of the limit that is the least.
	LimitedBy string
	// Step is the current step of finding out how many calls are worth having in flight.
	Step string
	// Closed is set while calls are held back until one that was let through is served.
	Closed bool
	// Reason is what keeps lines waiting; its kind is "" when all is well.
	Reason Reason
	// Waiting is how many lines are not in flight, WaitingOf how many of each tenant that has work there.
	Waiting   int64
	WaitingOf map[string]int64
}
