package upstream

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"batchd/internal/batch"
	"batchd/internal/limit"
)

// errAbandoned says that the caller's context ended the call.
var errAbandoned = errors.New("call given up")

// unanswered is the verdict on a call that ended with err and without a whole answer. sent says whether a connection
// was there to send anything on. It is a pure function.
func unanswered(err error, sent bool) verdict {
	switch {
	case errors.Is(err, errAbandoned):
		return verdict{
			kind: limit.Abandoned, cause: "cancelled", code: batch.CodeCancelled,
			message: "This request was given up before its answer came.",
		}
	case errors.Is(err, errDeadline):
		return verdict{
			kind: limit.Abandoned, cause: "deadline", code: batch.CodeExpired,
			message: "This request could not be executed before the completion window expired.",
		}
	case !sent:
		return verdict{
			kind: limit.Unreachable, cause: "unreachable", code: batch.CodeUpstreamUnreachable,
			message: "The upstream could not be reached.",
		}
	case errors.Is(err, errTooLarge):
		return verdict{
			kind: limit.Answered, cause: "too_large", code: batch.CodeResponseTooLarge,
			message: "The upstream's answer was longer than the limit.",
		}
	case errors.Is(err, errSpool):
		return verdict{
			kind: limit.Abandoned, cause: "spool", code: batch.CodeInvalidResponse,
			message: "The upstream's answer could not be stored.",
		}
	}
	if v, ok := timedOut(err); ok {
		return v
	}
	return cutOff(err)
}

func timedOut(err error) (verdict, bool) {
	v := verdict{kind: limit.Broken, code: batch.CodeRequestTimeout}
	switch {
	case errors.Is(err, errFirstByte):
		v.cause, v.message = "first_byte_timeout", "The upstream did not begin to answer in time."
	case errors.Is(err, errIdle):
		v.cause, v.message = "idle_timeout", "The upstream's answer stalled."
	case errors.Is(err, errTotal):
		v.cause, v.message = "total_timeout", "The request took too long."
	case errors.Is(err, os.ErrDeadlineExceeded):
		// The only deadline set on connections is that of writes.
		v.cause, v.message = "write_timeout", "The upstream did not take the request in time."
	default:
		return v, false
	}
	return v, true
}

func cutOff(err error) verdict {
	var op *net.OpError
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, errEncoding), errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum),
		errors.As(err, &corrupt):
		return invalid("encoding", "The upstream's answer could not be decompressed.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalid("truncated", "The upstream's answer was cut short.")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.As(err, &op), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return verdict{
			kind: limit.Broken, cause: "reset", code: batch.CodeUpstreamUnreachable,
			message: "The connection to the upstream was lost before the answer was complete.",
		}
	}
	return invalid("protocol", "The upstream's answer was not valid HTTP.")
}

// cut is the verdict on an answer whose header came but whose body ended with err. A status that is definite without its
// body stays so; the others are only as good as their bodies.
func cut(status int, err error) verdict {
	v := unanswered(err, true)
	if v.kind == limit.Abandoned && !errors.Is(err, errSpool) {
		return v
	}
	if k := kindOf(status); status >= 400 && k != limit.Answered {
		v.kind, v.cause = k, statusCause(status)
	}
	return v
}

func isDialError(err error) bool {
	var d *dialError
	return errors.As(err, &d)
}
