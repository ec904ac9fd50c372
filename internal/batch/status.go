package batch

// Status is the state of a batch as every dialect derives its own word from it.
type Status string

// The states of a batch. The comment of each says what moves a batch into it.
const (
	// Validating is the first state: the create call made it; the input file has not been checked yet.
	Validating Status = "validating"
	// InProgress starts in the transaction that stores the units of a valid input file.
	InProgress Status = "in_progress"
	// Finalizing starts in the transaction that seals the last unit, unless a stop is set.
	Finalizing Status = "finalizing"
	// Completed starts in the transaction that creates the result files.
	Completed Status = "completed"
	// Failed means that validation found at least one bad line; nothing was sent.
	Failed Status = "failed"
	// Expired means that the window passed first; what was finished is in the files.
	Expired Status = "expired"
	// Cancelling starts with the cancel call and lasts until the files exist.
	Cancelling Status = "cancelling"
	// Cancelled follows Cancelling; what was finished is in the files.
	Cancelled Status = "cancelled"
)

// Terminal reports whether no move leads out of s.
func (s Status) Terminal() bool {
	switch s {
	case Completed, Failed, Expired, Cancelled:
		return true
	default:
		return false
	}
}

// CanMoveTo reports whether a batch in state s may go to state next. It is the only place that knows the
// state graph; stores encode the same moves in their WHERE clauses, and their suite tries every illegal one.
func (s Status) CanMoveTo(next Status) bool {
	switch s {
	case Validating:
		return next == InProgress || next == Failed || next == Cancelling || next == Expired
	case InProgress:
		return next == Finalizing || next == Cancelling || next == Expired
	case Finalizing:
		return next == Completed || next == Cancelling
	case Cancelling:
		return next == Cancelled
	default:
		return false
	}
}

// Statuses lists every status, in the order in which a batch can reach them.
func Statuses() []Status {
	return []Status{Validating, InProgress, Finalizing, Completed, Failed, Expired, Cancelling, Cancelled}
}

// Stop is the reason why a batch must not send anything more. It is a column of its own: the first writer wins, except
// that StopCancel may replace StopNone while the batch is finalizing.
type Stop string

// The reasons to stop.
const (
	StopNone   Stop = "none"
	StopCancel Stop = "cancel"
	StopExpire Stop = "expire"
)

// Closed returns the terminal state of a batch that validated and is closed under this stop.
func (s Stop) Closed() Status {
	switch s {
	case StopCancel:
		return Cancelled
	case StopExpire:
		return Expired
	default:
		return Completed
	}
}

// Code returns the error code of a line that was never finished because of this stop, "" for StopNone.
func (s Stop) Code() Code {
	switch s {
	case StopCancel:
		return CodeCancelled
	case StopExpire:
		return CodeExpired
	default:
		return ""
	}
}
