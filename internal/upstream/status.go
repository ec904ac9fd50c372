package upstream

import (
	"net/http"
	"strconv"
	"strings"

	"batchd/internal/limit"
)

// statusOverloaded is what several providers answer when they have no room, statusClientClosed what proxies write down
// for a call that ended between them and the engine.
const (
	statusOverloaded   = 529
	statusClientClosed = 499
)

// kindOf sorts the statuses that are no success by what the number alone says.
func kindOf(status int) limit.Kind {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusGone, http.StatusMisdirectedRequest,
		http.StatusUpgradeRequired, http.StatusUnavailableForLegalReasons:
		return limit.Denied
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, statusOverloaded:
		return limit.NoRoom
	case http.StatusRequestTimeout, http.StatusFailedDependency, http.StatusTooEarly, statusClientClosed:
		return limit.Broken
	}
	if status >= 400 && status < 500 {
		return limit.Answered
	}
	return limit.Broken
}

// reasonOf is the word that an answer is told by. w are the words of its body; none if they are not known.
func reasonOf(kind limit.Kind, status int, w words) limit.Reason {
	if kind == limit.Served || kind == limit.Answered || kind == limit.Abandoned {
		return "" // before the words are looked at, which takes longer than all the rest
	}
	told := w.reason()
	switch {
	case told == limit.ReasonAccount:
		return told
	case kind == limit.Unreachable:
		return limit.ReasonUnreachable
	case kind == limit.NoRoom:
		return limit.ReasonNoRoom
	case kind == limit.Broken:
		return limit.ReasonFailing
	}
	switch status {
	case http.StatusBadRequest:
		return told
	case http.StatusPaymentRequired:
		return limit.ReasonAccount
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusMisdirectedRequest, http.StatusUpgradeRequired:
		return limit.ReasonMisconfigured
	}
	return limit.ReasonDenied
}

// statusCause names a status for logs and metrics; what is no status a server may send has one name in common.
func statusCause(status int) string {
	if status < 100 || status > 599 {
		return "status_other"
	}
	return "status_" + strconv.Itoa(status)
}

// inWords is what to say of an answer that says nothing itself.
func inWords(status int) string {
	return strings.TrimSpace(http.StatusText(status) + " (no body)")
}
