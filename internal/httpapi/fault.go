package httpapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/store"
)

// statusClientGone is for the log and the metrics only: nobody is there to read it.
const statusClientGone = 499

// unavailableFor is how long a client should wait when the server cannot take a call and does not know better.
const unavailableFor = 5 * time.Second

// answerError answers with err. Once part of the body has been sent the connection is cut instead, so that the client
// cannot take what it has for the whole.
func answerError(c *Call, err error) {
	status, fault := statusOf(c.Dialect, err)
	if c.Context().Err() != nil && errors.Is(err, context.Canceled) {
		status = statusClientGone
	}
	if fault == nil {
		if status != statusClientGone {
			c.LogFailure(err)
		}
		fault = &batch.Error{Message: "The server had an error while processing your request. Its request id is " + c.reply.requestID + "."}
	}
	if c.reply.status != 0 {
		panic(http.ErrAbortHandler)
	}
	told := *fault
	told.RetryAfter = retryAfter(waitOf(fault))
	advise(c.Header(), &told, status)
	if body, contentType := unrouted(c.Dialect, err); body != nil {
		c.reply.whole(status, contentType, body)
		return
	}
	c.reply.json(status, c.Dialect.Error(&told, status))
}

// unrouted returns the dialect's own answer to a path that it does not have, nil for every other error and where its
// error object is that answer.
func unrouted(speaks dialect.Dialect, err error) (body []byte, contentType string) {
	d, ok := speaks.(dialect.NotFoundResponder)
	if unknown := (*unknownPath)(nil); !ok || !errors.As(err, &unknown) {
		return nil, ""
	}
	return d.UnknownPath()
}

// waitOf returns how long to wait before the call that met fault can pass.
func waitOf(fault *batch.Error) time.Duration {
	if fault.Class == batch.Unavailable {
		return cmp.Or(fault.RetryAfter, unavailableFor)
	}
	return fault.RetryAfter
}

// advise sets the headers that tell a client's program what to do about fault.
func advise(h http.Header, fault *batch.Error, status int) {
	switch {
	case fault.RetryAfter > 0:
		h.Set("Retry-After", strconv.FormatInt(int64(fault.RetryAfter/time.Second), 10))
	case fault.Class == batch.Conflict, fault.Class == batch.StorageFull, fault.Class == batch.RateLimited,
		fault.Class == batch.Unreadable:
		// SDKs send these statuses again of their own accord, which here can only fail again.
		h.Set("X-Should-Retry", "false")
	}
	if status == http.StatusUnauthorized {
		h.Set("Www-Authenticate", "Bearer")
	}
}

// statusOf is the only place where an error becomes an HTTP status. The returned fault is what the client may be
// told, nil for an internal error.
func statusOf(d dialect.Dialect, err error) (int, *batch.Error) {
	fault := faultOf(err)
	if fault == nil {
		return http.StatusInternalServerError, nil
	}
	if status := d.Status(fault); status != 0 {
		return status, fault
	}
	if status, ok := statuses[fault.Class]; ok {
		return status, fault
	}
	return http.StatusInternalServerError, nil
}

// faultOf returns what the client may be told of an error, nil for one that is the server's own.
func faultOf(err error) *batch.Error {
	var fault *batch.Error
	var quota *store.QuotaError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &fault):
		return fault
	case errors.As(err, &quota):
		return quotaFault(quota)
	case errors.As(err, &tooLarge):
		return &batch.Error{Class: batch.TooLarge, Message: "The request body is too large."}
	case errors.Is(err, store.ErrBadCursor):
		return badCursor()
	case errors.Is(err, blob.ErrNoSpace):
		return storageFull()
	default:
		return nil
	}
}

// statuses are the HTTP statuses of faults, where a dialect has no other.
var statuses = map[batch.Class]int{
	batch.Invalid:             http.StatusBadRequest,
	batch.Unauthenticated:     http.StatusUnauthorized,
	batch.Forbidden:           http.StatusForbidden,
	batch.Misdirected:         http.StatusMisdirectedRequest,
	batch.NotFound:            http.StatusNotFound,
	batch.Conflict:            http.StatusConflict,
	batch.TooLarge:            http.StatusRequestEntityTooLarge,
	batch.StorageFull:         http.StatusInsufficientStorage,
	batch.Unavailable:         http.StatusServiceUnavailable,
	batch.RangeNotSatisfiable: http.StatusRequestedRangeNotSatisfiable,
	batch.MethodNotAllowed:    http.StatusMethodNotAllowed,
	batch.RateLimited:         http.StatusTooManyRequests,
	batch.Unreadable:          http.StatusInternalServerError,
	batch.Gone:                http.StatusGone,
	batch.TooSlow:             http.StatusRequestTimeout,
}

func storageFull() *batch.Error {
	return &batch.Error{Class: batch.StorageFull, Message: "The server has too little disk space left to take uploads. Try again once its operator has made room."}
}

func badCursor() *batch.Error {
	return batch.Invalidf("after", "invalid_value", "Invalid 'after': no object has this id. Use the last_id of the page before.")
}
