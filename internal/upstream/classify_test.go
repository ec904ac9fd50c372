package upstream_test

import (
	"net"
	"strings"
	"testing"
	"unicode/utf8"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/limit"
	"batchd/internal/upstream"
)

// answerTo returns what becomes of a call that asks for the model and is answered with the status and the body.
func answerTo(t *testing.T, status int, body, model string) dispatch.Answer {
	t.Helper()
	dial := piped(func(c net.Conn) { serveConn(c, raw(reply(status, body))) })
	u := newUpstream(t, upstream.Config{URL: "http://h/v1"}, upstream.Options{DialContext: dial})
	c := chatRequest()
	c.Model = model
	a, _ := read(t, u.Call(t.Context(), c))
	return a
}

func TestReasonsAreOneWordForWhatHoldsWorkUp(t *testing.T) {
	t.Parallel()
	for status, reason := range map[int]limit.Reason{
		200: "", 400: "", 422: "",
		401: limit.ReasonDenied, 403: limit.ReasonDenied, 407: limit.ReasonDenied, 451: limit.ReasonDenied,
		402: limit.ReasonAccount,
		404: limit.ReasonMisconfigured, 405: limit.ReasonMisconfigured, 410: limit.ReasonMisconfigured,
		421: limit.ReasonMisconfigured, 426: limit.ReasonMisconfigured,
		429: limit.ReasonNoRoom, 503: limit.ReasonNoRoom, 529: limit.ReasonNoRoom,
		302: limit.ReasonFailing, 408: limit.ReasonFailing, 424: limit.ReasonFailing, 500: limit.ReasonFailing,
	} {
		if got := answerTo(t, status, `{"a":1}`, "m").Signal.Reason; got != reason {
			t.Errorf("%d: got %q, want %q", status, got, reason)
		}
	}
}

