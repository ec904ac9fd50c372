package sim_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"batchd/internal/sim"
)

// An exchange is what a client saw of one call.
type exchange struct {
	err     error // of the call, before a status was seen
	status  int
	header  http.Header
	body    []byte
	bodyErr error // of reading the body
}

// loopback serves an engine with one rule on a real socket, and returns a function that calls it. The client follows
// no redirect and leaves compressed bodies alone.
func loopback(t *testing.T, a sim.Action) (call func(ctx context.Context, body string) exchange, e *sim.Engine) {
	t.Helper()
	e = newEngine(t, sim.Options{Faults: sim.Script{Rules: []sim.Rule{{Action: a}}}})
	srv := httptest.NewServer(e)
	t.Cleanup(srv.Close)
	client := srv.Client()
	as[*http.Transport](t, client.Transport).DisableCompression = true
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(ctx context.Context, body string) exchange {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			return exchange{err: err}
		}
		x := exchange{status: res.StatusCode, header: res.Header}
		x.body, x.bodyErr = io.ReadAll(res.Body)
		_ = res.Body.Close()
		return x
	}, e
}

func text(s string) *string { return &s }

func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }

func gunzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func TestFaultsLookToAClientLikeTheRealOnes(t *testing.T) { //nolint:cyclop // each closure of the table counts towards it
	t.Parallel()
	plain := post(newEngine(t, sim.Options{}), "/v1/chat/completions", chatBody("hello")).Body.String()
	whole := func(x exchange) bool { return x.err == nil && x.bodyErr == nil }
	for _, c := range []struct {
		name   string
		action sim.Action
		ok     func(x exchange) bool
	}{
		{"pass", sim.Action{Pass: true}, func(x exchange) bool { return whole(x) && x.status == 200 && string(x.body) == plain }},
		{"status with a hint", sim.Action{Status: 429, Headers: map[string]string{"retry-after": "7"}}, func(x exchange) bool {
			return whole(x) && x.status == 429 && x.header.Get("Retry-After") == "7" && bytes.Contains(x.body, []byte(`"type":"rate_limit_error"`))
		}},
		{"unauthorized", sim.Action{Status: 401}, func(x exchange) bool {
			return x.status == 401 && bytes.Contains(x.body, []byte("authentication_error"))
		}},
		{"status with a body", sim.Action{Status: 502, Body: text("oops")}, func(x exchange) bool { return x.status == 502 && string(x.body) == "oops" }},
		{"json", sim.Action{JSON: []byte(`{"a": 1}`)}, func(x exchange) bool { return x.status == 200 && string(x.body) == `{"a": 1}` }},
		{"own answer with lying headers", sim.Action{Headers: map[string]string{"X-RateLimit-Remaining-Requests": "-1"}}, func(x exchange) bool {
			return string(x.body) == plain && x.header.Get("x-ratelimit-remaining-requests") == "-1"
		}},
		{"error in a 200", sim.Action{Error: "server_busy"}, func(x exchange) bool {
			return x.status == 200 && bytes.Contains(x.body, []byte(`"code":"server_busy"`))
		}},
		{"error in a 503", sim.Action{Error: "server_busy", Status: 503}, func(x exchange) bool {
			return x.status == 503 && bytes.Contains(x.body, []byte(`"type":"server_error"`))
		}},
		{"redirect", sim.Action{Redirect: "http://169.254.169.254/"}, func(x exchange) bool {
			return x.status == 307 && x.header.Get("Location") == "http://169.254.169.254/"
		}},
		{"redirect with its status", sim.Action{Redirect: "http://x/", Status: 301}, func(x exchange) bool { return x.status == 301 }},

		{"empty", sim.Action{Garbage: sim.GarbageEmpty}, func(x exchange) bool { return whole(x) && x.status == 200 && len(x.body) == 0 }},
		{"null", sim.Action{Garbage: sim.GarbageNull}, func(x exchange) bool { return string(x.body) == "null" }},
		{"html", sim.Action{Garbage: sim.GarbageHTML}, func(x exchange) bool {
			return x.status == 200 && x.header.Get("Content-Type") == "text/html" && bytes.HasPrefix(x.body, []byte("<html>"))
		}},
		{"text", sim.Action{Garbage: sim.GarbageText}, func(x exchange) bool {
			return x.header.Get("Content-Type") == "text/plain" && !json.Valid(x.body)
		}},
		{"cut json", sim.Action{Garbage: sim.GarbageCutJSON}, func(x exchange) bool {
			return whole(x) && bytes.HasPrefix(x.body, []byte("{")) && !json.Valid(x.body)
		}},
		{"invalid utf-8", sim.Action{Garbage: sim.GarbageInvalidUTF8}, func(x exchange) bool {
			return whole(x) && !utf8.Valid(x.body) && json.Valid(bytes.ToValidUTF8(x.body, nil))
		}},
		{"lone surrogate", sim.Action{Garbage: sim.GarbageLoneSurrogate}, func(x exchange) bool {
			return bytes.Contains(x.body, []byte(`\ud800"`)) && json.Valid(x.body)
		}},
		{"duplicate keys", sim.Action{Garbage: sim.GarbageDuplicate}, func(x exchange) bool {
			return bytes.Count(x.body, []byte(`"simulated":`)) == 2 && json.Valid(x.body)
		}},

		{"size", sim.Action{Size: 1_000_003}, func(x exchange) bool {
			return whole(x) && len(x.body) == 1_000_003 && json.Valid(x.body) && x.header.Get("Content-Length") == "1000003"
		}},
		{"nest", sim.Action{Nest: 5000}, func(x exchange) bool { return whole(x) && len(x.body) == 10000 && json.Valid(x.body) }},
		{"bomb", sim.Action{Bomb: 8 << 20}, func(x exchange) bool {
			open, err := gunzip(x.body)
			return whole(x) && x.header.Get("Content-Encoding") == "gzip" && err == nil && len(open) > 8<<20 && len(x.body) < 32<<10 && json.Valid(open)
		}},
		{"gzip", sim.Action{Gzip: sim.GzipValid}, func(x exchange) bool {
			open, err := gunzip(x.body)
			return err == nil && string(open) == plain && x.header.Get("Content-Encoding") == "gzip"
		}},
		{"gzip truncated", sim.Action{Gzip: sim.GzipTruncated}, func(x exchange) bool {
			_, err := gunzip(x.body)
			return whole(x) && errors.Is(err, io.ErrUnexpectedEOF)
		}},
		{"gzip of nothing compressed", sim.Action{Gzip: sim.GzipWrongHeader}, func(x exchange) bool {
			return string(x.body) == plain && x.header.Get("Content-Encoding") == "gzip"
		}},
		{"gzip of gzip", sim.Action{Gzip: sim.GzipDouble}, func(x exchange) bool {
			once, err := gunzip(x.body)
			if err != nil {
				return false
			}
			twice, err := gunzip(once)
			return err == nil && string(twice) == plain
		}},
		{"header flood", sim.Action{HeaderFlood: 1000}, func(x exchange) bool {
			return whole(x) && x.header.Get("X-Flood-999") != "" && string(x.body) == plain
		}},

		{"reset before the headers", sim.Action{Reset: sim.ResetBeforeHeaders}, func(x exchange) bool { return isReset(x.err) || errors.Is(x.err, io.EOF) }},
		{"reset after the headers", sim.Action{Reset: sim.ResetAfterHeaders}, func(x exchange) bool {
			return x.status == 200 && len(x.body) == 0 && isReset(x.bodyErr)
		}},
		{"reset in the body", sim.Action{Reset: sim.ResetMidBody}, func(x exchange) bool {
			return x.status == 200 && string(x.body) == plain[:len(plain)/2] && isReset(x.bodyErr)
		}},
		{"reset after the body", sim.Action{Reset: sim.ResetAfterBody}, func(x exchange) bool { return whole(x) && string(x.body) == plain }},
		{"reset after a large body", sim.Action{Reset: sim.ResetAfterBody, Nest: 200_000}, func(x exchange) bool { return whole(x) && len(x.body) == 400_000 }},
		{"reset in an error", sim.Action{Reset: sim.ResetMidBody, Status: 500}, func(x exchange) bool { return x.status == 500 && isReset(x.bodyErr) }},

		{"length truncated", sim.Action{Length: sim.LengthTruncated}, func(x exchange) bool {
			return string(x.body) == plain[:len(plain)/2] && errors.Is(x.bodyErr, io.ErrUnexpectedEOF)
		}},
		{"length too long", sim.Action{Length: sim.LengthLong}, func(x exchange) bool {
			return string(x.body) == plain && errors.Is(x.bodyErr, io.ErrUnexpectedEOF)
		}},
		{"length too short", sim.Action{Length: sim.LengthShort}, func(x exchange) bool {
			return whole(x) && string(x.body) == plain[:len(plain)/2]
		}},
		{"length negative", sim.Action{Length: sim.LengthNegative}, func(x exchange) bool { return x.err != nil }},
		{"length twice", sim.Action{Length: sim.LengthDuplicate}, func(x exchange) bool { return x.err != nil }},
		{"chunks without an end", sim.Action{Chunked: sim.ChunkedUnterminated}, func(x exchange) bool {
			return string(x.body) == plain && errors.Is(x.bodyErr, io.ErrUnexpectedEOF)
		}},
		{"no chunk at all", sim.Action{Chunked: sim.ChunkedUnterminated, Garbage: sim.GarbageEmpty}, func(x exchange) bool {
			return len(x.body) == 0 && errors.Is(x.bodyErr, io.ErrUnexpectedEOF)
		}},
		{"chunk of no size", sim.Action{Chunked: sim.ChunkedBadSize}, func(x exchange) bool { return string(x.body) == plain && x.bodyErr != nil }},
		{"junk trailer", sim.Action{Chunked: sim.ChunkedJunkTrailer}, func(x exchange) bool { return string(x.body) == plain && x.bodyErr != nil }},
		{"drip", sim.Action{Drip: sim.Drip{Bytes: 50, Every: time.Millisecond}}, func(x exchange) bool { return whole(x) && string(x.body) == plain }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			call, e := loopback(t, c.action)
			x := call(t.Context(), chatBody("hello"))
			if !c.ok(x) {
				t.Errorf("client saw error %v, status %d, header %v, %d bytes %.200q, error %v", x.err, x.status, x.header, len(x.body), x.body, x.bodyErr)
			}
			if got := e.Stats(); got.Faulted == 0 || got.Running != 0 {
				t.Errorf("stats = %+v, want it counted as faulted and over", got)
			}
		})
	}
}

