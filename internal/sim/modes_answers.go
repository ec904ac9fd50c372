package sim

import "net/http"

// A modeAnswer is a whole answer with a name. Each is one that an upstream in the field gives, as it writes it.
type modeAnswer struct {
	status        int
	body          string // {id} stands for an id made from the request
	header, value string // one more than the usual, or instead of it; may be empty
	once          bool   // the same request again is answered like ok
}

const (
	modeHead  = `{"id": "{id}", "object": "chat.completion", "created": 1, "model": "m", "choices": [`
	modeTail  = `], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}`
	modeHi    = `{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}`
	modeLarge = `{"error": {"message": "Request too large: limit 30000 tokens per minute, requested 45000.", "type": "tokens", "code": "rate_limit_exceeded"}}`
)

// modeAnswers are the answers by name.
var modeAnswers = map[string]modeAnswer{
	"ok":           {status: http.StatusOK, body: modeHead + modeHi + modeTail},
	"emptychoices": {status: http.StatusOK, body: modeHead + modeTail},
	"jsonstr":      {status: http.StatusOK, body: `"a plain text answer"`},
	// Good answers as JSON has not foreseen them.
	"bom":      {status: http.StatusOK, body: "\ufeff" + modeHead + modeHi + modeTail},
	"nan":      {status: http.StatusOK, body: modeHead + `{"index": 0, "message": {"role": "assistant", "content": "hi"}, "logprobs": {"token_logprobs": [NaN, -Infinity]}, "finish_reason": "stop"}` + modeTail},
	"u2028":    {status: http.StatusOK, body: modeHead + `{"index": 0, "message": {"role": "assistant", "content": "` + "one\u2028two\u0085three\u2029four" + `"}, "finish_reason": "stop"}` + modeTail},
	"errempty": {status: http.StatusOK, body: `{"error": {}, "id": "{id}", "choices": [` + modeHi + `]}`},
	"abort":    {status: http.StatusOK, body: modeHead + `{"index": 0, "message": {"role": "assistant", "content": "h"}, "finish_reason": "abort"}` + modeTail, once: true},

	// An error under a status of success.
	"err200_400":  {status: http.StatusOK, body: `{"error": {"code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error", "n_prompt_tokens": 14429, "n_ctx": 8192}}`},
	"err200_type": {status: http.StatusOK, body: `{"error": {"code": null, "message": "prompt is too long", "type": "invalid_request_error"}}`},
	"err200_str":  {status: http.StatusOK, body: `{"error": "model not found"}`},

	// The line's own fault, under statuses that elsewhere mean the key, the route or the server.
	"mod403":   {status: http.StatusForbidden, body: `{"error": {"code": 403, "message": "The input was flagged by moderation.", "metadata": {"reasons": ["violence"]}}}`},
	"html403":  {status: http.StatusForbidden, body: `<html>blocked by waf</html>`, header: "Content-Type", value: "text/html"},
	"model401": {status: http.StatusUnauthorized, body: `{"error": {"message": "this key may not use this model", "type": "auth_error", "code": "401"}}`},
	"tgi424":   {status: http.StatusFailedDependency, body: `{"error": "Request failed during generation: Server error: out of memory", "error_type": "generation"}`},
	"ctx500":   {status: http.StatusInternalServerError, body: `{"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}`},

	// A line larger than a rate limit will ever let through, with and without a hint to wait.
	"big429":     {status: http.StatusTooManyRequests, body: modeLarge, header: "Retry-After-Ms", value: "500"},
	"big429ra20": {status: http.StatusTooManyRequests, body: modeLarge, header: "Retry-After", value: "20"},
	"big429nh":   {status: http.StatusTooManyRequests, body: modeLarge},

	// The account or the configuration: no line will do better.
	"pay402":      {status: http.StatusPaymentRequired, body: `{"error": {"message": "Insufficient balance", "type": "unknown_error", "code": "invalid_request_error"}}`},
	"q429_insuff": {status: http.StatusTooManyRequests, body: `{"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}}`},
	"badkey400":   {status: http.StatusBadRequest, body: `{"code": "Client specified an invalid argument", "error": "Incorrect API key provided"}`},
	"notfound":    {status: http.StatusNotFound, body: `{"detail": "Not Found"}`},

	// The moment: the same line will do later.
	"tgi424once": {status: http.StatusFailedDependency, body: `{"error": "Request failed during generation", "error_type": "generation"}`, once: true},
	"loading503": {status: http.StatusServiceUnavailable, body: `{"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}`},
	"busy503":    {status: http.StatusServiceUnavailable, body: `{"error": {"message": "server busy, please try again.  maximum pending requests exceeded", "type": "api_error"}}`},
	"unloaded":   {status: http.StatusBadRequest, body: `{"error": "Model unloaded."}`},
	"c499":       {status: 499, body: `{"error": {"message": "cancelled", "code": 499}}`},
}
