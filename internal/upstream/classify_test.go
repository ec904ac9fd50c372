package upstream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"batchd/internal/batch"
)

func jsonContent(t *testing.T, text string) content {
	t.Helper()
	c, err := newIntake(Options{SpoolDir: t.TempDir()}.withDefaults()).read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnsweredSortsByStatus(t *testing.T) {
	t.Parallel()
	want := map[int]Disposition{
		200: Answered, 201: Answered, 202: Answered, 299: Answered,
		100: Broken, 101: Broken, 300: Broken, 302: Broken, 304: Broken,
		400: Answered, 402: Answered, 404: Answered, 405: Answered, 409: Answered, 413: Answered, 422: Answered, 451: Answered, 499: Answered,
		401: Denied, 403: Denied, 407: Denied,
		408: Ambiguous, 425: Ambiguous,
		429: Capacity, 503: Capacity, 529: Capacity,
		500: Broken, 501: Broken, 502: Broken, 504: Broken, 520: Broken, 599: Broken, 999: Broken,
	}
	for status, d := range want {
		v := answered(status, jsonContent(t, `{"a":1}`))
		if v.disposition != d {
			t.Errorf("%d: got %v, want %v", status, v.disposition, d)
		}
		shown := status >= 200 && status < 300 || status >= 400
		if shown != (v.status == status) || shown == (v.code == batch.CodeInvalidResponse) {
			t.Errorf("%d: outcome %d %q", status, v.status, v.code)
		}
	}
}

func TestAnsweredSortsErrorsInA200(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text        string
		disposition Disposition
		status      int
	}{
		"a server's code":              {`{"error":{"code":"internal_error"}}`, Ambiguous, 0},
		"no code":                      {`{"error":"boom"}`, Ambiguous, 0},
		"a number that is no status":   {`{"error":{"code":1302}}`, Ambiguous, 0},
		"a number of success":          {`{"error":{"code":200}}`, Ambiguous, 0},
		"a negative number":            {`{"error":{"code":-429}}`, Ambiguous, 0},
		"500":                          {`{"error":{"code":500}}`, Broken, 500},
		"503 as text":                  {`{"error":{"code":"503"}}`, Capacity, 503},
		"408":                          {`{"error":{"code":408}}`, Ambiguous, 408},
		"404":                          {`{"error":{"code":404}}`, Answered, 404},
		"403, which is moderation":     {`{"error":{"code":403}}`, Answered, 403},
		"a rate limit":                 {`{"error":{"code":"rate_limit_exceeded"}}`, Capacity, 0},
		"an overload, by its type":     {`{"error":{"type":"overloaded_error"}}`, Capacity, 0},
		"a spent quota":                {`{"error":{"code":"insufficient_quota"}}`, Capacity, 0},
		"an older error object":        {`{"object":"error","message":"m","code":400}`, Answered, 400},
		"a response that failed":       {`{"object":"response","status":"failed","error":{"code":"invalid_image"}}`, Answered, 200},
		"a response the server failed": {`{"object":"response","status":"failed","error":{"code":"server_error"}}`, Ambiguous, 0},
		"a response without room":      {`{"object":"response","status":"failed","error":{"code":"rate_limit_exceeded"}}`, Capacity, 0},
		"a response without a reason":  {`{"object":"response","status":"failed","error":{}}`, Ambiguous, 0},
		"a response that is fine":      {`{"object":"response","status":"completed","error":null}`, Answered, 200},
	}
	for name, tc := range cases {
		v := answered(200, jsonContent(t, tc.text))
		if v.disposition != tc.disposition || v.status != tc.status {
			t.Errorf("%s: got %v %d, want %v %d", name, v.disposition, v.status, tc.disposition, tc.status)
		}
		if tc.status == 0 && (v.code != batch.CodeInvalidResponse || v.message == "") {
			t.Errorf("%s: code %q, message %q", name, v.code, v.message)
		}
	}
}

func TestUnansweredSortsFaults(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err  error
		sent bool
		want verdict
	}{
		"given up":            {errAbandoned, true, verdict{disposition: Abandoned, cause: "cancelled", code: batch.CodeCancelled}},
		"given up, unsent":    {errAbandoned, false, verdict{disposition: Abandoned, cause: "cancelled", code: batch.CodeCancelled}},
		"window over":         {errDeadline, false, verdict{disposition: Abandoned, cause: "deadline", code: batch.CodeExpired}},
		"unsent":              {syscall.ECONNREFUSED, false, verdict{disposition: Capacity, cause: "unreachable", code: batch.CodeUpstreamUnreachable}},
		"unsent, out of time": {errFirstByte, false, verdict{disposition: Capacity, cause: "unreachable", code: batch.CodeUpstreamUnreachable}},
		"too large":           {errTooLarge, true, verdict{disposition: Answered, cause: "too_large", code: batch.CodeResponseTooLarge}},
		"disk full": {
			fmt.Errorf("%w: %w", errSpool, syscall.ENOSPC), true, verdict{disposition: Capacity, cause: "spool", code: batch.CodeInvalidResponse},
		},
		"keepalive found it dead": {
			&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}, true,
			verdict{disposition: Ambiguous, cause: "reset", code: batch.CodeUpstreamUnreachable},
		},
		"broken pipe":    {&net.OpError{Op: "write", Err: syscall.EPIPE}, true, verdict{disposition: Ambiguous, cause: "reset", code: batch.CodeUpstreamUnreachable}},
		"end of file":    {io.EOF, true, verdict{disposition: Ambiguous, cause: "reset", code: batch.CodeUpstreamUnreachable}},
		"cut short":      {io.ErrUnexpectedEOF, true, verdict{disposition: Ambiguous, cause: "truncated", code: batch.CodeInvalidResponse}},
		"anything else":  {errors.New("malformed"), true, verdict{disposition: Ambiguous, cause: "protocol", code: batch.CodeInvalidResponse}},
		"write deadline": {os.ErrDeadlineExceeded, true, verdict{disposition: Ambiguous, cause: "write_timeout", code: batch.CodeRequestTimeout}},
	}
	for name, tc := range cases {
		got := unanswered(tc.err, tc.sent)
		if got.message == "" {
			t.Errorf("%s: no message", name)
		}
		if got.message = ""; got != tc.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
		}
	}
}

func TestCutKeepsWhatTheStatusSettles(t *testing.T) {
	t.Parallel()
	want := map[int]Disposition{
		200: Ambiguous, 400: Ambiguous, 408: Ambiguous, 302: Ambiguous,
		401: Denied, 429: Capacity, 500: Broken, 503: Capacity,
	}
	for status, d := range want {
		if v := cut(status, io.ErrUnexpectedEOF); v.disposition != d || v.code != batch.CodeInvalidResponse || v.status != 0 {
			t.Errorf("%d: got %+v, want %v", status, v, d)
		}
	}
	if v := cut(500, errAbandoned); v.disposition != Abandoned {
		t.Errorf("given up within a 500: %v", v.disposition)
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
