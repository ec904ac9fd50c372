package upstream_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/limit"
	"batchd/internal/upstream"
)

func TestCallSendsTheBodyAsItIsWithIdsAndKey(t *testing.T) {
	t.Parallel()
	var got http.Header
	var path, body string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got, path, body = r.Header, r.URL.RequestURI(), string(raw)
		w.Header().Set("X-Request-Id", "up-1")
		_, _ = io.WriteString(w, chatAnswer)
	})
	u := newUpstream(t, upstream.Config{
		URL:     url + "/?api-version=2",
		APIKey:  func() (string, error) { return "sk-1", nil },
		Headers: map[string]string{"x-team": "a"},
	}, upstream.Options{UserAgent: "batchd/test"})

	res := u.Call(t.Context(), dispatch.Call{
		Endpoint: "/v1/chat/completions", Body: []byte("{\"model\" :\t\"m\"}"), Key: "batch_1-7-0",
	})
	res, text := read(t, res)
	check(t, res, text, want{limit.Served, "ok", 200, "", chatAnswer})

	if body != "{\"model\" :\t\"m\"}" {
		t.Errorf("sent body %q", body)
	}
	if path != "/v1/chat/completions?api-version=2" {
		t.Errorf("sent to %s", path)
	}
	wantHeader := http.Header{
		"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "Authorization": {"Bearer sk-1"},
		"Content-Length": {"15"}, "Content-Type": {"application/json"}, "Idempotency-Key": {"batch_1-7-0"},
		"User-Agent": {"batchd/test"}, "X-Request-Id": {"06661894-a661-813f-a5e9-b2f23f2049bf"}, "X-Team": {"a"},
	}
	if d := cmp.Diff(wantHeader, got); d != "" {
		t.Errorf("sent headers (-want +got):\n%s", d)
	}
	if res.Outcome.RequestID != "up-1" {
		t.Errorf("request id %q", res.Outcome.RequestID)
	}
	if d := cmp.Diff(batch.Usage{Input: 5, Output: 7, Total: 12}, res.Outcome.Usage); d != "" {
		t.Errorf("usage (-want +got):\n%s", d)
	}
	if res.Signal != (limit.Signal{Kind: limit.Served, Status: 200, OutputTokens: 7}) {
		t.Errorf("signal %+v", res.Signal)
	}
}

func TestU01AnUpstreamThatCannotBeReachedIsToldFromOneThatBreaks(t *testing.T) {
	t.Parallel()
	unreachable := want{limit.Unreachable, "unreachable", 0, batch.CodeUpstreamUnreachable, ""}
	t.Run("connection refused", func(t *testing.T) {
		t.Parallel()
		res, body := call(t, newUpstream(t, upstream.Config{URL: refusing(t)}, upstream.Options{}))
		check(t, res, body, unreachable)
	})
	t.Run("no such host", func(t *testing.T) {
		t.Parallel()
		dial := func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "gone", IsNotFound: true}
		}
		res, body := call(t, newUpstream(t, upstream.Config{URL: "http://gone/v1"}, upstream.Options{DialContext: dial}))
		check(t, res, body, unreachable)
	})
	t.Run("no certificate that we trust", func(t *testing.T) {
		t.Parallel()
		s := newTLSServer(t)
		res, body := call(t, newUpstream(t, upstream.Config{URL: s + "/v1"}, upstream.Options{}))
		check(t, res, body, unreachable)
	})
	t.Run("nobody picks up for ten seconds", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			u := newUpstream(t, upstream.Config{URL: "http://hole/v1"}, upstream.Options{DialContext: dial})
			took := elapsed(func() {
				res, body := call(t, u)
				check(t, res, body, unreachable)
			})
			if took != 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	})
}

