package sim

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// An apiError is a refusal in OpenAI's envelope.
type apiError struct {
	status     int
	kind       string // the envelope's `type`; invalid_request_error if empty
	message    string
	param      string // null if empty
	code       string // null if empty
	retryAfter time.Duration
	header     http.Header // more headers, may be nil
}

func (e *apiError) Error() string { return e.message }

func invalid(param, format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, param: param, message: fmt.Sprintf(format, args...)}
}

func missing(param string) *apiError {
	err := invalid(param, "Missing required parameter: '%s'.", param)
	err.code = "missing_required_parameter"
	return err
}

func modelNotFound(model string) *apiError {
	return &apiError{
		status: http.StatusNotFound, param: "model", code: "model_not_found",
		message: fmt.Sprintf("The model '%s' does not exist.", model),
	}
}

func bodyTooLarge(limit int64) *apiError {
	return &apiError{
		status: http.StatusRequestEntityTooLarge, code: "request_too_large",
		message: fmt.Sprintf("The request body is larger than %d bytes.", limit),
	}
}

func wrongMethod(r *http.Request, want string) *apiError {
	return &apiError{
		status:  http.StatusMethodNotAllowed,
		message: fmt.Sprintf("Not allowed to %s on %s. (HINT: use %s)", r.Method, r.URL.Path, want),
		header:  http.Header{"Allow": {want}},
	}
}

type errorEnvelope struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

func (e *apiError) envelope() []byte {
	kind := e.kind
	if kind == "" {
		kind = "invalid_request_error"
	}
	return mustEncode(errorEnvelope{errorBody{Message: e.message, Type: kind, Param: nullable(e.param), Code: nullable(e.code)}})
}

func errorReply(e *apiError) reply {
	h := make(http.Header)
	for k, vs := range e.header {
		h[k] = vs
	}
	if e.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.retryAfter.Seconds()))))
		h.Set("Retry-After-Ms", strconv.FormatInt(e.retryAfter.Milliseconds(), 10))
	}
	return reply{status: e.status, header: h, body: e.envelope()}
}

// writeError answers a request that never became a call.
func writeError(w http.ResponseWriter, e *apiError) {
	rep := errorReply(e)
	h := w.Header()
	for k, vs := range rep.header {
		h[k] = vs
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(rep.body)))
	w.WriteHeader(rep.status)
	_, _ = w.Write(rep.body) // a client that left is not the engine's trouble
}

// kindOfStatus is the envelope's type that goes with a status a fault script asks for.
func kindOfStatus(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