func TestAnEngineThatHangsLetsGoOfAClientThatLeaves(t *testing.T) {
	t.Parallel()
	opts := sim.Options{Faults: sim.Script{Rules: []sim.Rule{{Action: sim.Action{Hang: true}}}}}
	inBubble(t, opts, func(t *testing.T, e *sim.Engine, client *http.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, chatURL, strings.NewReader(chatBody("x")))
		res, err := client.Do(req)
		if err == nil {
			drain(res)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call = %v, want the client's own deadline", err)
		}
		if e.Stats().Running != 0 {
			t.Error("a hanging call took a seat")
		}
	})
}

func TestSlowFaultsTakeTheirTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		action sim.Action
		want   time.Duration
	}{
		{"delay", sim.Action{Delay: 3 * time.Second, Status: 500}, 3 * time.Second},
		{"delay alone", sim.Action{Delay: 3 * time.Second}, 3*time.Second + 10*time.Second},
		{"drip", sim.Action{Body: text("0123456789"), Drip: sim.Drip{Bytes: 3, Every: time.Minute}}, 4 * time.Minute},
		{"stall", sim.Action{Stall: time.Hour}, time.Hour + 10*time.Second},
	} {
		// Subtests cannot be run inside a bubble, but bubbles can inside subtests.
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			opts := sim.Options{Base: 10 * time.Second, Faults: sim.Script{Rules: []sim.Rule{{Action: c.action}}}}
			inBubble(t, opts, func(t *testing.T, _ *sim.Engine, client *http.Client) {
				start := time.Now()
				res, err := client.Post(chatURL, "application/json", strings.NewReader(chatBody("x")))
				if err != nil {
					t.Fatal(err)
				}
				drain(res)
				if got := time.Since(start); got != c.want {
					t.Errorf("took %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestAClientThatLeavesADripEndsIt(t *testing.T) {
	t.Parallel()
	var answered sync.WaitGroup
	answered.Add(1)
	e := newEngine(t, sim.Options{
		OnAnswer: func(sim.Call) { answered.Done() },
		Faults:   sim.Script{Rules: []sim.Rule{{Action: sim.Action{Drip: sim.Drip{Bytes: 1, Every: time.Hour}}}}},
	})
	srv := httptest.NewServer(e)
	defer srv.Close()
	res, err := srv.Client().Post(srv.URL+"/v1/chat/completions", "application/json", strings.NewReader(chatBody("x")))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	answered.Wait()
}

func TestACrashTakesEverythingDownForItsTime(t *testing.T) {
	t.Parallel()
	opts := sim.Options{
		Base:   time.Minute,
		Faults: sim.Script{Rules: []sim.Rule{{Match: sim.Match{Contains: "poison"}, Times: 1, Action: sim.Action{Crash: 20 * time.Second}}}},
	}
	inBubble(t, opts, func(t *testing.T, e *sim.Engine, client *http.Client) {
		call := func(body string) error {
			res, err := client.Post(chatURL, "application/json", strings.NewReader(chatBody(body)))
			if err == nil {
				drain(res)
			}
			return err
		}
		var bystanders sync.WaitGroup
		for range 5 {
			bystanders.Go(func() {
				if call("innocent") == nil {
					t.Error("a call in flight survived the crash")
				}
			})
		}
		synctest.Wait()
		if got := e.Stats().Running; got != 5 {
			t.Errorf("%d running before the crash, want 5", got)
		}
		if call("poison") == nil {
			t.Error("the call that crashed the engine was answered")
		}
		bystanders.Wait()
		if got := e.Stats().Running; got != 0 {
			t.Errorf("%d running after the crash", got)
		}
		time.Sleep(19 * time.Second)
		if call("innocent") == nil {
			t.Error("the engine answered while it was down")
		}
		for _, path := range []string{"/health", "/metrics", "/v1/models", "/v1/models/m", "/"} {
			if res, err := client.Get("http://sim" + path); err == nil {
				drain(res)
				t.Errorf("%s was answered with %d while the engine was down", path, res.StatusCode)
			}
		}
		time.Sleep(time.Second)
		if err := call("innocent"); err != nil {
			t.Errorf("call after the outage = %v", err)
		}
		if res, err := client.Get("http://sim/health"); err != nil {
			t.Errorf("/health after the outage = %v", err)
		} else {
			drain(res)
		}
		if err := call("poison"); err != nil {
			t.Errorf("the rule fired more often than it may: %v", err)
		}
	})
}

// A client may close its sending half and still listen. It must not take a request that was given up for an empty 200.
func TestAnAbandonedRequestIsNeverAnEmptySuccess(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(newEngine(t, sim.Options{Base: time.Hour}))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	body := chatBody("x")
	if _, err := fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: sim\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		t.Fatal(err)
	}
	if err := as[*net.TCPConn](t, conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(conn); len(got) > 0 {
		t.Errorf("client read %q, want nothing", got)
	}
}

func TestAFaultThatKeepsTheAnswerTakesASeat(t *testing.T) {
	t.Parallel()
	opts := sim.Options{
		Seats: 1, Base: time.Second,
		Faults: sim.Script{Rules: []sim.Rule{
			{Match: sim.Match{Nth: 2}, Action: sim.Action{Status: 500}},
			{Action: sim.Action{Gzip: sim.GzipValid}},
		}},
	}
	inBubble(t, opts, func(t *testing.T, _ *sim.Engine, client *http.Client) {
		count := map[int]int{}
		for _, a := range callMany(t, client, 3) {
			count[a.status]++
		}
		if count[200] != 1 || count[500] != 1 || count[429] != 1 {
			t.Errorf("statuses = %v, want one answer, one fault and one refusal", count)
		}
	})
}

func TestFaultsBelowHTTPAbortAWriterThatHasNoConnection(t *testing.T) {
	t.Parallel()
	e := newEngine(t, sim.Options{Faults: sim.Script{Rules: []sim.Rule{{Action: sim.Action{Reset: sim.ResetMidBody}}}}})
	defer func() {
		got, ok := recover().(error)
		if !ok || !errors.Is(got, http.ErrAbortHandler) {
			t.Errorf("recovered %v, want http.ErrAbortHandler", got)
		}
	}()
	post(e, "/v1/chat/completions", chatBody("x"))
}