// inFakeTime makes one call to an upstream behind an in-memory connection, and checks how long it took.
func inFakeTime(t *testing.T, play func(net.Conn), r dispatch.Call, took time.Duration, w want) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream(t, upstream.Config{URL: "http://mem/v1"}, upstream.Options{DialContext: piped(play)})
		defer u.Close()
		if !r.Deadline.IsZero() {
			r.Deadline = time.Now().Add(took)
		}
		got := elapsed(func() {
			res, body := read(t, u.Call(t.Context(), r))
			check(t, res, body, w)
		})
		if got != took {
			t.Errorf("took %v, want %v", got, took)
		}
		u.Close()
		time.Sleep(24 * time.Hour) // lets the other side see it, and end
	})
}

// drip writes the text again and again, with a pause each time, until the client hangs up.
func drip(c net.Conn, text string, pause time.Duration) {
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

func TestTimersEndACallThatTakesTooLong(t *testing.T) {
	t.Parallel()
	timeout := func(cause string) want {
		return want{limit.Broken, cause, 0, batch.CodeRequestTimeout, ""}
	}
	header := "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
	t.Run("U02 accepts and never answers", func(t *testing.T) {
		play := func(c net.Conn) { serveConn(c, func(net.Conn, *http.Request) {}) }
		inFakeTime(t, play, chatRequest(), 10*time.Minute, timeout("first_byte_timeout"))
	})
	t.Run("U02 drips its header", func(t *testing.T) {
		play := func(c net.Conn) {
			serveConn(c, func(c net.Conn, _ *http.Request) {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
				drip(c, "X: 1\r\n", time.Minute)
			})
		}
		inFakeTime(t, play, chatRequest(), 10*time.Minute, timeout("first_byte_timeout"))
	})
	t.Run("U03 sends one byte every ten seconds", func(t *testing.T) {
		play := func(c net.Conn) {
			serveConn(c, func(c net.Conn, _ *http.Request) {
				_, _ = io.WriteString(c, header)
				drip(c, " ", 10*time.Second)
			})
		}
		inFakeTime(t, play, chatRequest(), time.Hour, timeout("total_timeout"))
	})
	t.Run("U03 stops in the middle of the body", func(t *testing.T) {
		play := func(c net.Conn) {
			serveConn(c, func(c net.Conn, _ *http.Request) { _, _ = io.WriteString(c, header+`{"a":`) })
		}
		inFakeTime(t, play, chatRequest(), 2*time.Minute, timeout("idle_timeout"))
	})
	t.Run("U21 takes nothing of the request", func(t *testing.T) {
		play := func(c net.Conn) {
			buf := make([]byte, 1)
			_, _ = c.Read(buf)
			time.Sleep(time.Hour)
			_ = c.Close() // only now; before, the connection is open and still
		}
		r := chatRequest()
		r.Body = bytes.Repeat([]byte(" "), 1<<20)
		inFakeTime(t, play, r, 2*time.Minute, timeout("write_timeout"))
	})
	t.Run("U21 takes the request slowly but steadily", func(t *testing.T) {
		play := func(c net.Conn) {
			// A piece is 64 KiB; the first write is the header's buffer.
			buf := make([]byte, 64<<10)
			for err := error(nil); err == nil; {
				time.Sleep(time.Minute)
				_, err = io.ReadFull(c, buf)
			}
		}
		r := chatRequest()
		r.Body = bytes.Repeat([]byte(" "), 2<<20)
		inFakeTime(t, play, r, 10*time.Minute, timeout("first_byte_timeout"))
	})
	t.Run("the window ends first", func(t *testing.T) {
		play := func(c net.Conn) { serveConn(c, func(net.Conn, *http.Request) {}) }
		r := chatRequest()
		r.Deadline = time.Unix(1, 0) // replaced by now + the time below
		inFakeTime(t, play, r, 90*time.Second, want{limit.Abandoned, "deadline", 0, batch.CodeExpired, ""})
	})
}

func TestACallAfterItsDeadlineIsNotSent(t *testing.T) {
	t.Parallel()
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("must not dial") }
	u := newUpstream(t, upstream.Config{URL: "http://x/v1"}, upstream.Options{DialContext: dial})
	r := chatRequest()
	r.Deadline = time.Now().Add(-time.Second)
	res, body := read(t, u.Call(t.Context(), r))
	check(t, res, body, want{limit.Abandoned, "deadline", 0, batch.CodeExpired, ""})
}

func TestTheCallersContextAbandonsACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hungUp := make(chan struct{})
		play := func(c net.Conn) {
			serveConn(c, func(net.Conn, *http.Request) {})
			close(hungUp)
		}
		u := newUpstream(t, upstream.Config{URL: "http://mem/v1"}, upstream.Options{DialContext: piped(play)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		res, body := read(t, u.Call(ctx, chatRequest()))
		check(t, res, body, want{limit.Abandoned, "cancelled", 0, batch.CodeCancelled, ""})
		<-hungUp // the engine learns of it by the closed connection
	})
}

func TestU05Resets(t *testing.T) {
	t.Parallel()
	reset := func(text string) script {
		return func(c net.Conn, _ *http.Request) {
			_, _ = io.WriteString(c, text)
			// The client must have seen the text before the reset throws it away.
			buf := make([]byte, 1)
			_ = c.SetReadDeadline(time.Now().Add(400 * time.Millisecond))
			_, _ = c.Read(buf)
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	}
	lost := want{limit.Broken, "reset", 0, batch.CodeUpstreamUnreachable, ""}
	cases := map[string]struct {
		text string
		want want
	}{
		"before the header": {"", lost},
		"after the header":  {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", lost},
		"within the body":   {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":", lost},
		"after the body":    {reply(200, chatAnswer), want{limit.Served, "ok", 200, "", chatAnswer}},
		"after a 500's header": {
			"HTTP/1.1 500 X\r\nContent-Length: 100\r\n\r\n", want{limit.Broken, "status_500", 0, batch.CodeUpstreamUnreachable, ""},
		},
		"after a 400's header": {"HTTP/1.1 400 X\r\nContent-Length: 100\r\n\r\n", lost},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, upstream.Config{URL: listen(t, reset(tc.text))}, upstream.Options{})
			res, body := call(t, u)
			check(t, res, body, tc.want)
		})
	}
}

