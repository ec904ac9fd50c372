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
	// signal is what it says about the way that the call took.
	signal limit.Signal
	cause  string
	// status is the answer's, for an outcome that shows it; else code and message stand for it.
	status  int
	code    batch.Code
	message string
}

// phrases are the words by which servers refuse a key, an account or all calls under a status that is usually the
// request's own fault. Each is at least two words, in lower case: a single one may stand in anybody's prompt.
var phrases = []struct {
	text   string
	reason limit.Reason
}{
	{"incorrect api key", limit.ReasonDenied},
	{"invalid api key", limit.ReasonDenied},
	{"api key not valid", limit.ReasonDenied},
	{"api key not found", limit.ReasonDenied},
	{"api key expired", limit.ReasonDenied},
	{"api key is invalid", limit.ReasonDenied},
	{"api key has been disabled", limit.ReasonDenied},
	{"missing api key", limit.ReasonDenied},
	{"no api key provided", limit.ReasonDenied},
	{"invalid access token", limit.ReasonDenied},
	{"insufficient balance", limit.ReasonAccount},
	{"insufficient account balance", limit.ReasonAccount},
	{"balance is insufficient", limit.ReasonAccount},
	{"balance is not enough", limit.ReasonAccount},
	{"not enough balance", limit.ReasonAccount},
	{"not enough credits", limit.ReasonAccount},
	{"insufficient quota", limit.ReasonAccount},
	{"insufficient credit", limit.ReasonAccount},
	{"insufficient credits", limit.ReasonAccount},
	{"insufficient funds", limit.ReasonAccount},
	{"exceeded your current quota", limit.ReasonAccount},
	{"credit balance is too low", limit.ReasonAccount},
	{"requires more credits", limit.ReasonAccount},
	{"billing hard limit", limit.ReasonAccount},
	{"billing hard limit reached", limit.ReasonAccount},
	{"billing not active", limit.ReasonAccount},
	{"account is not active", limit.ReasonAccount},
	{"account is in good standing", limit.ReasonAccount},
	{"budget exceeded", limit.ReasonAccount},
	{"budget has been exceeded", limit.ReasonAccount},
	{"model unloaded", limit.ReasonFailing},
	{"model has crashed", limit.ReasonFailing},
	{"no model loaded", limit.ReasonFailing},
	{"no models loaded", limit.ReasonFailing},
}

// modelNotFound is the code that OpenAI and those who follow it have for an unknown model.
const modelNotFound = "model_not_found"

// answered is the verdict on an HTTP answer whose body was read to its end. model is the one that the call asked for. A 2xx
// answer is only as good as its body. It is a pure function.
func answered(status int, c content, model string) verdict {
	if status < 200 || status >= 300 {
		v := verdict{signal: judge(status, c, model), cause: statusCause(status), status: status}
		if v.signal.Message == "" {
			v.signal.Message = inWords(status) // for reasons and logs: the answer has none
		}
		switch {
		case status < 200:
			return v.without(batch.CodeInvalidResponse, fmt.Sprintf("The upstream answered with status %d, to go on with another protocol than HTTP.", status))
		case status < 400:
			return v.without(batch.CodeInvalidResponse, fmt.Sprintf("The upstream answered with status %d; redirects are not followed.", status))
		case c.body == nil:
			return v.without(batch.CodeResponseTooLarge, "The upstream's answer was too long and not JSON.")
		}
		return v
	}
	a := c.found
	switch {
	case c.tooDeep:
		return invalid("too_deep", fmt.Sprintf("The upstream's answer is nested deeper than %d levels.", maxDepth)).on(status, c)
	case !c.isJSON:
		return invalid("not_json", "The upstream answered with something that is not JSON.").on(status, c)
	case a.kind == '"':
		return invalid("string", "The upstream answered with a JSON string where an object belongs.").on(status, c)
	case a.kind != '{' && a.kind != '[' || a.empty:
		return invalid("empty", "The upstream answered with an empty JSON value.").on(status, c)
	case a.isError:
		return reported(status, c, model)
	case a.failure != "":
		message := fmt.Sprintf("The upstream ended a choice with finish_reason %q.", a.failure)
		return invalid("finish_"+a.failure, message).on(status, content{})
	}
	return verdict{signal: limit.Signal{Kind: limit.Served, Status: status}, cause: "ok", status: status}
}

