package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
)

// statusClientGone is for the log and the metrics only: nobody is there to read it.
const statusClientGone = 499

// retryAfter is how many seconds a client should wait when the server cannot take a call.
const retryAfter = "5"

// fail answers with err. Once part of the body has been sent the connection is cut instead, so that the client
// cannot take what it has for the whole.
func (c *call) fail(err error) {
	status, fault := statusOf(c.dialect, err)
	if c.r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		status = statusClientGone
	}
	if fault == nil {
		if status != statusClientGone {
			c.Logger.LogAttrs(c.r.Context(), slog.LevelError, "request failed",
				slog.String("request_id", c.w.requestID), slog.String("route", c.w.route), slog.Any("error", err))
		}
		fault = &batch.Error{Message: "The server had an error while processing your request. Its request id is " + c.w.requestID + "."}
	}
	if c.w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	h := c.w.Header()
	switch fault.Class {
	case batch.Conflict, batch.StorageFull:
		// SDKs send these statuses again of their own accord, which here can only fail again.
		h.Set("X-Should-Retry", "false")
	case batch.Unavailable:
		h.Set("Retry-After", retryAfter)
	}
	c.w.json(status, c.dialect.Error(fault, status))
}

// statusOf is the only place where an error becomes an HTTP status. The returned fault is what the client may be
// told, nil for an internal error.
func statusOf(d dialect.Dialect, err error) (int, *batch.Error) {
	var fault *batch.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &fault):
	case errors.As(err, &tooLarge):
		fault = &batch.Error{Class: batch.TooLarge, Message: "The request body is too large."}
	case errors.Is(err, blob.ErrNoSpace):
		fault = storageFull()
	default:
		return http.StatusInternalServerError, nil
	}
	if status := d.Status(fault); status != 0 {
		return status, fault
	}
	switch fault.Class {
	case batch.Invalid:
		return http.StatusBadRequest, fault
	case batch.Unauthenticated:
		return http.StatusUnauthorized, fault
	case batch.NotFound:
		return http.StatusNotFound, fault
	case batch.Conflict:
		return http.StatusConflict, fault
	case batch.TooLarge:
		return http.StatusRequestEntityTooLarge, fault
	case batch.StorageFull:
		return http.StatusInsufficientStorage, fault
	case batch.Unavailable:
		return http.StatusServiceUnavailable, fault
	case batch.RangeNotSatisfiable:
		return http.StatusRequestedRangeNotSatisfiable, fault
	case batch.MethodNotAllowed:
		return http.StatusMethodNotAllowed, fault
	default:
		return http.StatusInternalServerError, nil
	}
}

func storageFull() *batch.Error {
	return &batch.Error{Class: batch.StorageFull, Message: "The server has too little disk space left to take uploads. Try again once its operator has made room."}
}