func TestU06U07BrokenFraming(t *testing.T) {
	t.Parallel()
	truncated := want{limit.Broken, "truncated", 0, batch.CodeInvalidResponse, ""}
	protocol := want{limit.Broken, "protocol", 0, batch.CodeInvalidResponse, ""}
	notJSON := want{limit.Broken, "not_json", 0, batch.CodeInvalidResponse, ""}
	ok := want{limit.Served, "ok", 200, "", `{"a":1}`}
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	cases := map[string]struct {
		text string
		want want
	}{
		"U06 length too large":            {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":1}", truncated},
		"U06 length too small":            {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{\"a\":1}", notJSON},
		"U06 length negative":             {"HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n{\"a\":1}", protocol},
		"U06 lengths that differ":         {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 8\r\n\r\n{\"a\":1}", protocol},
		"U06 the same length twice":       {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n{\"a\":1}", ok},
		"U06 no length at all":            {"HTTP/1.1 200 OK\r\n\r\n{\"a\":1}", ok},
		"U06 no length and cut":           {"HTTP/1.1 200 OK\r\n\r\n{\"a\":", notJSON},
		"U07 chunked":                     {chunked + "7\r\n{\"a\":1}\r\n0\r\n\r\n", ok},
		"U07 without the last chunk":      {chunked + "7\r\n{\"a\":1}\r\n", truncated},
		"U07 a chunk cut short":           {chunked + "ff\r\n{\"a\":1}", truncated},
		"U07 a chunk length that is none": {chunked + "zz\r\n{\"a\":1}\r\n0\r\n\r\n", protocol},
		"U07 junk after the last chunk":   {chunked + "7\r\n{\"a\":1}\r\n0\r\njunk\r\n\r\n", protocol},
		"not HTTP":                        {"SSH-2.0-OpenSSH_9.6\r\n", protocol},
		"a switch of protocols":           {"HTTP/1.1 101 X\r\n\r\n", want{limit.Broken, "status_101", 0, batch.CodeInvalidResponse, ""}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, upstream.Config{URL: listen(t, raw(tc.text))}, upstream.Options{})
			res, body := call(t, u)
			check(t, res, body, tc.want)
		})
	}
}

func zip(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

func TestU08Compression(t *testing.T) {
	t.Parallel()
	whole := zip(chatAnswer)
	damaged := []byte(whole)
	damaged[len(damaged)/2] ^= 0xff
	encoding := want{limit.Broken, "encoding", 0, batch.CodeInvalidResponse, ""}
	truncated := want{limit.Broken, "truncated", 0, batch.CodeInvalidResponse, ""}
	ok := want{limit.Served, "ok", 200, "", chatAnswer}
	cases := map[string]struct {
		status       int
		header, body string
		want         want
	}{
		"valid":                   {200, "gzip", whole, ok},
		"valid by its old name":   {200, "X-Gzip", whole, ok},
		"two members":             {200, "gzip", zip(chatAnswer[:20]) + zip(chatAnswer[20:]), ok},
		"identity":                {200, "identity", chatAnswer, ok},
		"truncated":               {200, "gzip", whole[:len(whole)-10], truncated},
		"empty":                   {200, "gzip", "", truncated},
		"plain text, called gzip": {200, "gzip", chatAnswer, encoding},
		"damaged":                 {200, "gzip", string(damaged), encoding},
		"junk at the end":         {200, "gzip", whole + "junk junk junk", encoding},
		"gzip of gzip":            {200, "gzip", zip(whole), want{limit.Broken, "not_json", 0, batch.CodeInvalidResponse, ""}},
		"gzip twice, and said so": {200, "gzip, gzip", zip(whole), encoding},
		"brotli":                  {200, "br", whole, encoding},
		"an error, compressed":    {400, "gzip", zip(`{"error":1}`), want{limit.Answered, "status_400", 400, "", `{"error":1}`}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := listen(t, raw(reply(tc.status, tc.body, "Content-Encoding: "+tc.header)))
			res, body := call(t, newUpstream(t, upstream.Config{URL: url}, upstream.Options{}))
			check(t, res, body, tc.want)
		})
	}
}

func TestU10AnswersThatAreNone(t *testing.T) {
	t.Parallel()
	none := func(cause string) want {
		return want{limit.Broken, cause, 0, batch.CodeInvalidResponse, ""}
	}
	cases := map[string]struct {
		body string
		want want
	}{
		"empty":           {"", none("not_json")},
		"HTML":            {"<html>\n<body>ok</body></html>", none("not_json")},
		"null":            {"null", none("empty")},
		"an empty array":  {" [ ] ", none("empty")},
		"an empty object": {"{}", none("empty")},
		"a number":        {"17", none("empty")},
		"server-sent events (U12)": {
			"data: {\"id\":1}\n\n: ping\n\nevent: error\ndata: {\"error\":{}}\n\n", none("not_json"),
		},
		"two values": {`{"a":1} {"a":2}`, none("not_json")},
		"an error":   {`{"error":{"message":"boom","code":"internal"}}`, none("error_body")},
		"an error with the number of a server fault": {
			`{"error":{"message":"boom","code":502}}`, want{limit.Broken, "error_502", 502, "", `{"error":{"message":"boom","code":502}}`},
		},
		"an error with the number of a full server": {
			`{"error":{"code":"429"}}`, want{limit.NoRoom, "error_429", 429, "", `{"error":{"code":"429"}}`},
		},
		"an error with the number of a user's fault": {
			`{"error":{"code":400}}`, want{limit.Answered, "error_400", 400, "", `{"error":{"code":400}}`},
		},
		"a JSON string":                   {`"text"`, none("string")},
		"too deep":                        {strings.Repeat("[", 10_001), none("too_deep")},
		"nothing but an error of nothing": {`{"error":{}}`, none("error_body")},
		"an error of nothing":             {`{"id":1,"error":{}}`, want{limit.Served, "ok", 200, "", `{"id":1,"error":{}}`}},
		"an aborted choice":               {`{"choices":[{"finish_reason":"abort"}]}`, none("finish_abort")},
		"a choice that failed":            {`{"choices":[{"finish_reason":"stop"},{"finish_reason":"error"}]}`, none("finish_error")},
		"an error that is null":           {`{"id":1,"error":null}`, want{limit.Served, "ok", 200, "", `{"id":1,"error":null}`}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, upstream.Config{URL: listen(t, raw(reply(200, tc.body)))}, upstream.Options{})
			res, body := call(t, u)
			check(t, res, body, tc.want)
		})
	}
}

