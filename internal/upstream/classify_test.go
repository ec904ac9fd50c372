package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"batchd/internal/batch"
	"batchd/internal/limit"
)

func jsonContent(t *testing.T, text string) content {
	t.Helper()
	c, err := newBodyReader(Options{SpoolDir: t.TempDir()}.withDefaults()).read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnsweredSortsByStatus(t *testing.T) {
	t.Parallel()
	sorted := map[limit.Kind][]int{
		limit.Served:   {200, 201, 202, 299},
		limit.Answered: {400, 406, 409, 411, 413, 414, 415, 418, 422, 431, 444},
		limit.Denied:   {401, 402, 403, 404, 405, 407, 410, 421, 426, 451},
		limit.NoRoom:   {429, 503, 529},
		limit.Broken:   {100, 101, 300, 302, 304, 408, 424, 425, 499, 500, 501, 502, 504, 520, 599, 999},
	}
	for kind, statuses := range sorted {
		for _, status := range statuses {
			v := answered(status, jsonContent(t, `{"a":1}`), "m")
			if v.signal.Kind != kind || v.signal.Status != status {
				t.Errorf("%d: got %v %d, want %v", status, v.signal.Kind, v.signal.Status, kind)
			}
			shown := status >= 200 && status < 300 || status >= 400
			if shown != (v.status == status) || shown == (v.code == batch.CodeInvalidResponse) {
				t.Errorf("%d: outcome %d %q", status, v.status, v.code)
			}
		}
	}
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
		if got := answered(status, jsonContent(t, `{"a":1}`), "m").signal.Reason; got != reason {
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
		"a path that is gone":               {410, ``, limit.Denied, limit.ReasonMisconfigured, "", ""},
		"a key, as 401":                     {401, `{"error":{"message":"Incorrect API key provided: sk-x.","type":"invalid_request_error","code":"invalid_api_key"}}`, limit.Denied, limit.ReasonDenied, "invalid_api_key", "Incorrect API key provided: sk-x."},
		"a key, as 400 (F2-14)":             {400, `{"code":"Client specified an invalid argument","error":"Incorrect API key provided"}`, limit.Denied, limit.ReasonDenied, "Client specified an invalid argument", "Incorrect API key provided"},
		"a key, as 400 by its code":         {400, `{"error":{"code":"invalid_api_key"}}`, limit.Denied, limit.ReasonDenied, "invalid_api_key", `{"error":{"code":"invalid_api_key"}}`},
		"a key, as 400 of Google":           {400, `{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}`, limit.Denied, limit.ReasonDenied, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."},
		"moderation, as 403 (F2-01)":        {403, `{"error":{"code":403,"message":"The input was flagged by moderation.","metadata":{"reasons":["violence"]}}}`, limit.Denied, limit.ReasonDenied, "403", "The input was flagged by moderation."},
		"no money, as 402 (F2-13)":          {402, `{"error":{"message":"Insufficient balance","type":"unknown_error","code":"invalid_request_error"}}`, limit.Denied, limit.ReasonAccount, "invalid_request_error", "Insufficient balance"},
		"no money, as 403":                  {403, `{"message":"INSUFFICIENT BALANCE","code":30001}`, limit.Denied, limit.ReasonAccount, "30001", "INSUFFICIENT BALANCE"},
		"no money, as 400":                  {400, `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}`, limit.Denied, limit.ReasonAccount, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."},
		"no money, as 429 (F2-11)":          {429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}`, limit.NoRoom, limit.ReasonAccount, "insufficient_quota", "You exceeded your current quota"},
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
		"nothing at all":                    {500, ``, limit.Broken, limit.ReasonFailing, "", ""},
	}
	for name, tc := range cases {
		got := answered(tc.status, jsonContent(t, tc.body), "org/m-1").signal
		want := limit.Signal{Kind: tc.kind, Status: tc.status, Reason: tc.reason, Code: tc.code, Message: tc.says}
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

func TestAnUpstreamsWordsAreCutAtACharacter(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"error":"` + strings.Repeat("\u4e2d", 300) + `"}`, strings.Repeat("\u4e2d", 300), `{"x":"` + strings.Repeat("\u4e2d", 3000) + `"}`} {
		got := answered(500, jsonContent(t, text), "m").signal.Message
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
		v := answered(200, jsonContent(t, tc.text), "m")
		if v.signal.Kind != tc.kind || v.status != tc.status || v.signal.Status != tc.judged {
			t.Errorf("%s: got %+v with outcome %d, want %v %d with %d", name, v.signal, v.status, tc.kind, tc.judged, tc.status)
		}
		if held := tc.kind != limit.Served && tc.kind != limit.Answered; held != (v.signal.Reason != "") {
			t.Errorf("%s: reason %q", name, v.signal.Reason)
		}
		if tc.status == 0 && (v.code != batch.CodeInvalidResponse || v.message == "") {
			t.Errorf("%s: code %q, message %q", name, v.code, v.message)
		}
	}
}

func TestUnansweredSortsFaults(t *testing.T) {
	t.Parallel()
	away := func(detail string) verdict {
		return verdict{
			signal: limit.Signal{Kind: limit.Unreachable, Reason: limit.ReasonUnreachable, Detail: detail},
			cause:  "unreachable", code: batch.CodeUpstreamUnreachable,
		}
	}
	ours := func(cause string, code batch.Code) verdict {
		return verdict{signal: limit.Signal{Kind: limit.Abandoned}, cause: cause, code: code}
	}
	broken := func(cause, detail string, code batch.Code, lost bool) verdict {
		return verdict{signal: limit.Signal{Kind: limit.Broken, Reason: limit.ReasonFailing, Detail: detail, Lost: lost}, cause: cause, code: code}
	}
	lost := broken("reset", "reset", batch.CodeUpstreamUnreachable, true)
	late := func(cause string) verdict { return broken(cause, "timeout", batch.CodeRequestTimeout, false) }
	dial := func(err error) error { return &net.OpError{Op: "dial", Err: err} }
	cases := map[string]struct {
		err  error
		far  progress
		want verdict
	}{
		"given up":                   {errAbandoned, sent, ours("cancelled", batch.CodeCancelled)},
		"given up, unsent":           {errAbandoned, unsent, ours("cancelled", batch.CodeCancelled)},
		"window over":                {errDeadline, unsent, ours("deadline", batch.CodeExpired)},
		"refused":                    {dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), unsent, away("refused")},
		"no such name":               {dial(&net.DNSError{Err: "no such host", Name: "gone", IsNotFound: true}), unsent, away("dns")},
		"no name server":             {dial(&net.DNSError{Err: "i/o timeout", Name: "gone", IsTimeout: true}), unsent, away("dns")},
		"nobody picks up":            {context.DeadlineExceeded, unsent, away("timeout")},
		"no route":                   {dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), unsent, away("")},
		"a bad certificate":          {fmt.Errorf("%w: %w", errHandshake, &tls.CertificateVerificationError{Err: errors.New("expired")}), unsent, away("tls")},
		"behind a proxy":             {&tls.CertificateVerificationError{Err: errors.New("expired")}, unsent, away("tls")},
		"plain HTTP on its port":     {fmt.Errorf("%w: %w", errHandshake, tls.RecordHeaderError{}), unsent, away("tls")},
		"a handshake that stalls":    {fmt.Errorf("%w: %w", errHandshake, context.DeadlineExceeded), unsent, away("timeout")},
		"unsent, out of time":        {errFirstByte, unsent, away("timeout")},
		"hung up at once":            {io.EOF, unsent, away("")},
		"too large":                  {errTooLarge, sent, verdict{signal: limit.Signal{Kind: limit.Answered}, cause: "too_large", code: batch.CodeResponseTooLarge}},
		"disk full":                  {fmt.Errorf("%w: %w", errSpool, syscall.ENOSPC), sent, ours("spool", batch.CodeInvalidResponse)},
		"keepalive found it dead":    {&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}, sent, lost},
		"broken pipe":                {&net.OpError{Op: "write", Err: syscall.EPIPE}, sent, lost},
		"end of file":                {io.EOF, sent, lost},
		"cut short":                  {io.ErrUnexpectedEOF, sent, broken("truncated", "truncated", batch.CodeInvalidResponse, true)},
		"anything else":              {errors.New("malformed"), answering, broken("protocol", "protocol", batch.CodeInvalidResponse, false)},
		"anything, before an answer": {errors.New("server closed idle connection"), sent, lost},
		"write deadline":             {os.ErrDeadlineExceeded, sent, late("write_timeout")},
		"no first byte":              {errFirstByte, sent, late("first_byte_timeout")},
		"a stall":                    {errIdle, answering, late("idle_timeout")},
		"too slow":                   {errTotal, answering, late("total_timeout")},
		"not compressed":             {errEncoding, answering, broken("encoding", "encoding", batch.CodeInvalidResponse, false)},
	}
	for name, tc := range cases {
		got := unanswered(tc.err, tc.far)
		if got.message == "" {
			t.Errorf("%s: no message", name)
		}
		if got.message = ""; got != tc.want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, tc.want)
		}
	}
}