// The bodies are those that servers are known to send.
func TestWordsTellWhoseFaultAnErrorIs(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		status int
		body   string
		kind   limit.Kind
		reason limit.Reason
		code   string
		says   string
	}{
		"an unknown model, by its code": {
			404, `{"error":{"message":"no such thing","type":"invalid_request_error","code":"model_not_found"}}`,
			limit.Answered, "", "model_not_found", "no such thing",
		},
		"an unknown model, by its name": {
			404, `{"object":"error","message":"The model ` + "`org/m-1`" + ` does not exist.","type":"NotFoundError","param":null,"code":404}`,
			limit.Answered, "", "NotFoundError", "The model `org/m-1` does not exist.",
		},
		"an unknown model, in text":         {404, `model "org/m-1" not found`, limit.Answered, "", "", `model "org/m-1" not found`},
		"an unknown model with escapes":     {404, `{"error":"model 'org\/m-1' not found"}`, limit.Answered, "", "", "model 'org/m-1' not found"},
		"another model that begins alike":   {404, `{"error":"we have org/m-10"}`, limit.Denied, limit.ReasonMisconfigured, "", "we have org/m-10"},
		"an unknown path (F2-15)":           {404, `{"detail":"Not Found"}`, limit.Denied, limit.ReasonMisconfigured, "", "Not Found"},
		"an unknown path, of a web server":  {404, "<html>\r\n<h1>404\tNot Found</h1>\x1b[31m\n", limit.Denied, limit.ReasonMisconfigured, "", "<html> <h1>404 Not Found</h1> [31m"},
		"a path that is gone":               {410, ``, limit.Denied, limit.ReasonMisconfigured, "", "Gone (no body)"},
		"a key, as 401":                     {401, `{"error":{"message":"Incorrect API key provided: sk-x.","type":"invalid_request_error","code":"invalid_api_key"}}`, limit.Denied, limit.ReasonDenied, "invalid_api_key", "Incorrect API key provided: sk-x."},
		"a key, as 400 (F2-14)":             {400, `{"code":"Client specified an invalid argument","error":"Incorrect API key provided"}`, limit.Denied, limit.ReasonDenied, "Client specified an invalid argument", "Incorrect API key provided"},
		"a key, as 400 by its code":         {400, `{"error":{"code":"invalid_api_key"}}`, limit.Denied, limit.ReasonDenied, "invalid_api_key", `{"error":{"code":"invalid_api_key"}}`},
		"a key, as 400 of Google":           {400, `{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}`, limit.Denied, limit.ReasonDenied, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."},
		"moderation, as 403 (F2-01)":        {403, `{"error":{"code":403,"message":"The input was flagged by moderation.","metadata":{"reasons":["violence"]}}}`, limit.Denied, limit.ReasonDenied, "403", "The input was flagged by moderation."},
		"no money, as 402 (F2-13)":          {402, `{"error":{"message":"Insufficient balance","type":"unknown_error","code":"invalid_request_error"}}`, limit.Denied, limit.ReasonAccount, "invalid_request_error", "Insufficient balance"},
		"no money, as 403":                  {403, `{"message":"INSUFFICIENT BALANCE","code":30001}`, limit.Denied, limit.ReasonAccount, "30001", "INSUFFICIENT BALANCE"},
		"no money, as 400":                  {400, `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}`, limit.Denied, limit.ReasonAccount, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."},
		"no money, as 429 (F2-11)":          {429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}`, limit.NoRoom, limit.ReasonAccount, "insufficient_quota", "You exceeded your current quota"},
		"no money, as 403, in other words":  {403, `{"error":{"message":"Sorry, your account balance is insufficient","code":30001}}`, limit.Denied, limit.ReasonAccount, "30001", "Sorry, your account balance is insufficient"},
		"no money, as 403 by its code":      {403, `{"code":403,"reason":"x","error":{"type":"NOT_ENOUGH_BALANCE"}}`, limit.Denied, limit.ReasonAccount, "NOT_ENOUGH_BALANCE", `{"code":403,"reason":"x","error":{"type":"NOT_ENOUGH_BALANCE"}}`},
		"no money, as 400, in other words":  {400, `{"error":"Your account balance is insufficient"}`, limit.Denied, limit.ReasonAccount, "", "Your account balance is insufficient"},
		"no money, as 401":                  {401, `{"error":"You have run out of credits."}`, limit.Denied, limit.ReasonAccount, "", "You have run out of credits."},
		"a spent quota, as 403":             {403, `{"error":"The free quota of this model has been exhausted"}`, limit.Denied, limit.ReasonAccount, "", "The free quota of this model has been exhausted"},
		"a spent quota, as 503":             {503, `Quota exceeded`, limit.NoRoom, limit.ReasonAccount, "", "Quota exceeded"},
		"a quota that is a rate":            {429, `{"error":"Quota exceeded for requests_per_minute"}`, limit.NoRoom, limit.ReasonNoRoom, "", "Quota exceeded for requests_per_minute"},
		"words of two sentences":            {403, `{"error":"Insufficient permissions. Quota: 5"}`, limit.Denied, limit.ReasonDenied, "", "Insufficient permissions. Quota: 5"},
		"the words in a bad request":        {400, `{"error":"cannot parse 'the quota was exceeded'"}`, limit.Answered, "", "", "cannot parse 'the quota was exceeded'"},
		"no money, as 500":                  {500, `{"error":"insufficient funds"}`, limit.Broken, limit.ReasonAccount, "", "insufficient funds"},
		"an engine without its model":       {400, `{"error":"Model unloaded."}`, limit.Denied, limit.ReasonFailing, "", "Model unloaded."},
		"an engine that loads, as 503":      {503, `{"error":{"message":"Loading model","type":"unavailable_error","code":503}}`, limit.NoRoom, limit.ReasonNoRoom, "unavailable_error", "Loading model"},
		"a request too large, as 429":       {429, `{"error":{"message":"Request too large","type":"tokens","code":"rate_limit_exceeded"}}`, limit.NoRoom, limit.ReasonNoRoom, "rate_limit_exceeded", "Request too large"},
		"a generation fault of TGI (F2-16)": {424, `{"error":"Request failed during generation: Server error: out of memory","error_type":"generation"}`, limit.Broken, limit.ReasonFailing, "generation", "Request failed during generation: Server error: out of memory"},
		"a bad parameter":                   {400, `{"error":{"message":"temperature must be below 2","type":"BadRequestError","code":400}}`, limit.Answered, "", "BadRequestError", "temperature must be below 2"},
		"a word alone is no phrase":         {400, `{"error":{"message":"'balance' and 'quota' and 'api_key' are no fields","code":"invalid"}}`, limit.Answered, "", "invalid", "'balance' and 'quota' and 'api_key' are no fields"},
		"a phrase in a code is no part":     {400, `{"error":{"code":"not_an_invalid_api_key_at_all"}}`, limit.Answered, "", "not_an_invalid_api_key_at_all", `{"error":{"code":"not_an_invalid_api_key_at_all"}}`},
		"a list of faults":                  {422, `{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}`, limit.Answered, "", "", `{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}`},
		"a phrase in a validation error":    {422, `{"detail":"invalid api key"}`, limit.Answered, "", "", "invalid api key"},
		"a code too long to be one":         {400, `{"code":"` + strings.Repeat("c", 65) + `","type":"t\u0007","message":"m"}`, limit.Answered, "", "", "m"},
		"nothing at all":                    {500, ``, limit.Broken, limit.ReasonFailing, "", "Internal Server Error (no body)"},
	}
	for name, tc := range cases {
		got := answerTo(t, tc.status, tc.body, "org/m-1").Signal
		want := limit.Signal{Kind: tc.kind, Status: tc.status, Reason: tc.reason, Code: tc.code, Message: tc.says}
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

func TestAnUpstreamsWordsAreCutAtACharacter(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"error":"` + strings.Repeat("\u4e2d", 300) + `"}`, strings.Repeat("\u4e2d", 300), `{"x":"` + strings.Repeat("\u4e2d", 3000) + `"}`} {
		got := answerTo(t, 500, text, "m").Signal.Message
		if n := utf8.RuneCountInString(got); n != 200 || !utf8.ValidString(got) {
			t.Errorf("%.20s: %d characters: %q", text, n, got)
		}
	}
}

func TestAnsweredSortsErrorsInA200(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text   string
		kind   limit.Kind
		status int
		// judged is the status in the signal.
		judged int
	}{
		"a server's code":              {`{"error":{"code":"internal_error"}}`, limit.Broken, 0, 200},
		"no code":                      {`{"error":"boom"}`, limit.Broken, 0, 200},
		"a number that is no status":   {`{"error":{"code":1302}}`, limit.Broken, 0, 200},
		"a number of success":          {`{"error":{"code":200}}`, limit.Broken, 0, 200},
		"a negative number":            {`{"error":{"code":-429}}`, limit.Broken, 0, 200},
		"500":                          {`{"error":{"code":500}}`, limit.Broken, 500, 500},
		"503 as text":                  {`{"error":{"code":"503"}}`, limit.NoRoom, 503, 503},
		"408":                          {`{"error":{"code":408}}`, limit.Broken, 408, 408},
		"400":                          {`{"error":{"code":400,"type":"exceed_context_size_error"}}`, limit.Answered, 400, 400},
		"404":                          {`{"error":{"code":404}}`, limit.Answered, 404, 404},
		"401, by a key that was good":  {`{"error":{"code":"401","message":"no"}}`, limit.Answered, 401, 401},
		"401, and so it says":          {`{"error":{"code":401,"message":"Incorrect API key provided"}}`, limit.Denied, 401, 401},
		"402":                          {`{"error":{"code":402}}`, limit.Denied, 402, 402},
		"403, which is moderation":     {`{"error":{"code":403}}`, limit.Answered, 403, 403},
		"a bad request (F2-18)":        {`{"error":{"code":null,"message":"prompt is too long","type":"invalid_request_error"}}`, limit.Answered, 400, 400},
		"a bad request of Google":      {`{"error":{"message":"no","status":"INVALID_ARGUMENT"}}`, limit.Answered, 400, 400},
		"an unknown model":             {`{"error":{"code":"model_not_found","type":"invalid_request_error"}}`, limit.Answered, 404, 404},
		"no money":                     {`{"error":"Insufficient balance"}`, limit.Denied, 400, 400},
		"a rate limit":                 {`{"error":{"code":"rate_limit_exceeded"}}`, limit.NoRoom, 0, 429},
		"an overload, by its type":     {`{"error":{"type":"overloaded_error"}}`, limit.NoRoom, 0, 529},
		"a spent quota":                {`{"error":{"code":"insufficient_quota"}}`, limit.NoRoom, 0, 429},
		"an older error object":        {`{"object":"error","message":"m","code":400}`, limit.Answered, 400, 400},
		"a response that failed":       {`{"object":"response","status":"failed","error":{"code":"invalid_image"}}`, limit.Answered, 200, 200},
		"a response the server failed": {`{"object":"response","status":"failed","error":{"code":"server_error"}}`, limit.Broken, 0, 200},
		"a response without room":      {`{"object":"response","status":"failed","error":{"code":"rate_limit_exceeded"}}`, limit.NoRoom, 0, 429},
		"a response without a reason":  {`{"object":"response","status":"failed","error":{}}`, limit.Broken, 0, 200},
		"a response that is fine":      {`{"object":"response","status":"completed","error":null}`, limit.Served, 200, 200},
	}
	for name, tc := range cases {
		a := answerTo(t, 200, tc.text, "m")
		if a.Signal.Kind != tc.kind || a.Outcome.Status != tc.status || a.Signal.Status != tc.judged {
			t.Errorf("%s: got %+v with outcome %d, want %v %d with %d", name, a.Signal, a.Outcome.Status, tc.kind, tc.judged, tc.status)
		}
		if held := tc.kind != limit.Served && tc.kind != limit.Answered; held != (a.Signal.Reason != "") {
			t.Errorf("%s: reason %q", name, a.Signal.Reason)
		}
		if tc.status == 0 && (a.Outcome.Code != batch.CodeInvalidResponse || a.Outcome.Message == "") {
			t.Errorf("%s: code %q, message %q", name, a.Outcome.Code, a.Outcome.Message)
		}
	}
}
