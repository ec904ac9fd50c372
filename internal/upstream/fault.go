package upstream

import (
	"compress/flate"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"batchd/internal/batch"
	"batchd/internal/descriptors"
	"batchd/internal/limit"
)

// errAbandoned says that the caller's context ended the call.
var errAbandoned = errors.New("call given up")

// timeouts are the errors of a call that took too long in one of its phases.
var timeouts = []struct {
	err            error
	cause, message string
}{
	{errFirstByte, "first_byte_timeout", "The upstream did not begin to answer in time."},
	{errIdle, "idle_timeout", "The upstream's answer stalled."},
	{errTotal, "total_timeout", "The request took too long."},
	// The only deadline set on connections is that of writes.
	{os.ErrDeadlineExceeded, "write_timeout", "The upstream did not take the request in time."},
}

// unanswered is the verdict on a call that ended with err and without a whole answer, once it had come so far. It is a
// pure function.
func unanswered(err error, far progress) verdict {
	switch {
	case errors.Is(err, errAbandoned):
		return given(limit.Abandoned, "cancelled").without(batch.CodeCancelled, "This request was given up before its answer came.")
	case errors.Is(err, errDeadline):
		return given(limit.Abandoned, "deadline").without(batch.CodeExpired, batch.CodeExpired.Message())
	case far == unsent:
		v := given(limit.Unreachable, "unreachable").without(batch.CodeUpstreamUnreachable, "The upstream could not be reached.")
		v.signal.Detail = unreachable(err)
		return v
	case errors.Is(err, errTooLarge):
		return given(limit.Answered, "too_large").without(batch.CodeResponseTooLarge, "The upstream's answer was longer than the limit.")
	case errors.Is(err, errSpool):
		// Our own disk: it says nothing of the line nor of the upstream.
		return given(limit.Abandoned, "spool").without(batch.CodeInvalidResponse, "The upstream's answer could not be stored.")
	}
	for _, t := range timeouts {
		if errors.Is(err, t.err) {
			return given(limit.Broken, t.cause).without(batch.CodeRequestTimeout, t.message).detailed("timeout")
		}
	}
	return cutOff(err, far)
}

// given returns a verdict without an outcome.
func given(kind limit.Kind, cause string) verdict {
	return verdict{signal: limit.Signal{Kind: kind, Reason: reasonOf(kind, 0, words{})}, cause: cause}
}

// detailed says how a call broke off of which there is no status to tell.
func (v verdict) detailed(word string) verdict {
	v.signal.Detail = word
	return v
}

// unreachable says why no connection came about, in a word: descriptors (which we have too few of), dns, refused, tls,
// timeout, or nothing.
func unreachable(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case descriptors.IsShortage(err):
		return "descriptors"
	case errors.As(err, &dns):
		return "dns"
	case errors.Is(err, errFirstByte), errors.Is(err, errTotal), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, errHandshake), errors.As(err, &certificate):
		return "tls"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	}
	return ""
}

// cutOff is the verdict on a connection that ended, or on bytes that are no answer.
func cutOff(err error, far progress) verdict {
	var op *net.OpError
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, errEncoding), errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum),
		errors.As(err, &corrupt):
		return invalid("encoding", "The upstream's answer could not be decompressed.").detailed("encoding")
	case errors.Is(err, io.ErrUnexpectedEOF):
		v := invalid("truncated", "The upstream's answer was cut short.").detailed("truncated")
		v.signal.Lost = true
		return v
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.As(err, &op), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe),
		far != answering: // net/http has errors for a connection that ends which nobody can name
		return reset()
	}
	return invalid("protocol", "The upstream's answer was not valid HTTP.").detailed("protocol")
}

// reset is the verdict on a connection that broke in the middle of a call.
func reset() verdict {
	v := given(limit.Broken, "reset").without(batch.CodeUpstreamUnreachable, "The connection to the upstream was lost before the answer was complete.").detailed("reset")
	v.signal.Lost = true
	return v
}

// cut is the verdict on an answer whose header came but whose body ended with err. A status that is definite without its
// body stays so; the others are only as good as their bodies.
func cut(status int, err error) verdict {
	v := unanswered(err, answering)
	if v.signal.Kind == limit.Abandoned && !errors.Is(err, errSpool) {
		return v
	}
	if kind := kindOf(status); status >= 400 && kind != limit.Answered {
		v.signal = limit.Signal{Kind: kind, Status: status, Reason: reasonOf(kind, status, words{})}
		v.cause = statusCause(status)
	}
	return v
}
