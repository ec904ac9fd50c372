package upstream

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"batchd/internal/batch"
	"batchd/internal/limit"
)

// verdict is what an answer, or the lack of one, means.
type verdict struct {
	kind  limit.Kind
	cause string
	// status is the answer's, for an outcome that shows it; else code and message stand for it.
	status  int
	code    batch.Code
	message string
}

// answered is the verdict on an HTTP answer whose body was read to its end. It is a pure function.
func answered(status int, c content) verdict {
	switch {
	case status >= 200 && status < 300:
		return succeeded(status, c)
	case status < 200 || status >= 300 && status < 400:
		return verdict{
			kind: limit.Broken, cause: statusCause(status), code: batch.CodeInvalidResponse,
			message: fmt.Sprintf("The upstream answered with status %d; redirects are not followed.", status),
		}
	}
	v := verdict{kind: kindOf(status), cause: statusCause(status), status: status}
	if c.body == nil {
		v = v.without(batch.CodeResponseTooLarge, "The upstream's answer was too long and not JSON.")
	}
	return v
}

// without turns a verdict into one that shows no answer.
func (v verdict) without(code batch.Code, message string) verdict {
	v.status, v.code, v.message = 0, code, message
	return v
}

// kindOf sorts the statuses from 400 on.
func kindOf(status int) limit.Kind {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return limit.Denied
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, statusOverloaded:
		return limit.NoRoom
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return limit.Broken
	}
	if status >= 500 {
		return limit.Broken
	}
	return limit.Answered
}

// statusOverloaded is what several providers answer when they have no room.
const statusOverloaded = 529

// statusCause names a status for logs and metrics; what is no status a server may send has one name in common.
func statusCause(status int) string {
	if status < 100 || status > 599 {
		return "status_other"
	}
	return "status_" + strconv.Itoa(status)
}

// succeeded looks into a 2xx answer: it is only as good as its body.
func succeeded(status int, c content) verdict {
	a := c.found
	switch {
	case !c.isJSON:
		return invalid("not_json", "The upstream answered with something that is not JSON.")
	case a.kind != '{' && a.kind != '[' || a.empty:
		return invalid("empty", "The upstream answered with an empty JSON value.")
	case a.isError:
		return reported(status, a)
	case a.choiceFailed:
		return invalid("finish_error", "The upstream ended a choice with finish_reason \"error\".")
	}
	return verdict{kind: limit.Served, cause: "ok", status: status}
}

func invalid(cause, message string) verdict {
	return verdict{kind: limit.Broken, cause: cause, code: batch.CodeInvalidResponse, message: message}
}

// reported is the verdict on an error that came with a 2xx status, as it does from servers that had begun to answer. If
// its code is an HTTP status, it is taken for the answer's status, except that it says nothing of our credentials: they
// were good enough for a 200. Of other codes only those that speak of room are known.
//
// The Responses API is different: an answer may be a response object whose generation failed, which is what a
// synchronous caller would get too. It is final unless its code says that the server was at fault.
func reported(status int, a answer) verdict {
	if code, err := strconv.Atoi(a.errorCode); err == nil && code >= 400 && code <= 599 {
		v := verdict{kind: kindOf(code), cause: "error_" + strconv.Itoa(code), status: code}
		if v.kind == limit.Denied {
			v.kind = limit.Answered
		}
		return v
	}
	message := "The upstream answered with an error."
	if a.errorMessage != "" {
		message = "The upstream answered with an error: " + a.errorMessage
	}
	v := invalid("error_body", message)
	switch {
	case speaksOfRoom(a.errorCode) || speaksOfRoom(a.errorType):
		v.kind = limit.NoRoom
	case a.isResponse && a.errorCode != "" && a.errorCode != "server_error":
		v = verdict{kind: limit.Answered, cause: "response_failed", status: status}
	}
	return v
}

func speaksOfRoom(word string) bool {
	return strings.Contains(word, "rate_limit") || strings.Contains(word, "overloaded") ||
		word == "insufficient_quota" || word == "resource_exhausted" || word == "RESOURCE_EXHAUSTED"
}