func TestCutKeepsWhatTheStatusSettles(t *testing.T) {
	t.Parallel()
	want := map[int]limit.Kind{
		200: limit.Broken, 400: limit.Broken, 408: limit.Broken, 302: limit.Broken,
		401: limit.Denied, 429: limit.NoRoom, 500: limit.Broken, 503: limit.NoRoom,
	}
	for status, kind := range want {
		v := cut(status, io.ErrUnexpectedEOF)
		if v.signal.Kind != kind || v.code != batch.CodeInvalidResponse || v.status != 0 || v.signal.Reason == "" {
			t.Errorf("%d: got %+v, want %v", status, v, kind)
		}
		if settled := v.signal.Status == status; settled == v.signal.Lost {
			t.Errorf("%d: status %d, lost %v", status, v.signal.Status, v.signal.Lost)
		}
	}
	if v := cut(500, errAbandoned); v.signal.Kind != limit.Abandoned {
		t.Errorf("given up within a 500: %v", v.signal.Kind)
	}
	if v := cut(503, errSpool); v.signal.Kind != limit.NoRoom {
		t.Errorf("no disk for a 503: %v", v.signal.Kind)
	}
}

func TestStatusCausesAreBounded(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{0: "status_other", 99: "status_other", 600: "status_other", 404: "status_404"} {
		if got := statusCause(status); got != want {
			t.Errorf("%d: got %q, want %q", status, got, want)
		}
	}
}
