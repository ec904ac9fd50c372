package openai

import (
	"strconv"
	"strings"

	"batchd/internal/dialect"
)

// ResultFrame returns what stands before and after the answer's body in the line of r. Every answered request looks
// the same, in whichever file its line stands; only a request without an answer has its error filled.
func (d *Dialect) ResultFrame(r dialect.Result) (before, after []byte) {
	// Room for every part with its quotes, so that a frame is one allocation.
	line := make([]byte, 0, 160+len(r.ID)+len(r.CustomID)+len(r.RequestID)+len(r.Message))
	line = append(line, `{"id":`...)
	line = dialect.AppendString(line, r.ID)
	line = append(line, `,"custom_id":`...)
	line = dialect.AppendCustomID(line, r.CustomID)
	if r.Code != "" {
		line = append(line, `,"response":null,"error":{"code":`...)
		line = dialect.AppendString(line, string(r.Code))
		line = append(line, `,"message":`...)
		line = dialect.AppendString(line, r.FailureMessage())
		return append(line, `}}`...), nil
	}
	line = append(line, `,"response":{"status_code":`...)
	line = strconv.AppendInt(line, int64(r.Status), 10)
	line = append(line, `,"request_id":`...)
	if r.RequestID != "" {
		line = dialect.AppendString(line, r.RequestID)
	} else {
		// The upstream sent none. One that follows from the result's own id is the same whenever the line is made again.
		line = dialect.AppendString(line, "req_"+strings.TrimPrefix(r.ID, "batch_req_"))
	}
	return append(line, `,"body":`...), []byte(`},"error":null}`)
}
