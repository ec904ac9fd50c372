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

	"batchd/internal/batch"
	"batchd/internal/limit"
)

func TestAnsweredSortsByStatus(t *testing.T) {
	t.Parallel()
	sorted := map[limit.Kind][]int{
		limit.Served:   {200, 201, 202, 299},
		limit.Answered: {400, 406, 409, 411, 413, 414, 415, 418, 422, 431, 444},
		limit.Denied:   {401, 402, 403, 404, 405, 407, 410, 421, 426, 451},
		limit.NoRoom:   {429, 503, 529},
		limit.Broken:   {100, 101, 300, 302, 304, 408, 424, 425, 499, 500, 501, 502, 504, 520, 599, 999},
	}
	c, err := newBodyReader(Options{}.withDefaults()).read(strings.NewReader(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	for kind, statuses := range sorted {
		for _, status := range statuses {
			v := answered(status, c, "m")
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
		"no descriptor left":         {dial(os.NewSyscallError("socket", syscall.EMFILE)), unsent, away("descriptors")},
		"none left in our share":     {errNoDescriptor, unsent, away("descriptors")},
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