// incomplete reports whether a served answer lacks the list that its endpoint is called for, as with "choices": []. It says
// nothing, however good it looks.
func incomplete(endpoint string, c content) bool {
	var list member
	switch endpoint {
	case "/v1/chat/completions", "/v1/completions":
		list = memberChoices
	case "/v1/embeddings", "/v1/images/generations", "/v1/images/edits", "/v1/score", "/v1/classify", "/v1/pooling":
		list = memberData
	case "/v1/moderations", "/v1/rerank":
		list = memberResults
	default:
		return false
	}
	return c.found.kind == '{' && !c.filled[list]
}

// without turns a verdict into one that shows no answer.
func (v verdict) without(code batch.Code, message string) verdict {
	v.status, v.code, v.message = 0, code, message
	return v
}

// judge says what an answer means by its status, and by its words where the status alone does not tell whose fault it is:
// 404 is the line's own if it is about the model, and 400 is not if it is about the key, the account or the engine.
func judge(status int, c content, model string) limit.Signal {
	w, kind := wordsOf(c), kindOf(status)
	switch {
	case status == http.StatusNotFound && (w.says(modelNotFound) || c.names(model)):
		kind = limit.Answered
	case status == http.StatusBadRequest && w.told() != "":
		kind = limit.Denied
	}
	return limit.Signal{
		Kind: kind, Status: status, Reason: reasonOf(kind, status, w), Code: w.label(), Message: w.excerpt(),
	}
}

// invalid is the verdict on an answer that is none.
func invalid(cause, message string) verdict {
	return verdict{
		signal: limit.Signal{Kind: limit.Broken, Reason: limit.ReasonFailing}, cause: cause,
		code: batch.CodeInvalidResponse, message: message,
	}
}

// on adds the status and the words of an answer that the status does not decide.
func (v verdict) on(status int, c content) verdict {
	w := wordsOf(c)
	v.signal.Status, v.signal.Code, v.signal.Message = status, w.label(), w.excerpt()
	return v
}

// reported is the verdict on an error that came with a 2xx status, as it does from servers that had begun to answer. If
// its code is an HTTP status, it is taken for the answer's status; else the words are looked at that speak of room or
// of the request. What says neither is the server's fault.
//
// The Responses API is different: an answer may be a response object whose generation failed, which is what a
// synchronous caller would get too. It is final unless its code says that the server was at fault.
func reported(status int, c content, model string) verdict {
	w := wordsOf(c)
	if code, err := strconv.Atoi(w.code); err == nil && code >= 400 && code <= 599 {
		return inside(code, c, model)
	}
	told := statusOfWords(w)
	if kindOf(told) == limit.NoRoom {
		v := complaint(c, told)
		v.signal.Kind, v.signal.Reason = limit.NoRoom, reasonOf(limit.NoRoom, told, w)
		return v
	}
	if c.found.isResponse && w.code != "" && w.code != "server_error" {
		v := verdict{cause: "response_failed", status: status}.on(status, c)
		v.signal.Kind = limit.Answered
		return v
	}
	if told != 0 {
		return inside(told, c, model)
	}
	return complaint(c, status)
}

// inside is the verdict on an error within a 2xx answer that has a status of its own. It says nothing of the key and
// the path, which were good enough for a 2xx, unless it says so in words; of the account it may.
func inside(status int, c content, model string) verdict {
	s := judge(status, c, model)
	if s.Kind == limit.Denied && s.Reason != limit.ReasonAccount && wordsOf(c).told() == "" {
		s.Kind, s.Reason = limit.Answered, ""
	}
	return verdict{signal: s, cause: "error_" + strconv.Itoa(status), status: status}
}

// complaint is the verdict on an error within a 2xx answer that no status is known for.
func complaint(c content, status int) verdict {
	message := "The upstream answered with an error."
	if c.found.errorMessage != "" {
		message = "The upstream answered with an error: " + c.found.errorMessage
	}
	v := invalid("error_body", message).on(status, c)
	v.signal.Reason = reasonOf(v.signal.Kind, status, wordsOf(c))
	return v
}

// statusOfWords returns the status that words of room or of the request's own fault stand for, or 0.
func statusOfWords(w words) int {
	switch {
	case strings.Contains(w.code, "overloaded") || strings.Contains(w.kind, "overloaded"):
		return statusOverloaded
	case strings.Contains(w.code, "rate_limit") || strings.Contains(w.kind, "rate_limit"),
		w.says("insufficient_quota"), w.says("resource_exhausted"), w.says("RESOURCE_EXHAUSTED"):
		return http.StatusTooManyRequests
	case w.says(modelNotFound), w.says("not_found_error"), w.says("NotFoundError"), w.says("NOT_FOUND"):
		return http.StatusNotFound
	case w.saysInvalid(), w.says("context_length_exceeded"), w.told() != "":
		return http.StatusBadRequest
	}
	return 0
}
