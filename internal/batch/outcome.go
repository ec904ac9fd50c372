package batch

// Code is an error code of batchd's own, for a line that has no HTTP answer to show.
type Code string

// The codes a line's error may carry.
const (
	CodeExpired             Code = "batch_expired"
	CodeCancelled           Code = "batch_cancelled"
	CodeRequestTimeout      Code = "request_timeout"
	CodeUpstreamUnreachable Code = "upstream_unreachable"
	CodeInvalidResponse     Code = "invalid_upstream_response"
	CodeResponseTooLarge    Code = "response_too_large"
	CodePoisonRequest       Code = "poison_request"
	CodeInputUnreadable     Code = "input_unreadable"
)

// Tried reports whether a line with this code counts as failed, which a line that was never run does not.
func (c Code) Tried() bool { return c != CodeExpired && c != CodeCancelled }

// Message returns the message of a code that batchd decides by itself, "" for the others: what happened to their calls is in
// the outcome's own message.
func (c Code) Message() string {
	switch c {
	case CodeExpired:
		return "This request could not be executed before the completion window expired."
	case CodeCancelled:
		return "This request was not executed because the batch was cancelled."
	case CodeInputUnreadable:
		return "The input line could not be read back from storage: its bytes have changed since the upload. Upload the file again."
	default:
		return ""
	}
}

// MessageInFlight returns the message for a line of a stopped batch whose call was ended without an answer: unlike in
// Message, the line was sent.
func (c Code) MessageInFlight() string {
	const ended = ": its call was ended without an answer, and the upstream may have executed it."
	if c == CodeExpired {
		return "This request was under way when the completion window expired" + ended
	}
	return "This request was under way when the batch was cancelled" + ended
}

// Kind is the result file that a recorded outcome goes to, and whether it counts as failed.
type Kind uint8

// The kinds of outcome. The numbers stand in journals: never change one.
const (
	// KindOutput is an answer with a 2xx status: a line of the output file.
	KindOutput Kind = 1
	// KindFailed is anything else that was really tried: a line of the error file, counted as failed.
	KindFailed Kind = 2
	// KindUnrun is a line that was cancelled or expired: a line of the error file, not counted.
	KindUnrun Kind = 3
)

// Outcome is the result of one line: an answer with any HTTP status, or an error code and no answer.
type Outcome struct {
	// Status is the HTTP status of the answer; 0 when Code is set.
	Status int
	// RequestID is the upstream's own id for the call; "" if it sent none.
	RequestID string
	// Body is the answer's body, ready to stand in a JSON document as it is: valid JSON on one line. Bytes of
	// an answer that was not JSON have become a JSON string.
	Body Body
	// Code and Message are set when there is no answer to show.
	Code    Code
	Message string
	Usage   Usage
}

// Kind returns where the outcome's line belongs.
func (o *Outcome) Kind() Kind {
	switch {
	case o.Code != "" && !o.Code.Tried():
		return KindUnrun
	case o.Code == "" && o.Status >= 200 && o.Status < 300:
		return KindOutput
	default:
		return KindFailed
	}
}
