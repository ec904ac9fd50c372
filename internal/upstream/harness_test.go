package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/limit"
	"batchd/internal/upstream"
)

const chatAnswer = `{"id":"c1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},` +
	`"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}`

// A script plays the server's side of one connection after a request was read from it.
type script func(c net.Conn, r *http.Request)

// raw sends bytes and hangs up.
func raw(s string) script {
	return func(c net.Conn, _ *http.Request) {
		_, _ = io.WriteString(c, s)
		_ = c.Close()
	}
}

// reply is a whole answer with a right length.
func reply(status int, body string, headers ...string) string {
	s := fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: %d\r\n", status, len(body))
	for _, h := range headers {
		s += h + "\r\n"
	}
	return s + "\r\n" + body
}

// serveConn plays the script for each request that comes over c.
func serveConn(c net.Conn, play script) {
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			_ = c.Close()
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			_ = c.Close()
			return
		}
		play(c, r)
	}
}

// listen plays the script on a loopback port, and returns its base URL.
func listen(t testing.TB, play script) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() { serveConn(c, play) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return "http://" + l.Addr().String() + "/v1"
}

// refusing returns the base URL of a port on which nobody listens, and which nobody else can be given while the test runs:
// it is the near end of a connection. A port that was only closed may be a parallel test's before it is called.
func refusing(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), l.Close() })
	return "http://" + c.LocalAddr().String() + "/v1"
}

// serve runs a handler on a loopback port, and returns its base URL.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/v1"
}

// piped returns a DialContext whose connections are in memory, for use in fake time. Each one runs play, which must
// return once the client has closed its side.
func piped(play func(c net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go play(server) // ends with its connection; a fake-time test fails if it does not
		return client, nil
	}
}

func newUpstream(t testing.TB, c upstream.Config, o upstream.Options) *upstream.Upstream {
	t.Helper()
	if o.SpoolDir == "" {
		o.SpoolDir = t.TempDir()
	}
	u, err := upstream.New(c, o)
	if err != nil {
		t.Fatalf("new upstream: %v", err)
	}
	t.Cleanup(u.Close)
	return u
}

func chatRequest() dispatch.Call {
	return dispatch.Call{Endpoint: "/v1/chat/completions", Body: []byte(`{"model":"m"}`), Key: "batch_1-7-0"}
}

// call makes one call and reads its body.
func call(t testing.TB, u *upstream.Upstream) (dispatch.Answer, string) {
	t.Helper()
	return read(t, u.Call(t.Context(), chatRequest()))
}

// read takes the body out of a result and closes it.
func read(t testing.TB, res dispatch.Answer) (dispatch.Answer, string) {
	t.Helper()
	b := res.Outcome.Body
	if b == nil {
		return res, ""
	}
	text, err := io.ReadAll(io.NewSectionReader(b, 0, b.Len()))
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Fatalf("close body twice: %v", err)
	}
	return res, string(text)
}

// want is what a test says of a result; "" and 0 are compared too.
type want struct {
	kind   limit.Kind
	cause  string
	status int
	code   batch.Code
	body   string
}

func check(t *testing.T, got dispatch.Answer, body string, w want) {
	t.Helper()
	g := want{got.Signal.Kind, got.Cause, got.Outcome.Status, got.Outcome.Code, body}
	if g != w {
		t.Errorf("result\n got %+v\nwant %+v\nmessage %q", clip(g), clip(w), got.Outcome.Message)
	}
	if (got.Outcome.Code != "") != (got.Outcome.Message != "") {
		t.Errorf("code %q with message %q: want both or none", got.Outcome.Code, got.Outcome.Message)
	}
	if (got.Outcome.Code == "") != (got.Outcome.Status != 0) {
		t.Errorf("code %q with status %d: want exactly one", got.Outcome.Code, got.Outcome.Status)
	}
}

func clip(w want) want {
	w.body = w.body[:min(len(w.body), 300)]
	return w
}

// elapsed runs f in fake time and returns how long it took.
func elapsed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// newTLSServer returns the URL of a server whose certificate nobody has signed.
func newTLSServer(t testing.TB) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}
