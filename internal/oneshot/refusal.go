package oneshot

import (
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"
)

const (
	// fewLeft lines are too few to tell a fault of the upstream from faults of their own.
	fewLeft = 20
	// refusalPatience is how long a run goes on that is refused from its first call on: long enough for a probe of each
	// kind of line. unreachablePatience is that for upstreams that cannot be reached, which may just be starting.
	refusalPatience     = 10 * time.Second
	unreachablePatience = 15 * time.Second
)

// RefusedError means that every call of a run was refused or found its upstream unreachable, from the first one on: a cause
// that only an operator removes. What was finished before is kept.
type RefusedError struct {
	// Upstreams are those that were called, with what they said last.
	Upstreams []Refusal
}

// Refusal is what an upstream said to every call.
type Refusal struct {
	// Host is the upstream's host, port and path.
	Host string
	batch.Reason
}

// Error says what the first upstream said.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("upstream %s refused every call: %s", e.Upstreams[0].Host, e.Upstreams[0].Kind)
}

// refusal returns why a run that has been sending for so long is to be given up; nil while it may go on.
func refusal(p Progress, sending time.Duration) *RefusedError {
	// Few lines that are left of a file whose others were served may be at fault themselves.
	if p.Completed > 0 && p.Total-p.Completed-p.Failed < fewLeft || len(p.Refusals) == 0 {
		return nil
	}
	patience := refusalPatience
	for _, u := range p.Refusals {
		switch limit.Reason(u.Kind) {
		case limit.ReasonDenied, limit.ReasonAccount, limit.ReasonMisconfigured: // which only a person ends
		case limit.ReasonUnreachable:
			patience = unreachablePatience
		default:
			return nil
		}
	}
	if sending < patience {
		return nil
	}
	return &RefusedError{Upstreams: p.Refusals}
}
