package openai

import (
	"net/http"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// shownID is how many characters of an unknown id an error message repeats. Every dialect's own ids are shorter.
const shownID = 64

// shownModel is how many characters of an unknown model's name an error message repeats.
const shownModel = 128

// codeModelNotFound is OpenAI's code of a model that is not there, called for or in a line.
const codeModelNotFound = "model_not_found"

// errorEnvelope is the body of every answer that is no success. SDKs make their exceptions of it.
type errorEnvelope struct {
	Error errorObject `json:"error"`
}

type errorObject struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// codeNoKey is what an authenticator calls a call without a key. OpenAI has no code for it, only words.
const (
	codeNoKey  = "missing_api_key"
	noKeyWords = "Missing bearer or basic authentication in header. Send your API key as 'Authorization: Bearer YOUR_KEY'."
)

// Error renders OpenAI's error envelope. The type follows from the status.
func (d *Dialect) Error(e *batch.Error, status int) []byte {
	message, code := e.Message, e.Code
	if e.Class == batch.Unauthenticated && code == codeNoKey {
		message, code = noKeyWords, ""
	}
	kind := "invalid_request_error"
	switch {
	case status >= http.StatusInternalServerError:
		kind = "server_error"
	case status == http.StatusTooManyRequests:
		kind = "rate_limit_error"
	}
	return dialect.Encode(errorEnvelope{errorObject{Message: message, Type: kind, Param: dialect.Present(e.Param), Code: dialect.Present(code)}})
}

// Status returns 400 for what is too large, which is what OpenAI answers, if the dialect is strict. Otherwise 413
// stands: it says more.
func (d *Dialect) Status(e *batch.Error) int {
	if d.strict && e.Class == batch.TooLarge {
		return http.StatusBadRequest
	}
	return 0
}

// NotFound returns the error for an object that is not there, or not this tenant's.
func (d *Dialect) NotFound(kind, id string) *batch.Error {
	name := "File"
	switch kind {
	case "model":
		return &batch.Error{
			Class: batch.NotFound, Param: "model", Code: codeModelNotFound,
			Message: "The model '" + dialect.Clip(id, shownModel) + "' was not found: no upstream of this server lists it.",
		}
	case "batch":
		name = "Batch"
	case "upload":
		name = "Upload"
	}
	return &batch.Error{Class: batch.NotFound, Param: "id", Message: "No such " + name + " object: " + dialect.Clip(id, shownID)}
}

// FileExpired returns the error for a file that has expired: to OpenAI's clients there is no such file any more.
func (d *Dialect) FileExpired(id string) *batch.Error { return d.NotFound("file", id) }

// CannotCancel returns the error for cancelling a batch that has ended, or whose window has.
func (d *Dialect) CannotCancel(b batch.Batch) *batch.Error {
	status := b.Status
	if b.Stop == batch.StopExpire {
		// Its files are still being made, but what it will be is settled.
		status = batch.Expired
	}
	return &batch.Error{Class: batch.Conflict, Message: "Cannot cancel a batch with status '" + string(status) + "'."}
}
