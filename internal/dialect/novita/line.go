package novita

import (
	"strconv"
	"strings"

	"batchd/internal/dialect"
)

// ParseLine reads one input line. Novita's samples have neither method nor url; where they stand, they must be right.
func (d *Dialect) ParseLine(raw []byte, rules dialect.LineRules) (dialect.Line, error) {
	return d.lines.ParseLine(raw, rules)
}

// ResultFrame returns what stands before and after the answer's body in the line of r. Keys are sorted. For a request
// without an answer Novita documents nothing: its line is OpenAI's with the keys in this order.
func (d *Dialect) ResultFrame(r dialect.Result) (before, after []byte) {
	// Room for every part with its quotes, so that a frame is two allocations.
	before = make([]byte, 0, 160+len(r.ID)+len(r.CustomID)+len(r.Message))
	before = append(before, `{"custom_id":`...)
	before = dialect.AppendCustomID(before, r.CustomID)
	if r.Code != "" {
		before = append(before, `,"error":{"code":`...)
		before = dialect.AppendString(before, string(r.Code))
		before = append(before, `,"message":`...)
		before = dialect.AppendString(before, r.FailureMessage())
		before = dialect.AppendString(append(before, `},"id":`...), lineID(r))
		return append(before, `,"response":null}`...), nil
	}
	before = dialect.AppendString(append(before, `,"error":null,"id":`...), lineID(r))
	before = append(before, `,"response":{"body":`...)

	after = make([]byte, 0, 64+len(r.CustomID))
	after = append(after, `,"request_id":`...)
	// In Novita's sample the request id of an answer is the custom_id.
	after = dialect.AppendString(after, r.CustomID)
	after = append(after, `,"status_code":`...)
	after = strconv.AppendInt(after, int64(r.Status), 10)
	return before, append(after, `}}`...)
}

// lineID is the result's own id with the prefix of Novita's.
func lineID(r dialect.Result) string {
	return "batch_req_task_" + strings.TrimPrefix(r.ID, "batch_req_")
}
