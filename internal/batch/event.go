package batch

// Event is the kind of a webhook: the end of a batch, or a test of the webhook itself.
type Event string

// The events. A batch has at most one: that of its terminal state.
const (
	EventCompleted Event = "batch.completed"
	EventFailed    Event = "batch.failed"
	EventExpired   Event = "batch.expired"
	EventCancelled Event = "batch.cancelled"
	// EventTest is sent on request, to see whether events arrive. It belongs to no batch.
	EventTest Event = "webhook.test"
)

// Events lists the events of batches.
func Events() []Event { return []Event{EventCompleted, EventFailed, EventExpired, EventCancelled} }

// Event returns the event of a terminal state, "" for any other.
func (s Status) Event() Event {
	if !s.Terminal() {
		return ""
	}
	return Event("batch." + string(s))
}
