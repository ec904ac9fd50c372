package novita

import (
	"net/http"
	"strings"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// Codes of errors that have a reason of their own.
const (
	codeInvalidKey    = "invalid_api_key"
	codeTokenLimit    = "token_limit_exceeded"
	codeBatchNotFound = "batch_not_found"
	codeFileNotFound  = "file_not_found"
	codeModelNotFound = "model_not_found"
)

// shownID and shownModel are how many characters of an unknown id or model an error message repeats.
const (
	shownID    = 64
	shownModel = 128
)

type errorObject struct {
	Code     int      `json:"code"`
	Reason   string   `json:"reason"`
	Message  string   `json:"message"`
	Metadata struct{} `json:"metadata"`
	// Error is the same again in OpenAI's shape: without it OpenAI's SDKs lose the message.
	Error *openaiError `json:"error,omitzero"`
}

type openaiError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// Error renders Novita's error envelope.
func (d *Dialect) Error(e *batch.Error, status int) []byte {
	o := errorObject{Code: status, Reason: reason(e, status), Message: e.Message}
	if !d.strict {
		o.Error = &openaiError{
			Message: e.Message, Type: "invalid_request_error", Param: dialect.Present(e.Param), Code: dialect.Present(e.Code),
		}
		switch {
		case status >= http.StatusInternalServerError:
			o.Error.Type = "server_error"
		case status == http.StatusTooManyRequests:
			o.Error.Type = "rate_limit_error"
		}
	}
	return dialect.Encode(o)
}

// reason returns the word that Novita's clients branch on.
func reason(e *batch.Error, status int) string {
	switch e.Code {
	case codeInvalidKey:
		return "INVALID_API_KEY"
	case codeTokenLimit:
		return "TOKEN_LIMIT_EXCEEDED"
	case codeBatchNotFound: // ours: Novita documents no reason for an unknown object
		return "BATCH_NOT_FOUND"
	case codeFileNotFound: // ours
		return "FILE_NOT_FOUND"
	case codeModelNotFound:
		return "MODEL_NOT_FOUND"
	}
	switch status {
	case http.StatusBadRequest:
		return "INVALID_REQUEST_BODY"
	case http.StatusUnauthorized:
		return "FAILED_TO_AUTH"
	case http.StatusTooManyRequests:
		return "RATE_LIMIT_EXCEEDED"
	case http.StatusServiceUnavailable:
		return "SERVICE_NOT_AVAILABLE"
	default:
		// Ours: Novita documents no reasons for these, so each has the name of its status, like METHOD_NOT_ALLOWED.
		return strings.ReplaceAll(strings.ToUpper(http.StatusText(status)), " ", "_")
	}
}

// Status returns 403 for a key that is not known, where 401 means that there is none.
func (d *Dialect) Status(e *batch.Error) int {
	if e.Code == codeInvalidKey {
		return http.StatusForbidden
	}
	return 0
}

// NotFound returns the error for an object that is not there, or not this tenant's.
func (d *Dialect) NotFound(kind, id string) *batch.Error {
	e := &batch.Error{Class: batch.NotFound, Code: codeFileNotFound, Param: "id", Message: "File not found: " + dialect.Clip(id, shownID)}
	switch kind {
	case "batch":
		e.Code, e.Message = codeBatchNotFound, "Batch not found: "+dialect.Clip(id, shownID)
	case "model":
		e.Code, e.Param, e.Message = codeModelNotFound, "model", "Model not found: "+dialect.Clip(id, shownModel)
	}
	return e
}

// FileExpired returns the error for a file that was never there: Novita removes files that have expired.
func (d *Dialect) FileExpired(id string) *batch.Error { return d.NotFound("file", id) }

// CannotCancel returns the error for cancelling a batch that has ended, or whose window has. Novita documents none;
// it is ours, with the status of any other request that makes no sense.
func (d *Dialect) CannotCancel(b batch.Batch) *batch.Error {
	status := b.Status
	if b.Stop == batch.StopExpire {
		// Its files are still being made, but what it will be is settled.
		status = batch.Expired
	}
	return batch.Invalidf("", "", "Cannot cancel a batch with status '%s'.", d.word(status))
}

// UnknownPath returns what Novita's servers answer to a path that they do not have, if the dialect is strict; else its
// error object tells programs more.
func (d *Dialect) UnknownPath() (body []byte, contentType string) {
	if !d.strict {
		return nil, ""
	}
	return []byte("404 page not found\n"), "text/plain; charset=utf-8"
}
