package neosantara

import (
	"net/http"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// The codes of objects that are not there. Those of batches and models are ours: Neosantara's pages show none.
const (
	codeNoFile      = "file_not_found"
	codeNoBatch     = "batch_not_found"
	codeNoModel     = "model_not_found"
	codeFileExpired = "file_expired"
	// codeNoContent is that of a file whose bytes cannot be read. Its page gives such errors a type of their own.
	codeNoContent = "content_unavailable"
)

type errorEnvelope struct {
	Error errorObject `json:"error"`
}

type errorObject struct {
	Message string        `json:"message"`
	Type    string        `json:"type"`
	Param   string        `json:"param,omitempty"`
	Code    *string       `json:"code"`
	Details *limitDetails `json:"details,omitzero"`
}

// limitDetails describe a limit that a tenant has reached.
type limitDetails struct {
	// Limit is absent where it is not a number.
	Limit     int64 `json:"limit,omitzero"`
	Remaining int64 `json:"remaining"`
	// RetryAfter is in seconds; absent where waiting is no use.
	RetryAfter int64 `json:"retry_after,omitzero"`
}

// Error renders Neosantara's error envelope.
func (d *Dialect) Error(e *batch.Error, status int) []byte {
	o := errorObject{Message: e.Message, Type: kind(e, status), Param: e.Param, Code: dialect.Present(e.Code)}
	if e.Class == batch.RateLimited {
		// Rounded up, so that a client which waits as long is not early.
		seconds := int64((e.RetryAfter + time.Second - 1) / time.Second)
		o.Details = &limitDetails{Limit: e.Limit, Remaining: e.Remaining, RetryAfter: seconds}
	}
	return dialect.Encode(errorEnvelope{o})
}

// kind returns the type of an error, which follows from the status but for files that are not there.
func kind(e *batch.Error, status int) string {
	switch {
	case e.Code == codeNoContent:
		return "server_error"
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusNotFound && e.Code != codeNoFile:
		return "not_found_error"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status == http.StatusServiceUnavailable:
		return "service_unavailable"
	case status == http.StatusGatewayTimeout:
		return "gateway_timeout"
	case status == http.StatusPaymentRequired || status >= http.StatusInternalServerError:
		return "api_error"
	default:
		return "invalid_request_error"
	}
}

// Status returns 0: the server's table has Neosantara's statuses.
func (d *Dialect) Status(*batch.Error) int { return 0 }

// NotFound returns the error for an object that is not there, or not this tenant's. It does not repeat the id.
func (d *Dialect) NotFound(kind, _ string) *batch.Error {
	e := &batch.Error{Class: batch.NotFound}
	switch kind {
	case "batch":
		e.Code, e.Message = codeNoBatch, "Batch not found or access denied"
	case "model":
		e.Code, e.Param, e.Message = codeNoModel, "model", "Model not found"
	case "upload":
		e.Message = "Upload not found or access denied"
	default:
		e.Code, e.Message = codeNoFile, "File not found or access denied"
	}
	return e
}

// FileExpired returns the error for a file that has expired.
func (d *Dialect) FileExpired(string) *batch.Error {
	return &batch.Error{Class: batch.Gone, Code: codeFileExpired, Message: "File has expired"}
}

// CannotCancel returns the error for cancelling a batch that has ended, in OpenAI's words: the pages have none.
func (d *Dialect) CannotCancel(b batch.Batch) *batch.Error { return d.base.CannotCancel(b) }
