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
	"batchd/internal/limit"
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
	want := map[int]limit.Kind{
		200: limit.Served, 201: limit.Served, 202: limit.Served, 299: limit.Served,
		100: limit.Broken, 101: limit.Broken, 300: limit.Broken, 302: limit.Broken, 304: limit.Broken,
		400: limit.Answered, 402: limit.Answered, 404: limit.Answered, 405: limit.Answered, 409: limit.Answered, 413: limit.Answered, 422: limit.Answered, 451: limit.Answered, 499: limit.Answered,
		401: limit.Denied, 403: limit.Denied, 407: limit.Denied,
		408: limit.Broken, 425: limit.Broken,
		429: limit.NoRoom, 503: limit.NoRoom, 529: limit.NoRoom,
		500: limit.Broken, 501: limit.Broken, 502: limit.Broken, 504: limit.Broken, 520: limit.Broken, 599: limit.Broken, 999: limit.Broken,
	}
	for status, d := range want {
		v := answered(status, jsonContent(t, `{"a":1}`))
		if v.kind != d {
			t.Errorf("%d: got %v, want %v", status, v.kind, d)
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
		text   string
		kind   limit.Kind
		status int
	}{
		"a server's code":              {`{"error":{"code":"internal_error"}}`, limit.Broken, 0},
		"no code":                      {`{"error":"boom"}`, limit.Broken, 0},
		"a number that is no status":   {`{"error":{"code":1302}}`, limit.Broken, 0},
		"a number of success":          {`{"error":{"code":200}}`, limit.Broken, 0},
		"a negative number":            {`{"error":{"code":-429}}`, limit.Broken, 0},
		"500":                          {`{"error":{"code":500}}`, limit.Broken, 500},
		"503 as text":                  {`{"error":{"code":"503"}}`, limit.NoRoom, 503},
		"408":                          {`{"error":{"code":408}}`, limit.Broken, 408},
		"404":                          {`{"error":{"code":404}}`, limit.Answered, 404},
		"403, which is moderation":     {`{"error":{"code":403}}`, limit.Answered, 403},
		"a rate limit":                 {`{"error":{"code":"rate_limit_exceeded"}}`, limit.NoRoom, 0},
		"an overload, by its type":     {`{"error":{"type":"overloaded_error"}}`, limit.NoRoom, 0},
		"a spent quota":                {`{"error":{"code":"insufficient_quota"}}`, limit.NoRoom, 0},
		"an older error object":        {`{"object":"error","message":"m","code":400}`, limit.Answered, 400},
		"a response that failed":       {`{"object":"response","status":"failed","error":{"code":"invalid_image"}}`, limit.Answered, 200},
		"a response the server failed": {`{"object":"response","status":"failed","error":{"code":"server_error"}}`, limit.Broken, 0},
		"a response without room":      {`{"object":"response","status":"failed","error":{"code":"rate_limit_exceeded"}}`, limit.NoRoom, 0},
		"a response without a reason":  {`{"object":"response","status":"failed","error":{}}`, limit.Broken, 0},
		"a response that is fine":      {`{"object":"response","status":"completed","error":null}`, limit.Served, 200},
	}
	for name, tc := range cases {
		v := answered(200, jsonContent(t, tc.text))
		if v.kind != tc.kind || v.status != tc.status {
			t.Errorf("%s: got %v %d, want %v %d", name, v.kind, v.status, tc.kind, tc.status)
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
		"given up":            {errAbandoned, true, verdict{kind: limit.Abandoned, cause: "cancelled", code: batch.CodeCancelled}},
		"given up, unsent":    {errAbandoned, false, verdict{kind: limit.Abandoned, cause: "cancelled", code: batch.CodeCancelled}},
		"window over":         {errDeadline, false, verdict{kind: limit.Abandoned, cause: "deadline", code: batch.CodeExpired}},
		"unsent":              {syscall.ECONNREFUSED, false, verdict{kind: limit.Unreachable, cause: "unreachable", code: batch.CodeUpstreamUnreachable}},
		"unsent, out of time": {errFirstByte, false, verdict{kind: limit.Unreachable, cause: "unreachable", code: batch.CodeUpstreamUnreachable}},
		"too large":           {errTooLarge, true, verdict{kind: limit.Answered, cause: "too_large", code: batch.CodeResponseTooLarge}},
		"disk full": {
			fmt.Errorf("%w: %w", errSpool, syscall.ENOSPC), true, verdict{kind: limit.Abandoned, cause: "spool", code: batch.CodeInvalidResponse},
		},
		"keepalive found it dead": {
			&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}, true,
			verdict{kind: limit.Broken, cause: "reset", code: batch.CodeUpstreamUnreachable},
		},
		"broken pipe":    {&net.OpError{Op: "write", Err: syscall.EPIPE}, true, verdict{kind: limit.Broken, cause: "reset", code: batch.CodeUpstreamUnreachable}},
		"end of file":    {io.EOF, true, verdict{kind: limit.Broken, cause: "reset", code: batch.CodeUpstreamUnreachable}},
		"cut short":      {io.ErrUnexpectedEOF, true, verdict{kind: limit.Broken, cause: "truncated", code: batch.CodeInvalidResponse}},
		"anything else":  {errors.New("malformed"), true, verdict{kind: limit.Broken, cause: "protocol", code: batch.CodeInvalidResponse}},
		"write deadline": {os.ErrDeadlineExceeded, true, verdict{kind: limit.Broken, cause: "write_timeout", code: batch.CodeRequestTimeout}},
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
	want := map[int]limit.Kind{
		200: limit.Broken, 400: limit.Broken, 408: limit.Broken, 302: limit.Broken,
		401: limit.Denied, 429: limit.NoRoom, 500: limit.Broken, 503: limit.NoRoom,
	}
	for status, d := range want {
		if v := cut(status, io.ErrUnexpectedEOF); v.kind != d || v.code != batch.CodeInvalidResponse || v.status != 0 {
			t.Errorf("%d: got %+v, want %v", status, v, d)
		}
	}
	if v := cut(500, errAbandoned); v.kind != limit.Abandoned {
		t.Errorf("given up within a 500: %v", v.kind)
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