func TestU11TextIsKeptAsFarAsJSONAllows(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		status     int
		body, want string
	}{
		"invalid UTF-8":            {200, "{\"a\":\"x\xffy\"}", `{"a":"x�y"}`},
		"lone surrogate escapes":   {200, `{"a":"\ud800"}`, `{"a":"\ud800"}`},
		"duplicate names":          {200, `{"a":1,"a":2}`, `{"a":1,"a":2}`},
		"numbers and escapes":      {200, `{"b":1.0E+2,"a":"\u0041\/"}`, `{"b":1.0E+2,"a":"\u0041\/"}`},
		"line breaks":              {200, "{\r\n\t\"a\": 1\n}\n", "{  \t\"a\": 1 } "},
		"line separators":          {200, "{\"a\":\"\u2028\u2029\u0085\"}", `{"a":"\u2028\u2029\u0085"}`},
		"separators in an error":   {502, "a\u2028b", `"a\u2028b"`},
		"byte order mark (F2-21)":  {200, "\ufeff{\"a\":1}", `{"a":1}`},
		"numbers JSON lacks":       {200, `{"a":[NaN,-Infinity,Infinity,-1,"NaN -Infinity \"N"]}`, `{"a":[null,null,null,-1,"NaN -Infinity \"N"]}`},
		"an error that is HTML":    {502, "<p>\r\n\"bad\"\xff</p>", `"<p>\r\n\"bad\"�</p>"`},
		"an error that is nothing": {500, "", `null`},
		"an error that is JSON":    {422, "{\"detail\":\n[]}", `{"detail": []}`},
		"an error cut in the text": {400, "[\"a\nb\"]", `"[\"a\nb\"]"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, upstream.Config{URL: listen(t, raw(reply(tc.status, tc.body)))}, upstream.Options{})
			res, body := call(t, u)
			if res.Outcome.Status != tc.status || body != tc.want {
				t.Errorf("got %d %q, want %d %q", res.Outcome.Status, body, tc.status, tc.want)
			}
		})
	}
}

func TestU13CapacityAnswersHonourRetryAfter(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 503, 529} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			url := listen(t, raw(reply(status, `{"error":{"message":"busy"}}`, "Retry-After: 7")))
			res, body := call(t, newUpstream(t, upstream.Config{URL: url}, upstream.Options{}))
			check(t, res, body, want{limit.NoRoom, fmt.Sprint("status_", status), status, "", `{"error":{"message":"busy"}}`})
			if res.Signal.RetryAfter != 7*time.Second {
				t.Errorf("retry after %v, signal %+v", res.Signal.RetryAfter, res.Signal)
			}
		})
	}
}

func TestU17ARefusedKeyIsReadAgainAtTheNextCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		play := func(c net.Conn) {
			serveConn(c, func(c net.Conn, r *http.Request) {
				answer := reply(401, `{"error":"key"}`)
				if r.Header.Get("Authorization") == "Bearer new" {
					answer = reply(200, chatAnswer)
				}
				_, _ = io.WriteString(c, answer)
			})
		}
		key := "old"
		u := newUpstream(t, upstream.Config{
			URL:    "http://mem/v1",
			APIKey: func() (string, error) { return key, nil },
		}, upstream.Options{DialContext: piped(play)})
		defer u.Close()
		expect := func(w want) {
			t.Helper()
			res, body := call(t, u)
			check(t, res, body, w)
		}
		denied := want{limit.Denied, "status_401", 401, "", `{"error":"key"}`}
		expect(denied)
		key = "new"
		expect(denied) // it is read once a second at most
		time.Sleep(time.Second)
		expect(want{limit.Served, "ok", 200, "", chatAnswer})
	})
}

func TestU20RequestIDsAreShownOnlyIfTheyLookLikeOnes(t *testing.T) {
	t.Parallel()
	for header, id := range map[string]string{
		"req_123": "req_123", "": "", "a b": "", "a\tb": "", "\xff": "", strings.Repeat("a", 129): "",
		strings.Repeat("a", 128): strings.Repeat("a", 128),
	} {
		url := listen(t, raw(reply(200, chatAnswer, "X-Request-Id: "+header)))
		res, _ := call(t, newUpstream(t, upstream.Config{URL: url}, upstream.Options{}))
		if res.Outcome.RequestID != id {
			t.Errorf("header %q: request id %q, want %q", header, res.Outcome.RequestID, id)
		}
	}
}

func TestU22RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	followed := false
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { followed = true })
	for _, status := range []int{301, 302, 303, 307, 308} {
		url := listen(t, raw(reply(status, chatAnswer, "Location: "+elsewhere)))
		res, body := call(t, newUpstream(t, upstream.Config{URL: url}, upstream.Options{}))
		check(t, res, body, want{limit.Broken, fmt.Sprint("status_", status), 0, batch.CodeInvalidResponse, ""})
	}
	if followed {
		t.Error("a redirect was followed")
	}
}

func TestU23AFloodOfHeadersIsRefused(t *testing.T) {
	t.Parallel()
	flood := strings.Repeat("X-Flood: "+strings.Repeat("f", 90)+"\r\n", 10_000)
	url := listen(t, raw("HTTP/1.1 200 OK\r\n"+flood+"Content-Length: 2\r\n\r\n{}"))
	res, body := call(t, newUpstream(t, upstream.Config{URL: url}, upstream.Options{}))
	if res.Signal.Kind != limit.Broken || body != "" {
		t.Errorf("got %v, body %q", res.Signal.Kind, body)
	}
}

func TestU25RateLimitHeadersAreIgnored(t *testing.T) {
	t.Parallel()
	for _, lie := range []string{"-1", "0", "99999999999999999999", "soon"} {
		url := listen(t, raw(reply(200, chatAnswer, "X-Ratelimit-Remaining-Requests: "+lie, "X-Ratelimit-Reset-Tokens: "+lie)))
		res, body := call(t, newUpstream(t, upstream.Config{URL: url}, upstream.Options{}))
		check(t, res, body, want{limit.Served, "ok", 200, "", chatAnswer})
		if res.Signal.RetryAfter != 0 {
			t.Errorf("%s: retry after %v", lie, res.Signal.RetryAfter)
		}
	}
}

// A repeat that net/http makes on its own would be paid for twice and counted by nobody.
func TestARequestThatWasWrittenIsNeverRepeatedSilently(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	url := listen(t, func(c net.Conn, _ *http.Request) {
		if calls.Add(1) == 1 {
			_, _ = io.WriteString(c, reply(200, chatAnswer))
			return
		}
		_ = c.Close() // the second request comes over the same connection, and gets no answer
	})
	u := newUpstream(t, upstream.Config{URL: url}, upstream.Options{})
	res, body := call(t, u)
	check(t, res, body, want{limit.Served, "ok", 200, "", chatAnswer})
	res, body = call(t, u)
	check(t, res, body, want{limit.Broken, "reset", 0, batch.CodeUpstreamUnreachable, ""})
	if calls.Load() != 2 {
		t.Errorf("the upstream saw %d calls, want 2", calls.Load())
	}
}
