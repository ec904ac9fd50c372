package promise

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// engine is an upstream inside the test process: real HTTP on the loopback interface, answers that follow from the
// request alone, and a log of every call. Each process of a node calls it under a path of its own, so that the log
// knows for certain which process made a call, whatever the clocks say.
type engine struct {
	server *httptest.Server
	script func(line string, try int) reply
	// onBody, if set, is given each request's body; it is set before the first call.
	onBody func(body []byte)

	// mu guards following fields.
	mu      sync.Mutex
	calls   []*call
	tries   map[string]int
	calling int
	closed  chan struct{}
}

// reply is what the engine does with one call.
type reply struct {
	// after is how long the answer takes.
	after time.Duration
	// status is that of the answer; 0 stands for the one that the line's name asks for.
	status int
	// body replaces the answer's, with its content type.
	body, contentType string
}

// call is one entry of the log.
type call struct {
	// process is the one that made the call, counted from 0.
	process int
	// key is the idempotency key: batch and line number. line is what the input file calls the line.
	key, line string
	start     time.Time
	// end is when the answer was written or the caller hung up; zero while the call is in flight.
	end      time.Time
	answered bool
}

// newEngine starts an engine whose replies the script decides, from the line's custom id and the number of the try,
// counted from 1.
func newEngine(t testing.TB, script func(line string, try int) reply) *engine {
	t.Helper()
	e := &engine{script: script, tries: make(map[string]int), closed: make(chan struct{})}
	e.server = httptest.NewServer(e)
	t.Cleanup(func() {
		close(e.closed)
		e.server.CloseClientConnections()
		e.server.Close()
	})
	return e
}

// steady answers every line after the same time: those called bad-… with 400, all others with 200.
func steady(after time.Duration) func(string, int) reply {
	return func(line string, _ int) reply { return reply{after: after, status: statusFor(line)} }
}

// statusFor is the status that the name of a line asks for.
func statusFor(line string) int {
	if strings.HasPrefix(line, "bad-") {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// url is the base URL for one process of a node.
func (e *engine) url(process int) string { return fmt.Sprintf("%s/%d/v1", e.server.URL, process) }

// ServeHTTP answers one call.
func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prefix, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	process, err := strconv.Atoi(prefix)
	switch {
	case err != nil:
		http.NotFound(w, r)
		return
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"m","object":"model"},{"id":"m2","object":"model"}]}`)
		return
	case path != "v1/chat/completions":
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller was killed while it sent its request
	}
	if e.onBody != nil {
		e.onBody(body)
	}
	c, what := e.enter(process, r.Header.Get("Idempotency-Key"), lineOf(body))
	answered := e.answer(w, r, c.line, what)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calling--
	c.end, c.answered = time.Now(), answered
}

// lineOf finds the custom id in a request's body: it is the content of the message.
func lineOf(body []byte) string {
	_, rest, _ := bytes.Cut(body, []byte(`"content":"`))
	line, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(line)
}

// enter logs a call and asks the script about it.
func (e *engine) enter(process int, key, line string) (*call, reply) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &call{process: process, key: key, line: line, start: time.Now()}
	e.calls = append(e.calls, c)
	e.tries[key]++
	e.calling++
	return c, e.script(line, e.tries[key])
}

// answer waits and writes the answer; false if the caller hung up before.
func (e *engine) answer(w http.ResponseWriter, r *http.Request, line string, what reply) bool {
	if what.after > 0 {
		timer := time.NewTimer(what.after)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return false
		case <-e.closed:
			return false
		}
	}
	status := what.status
	if status == 0 {
		status = statusFor(line)
	}
	body := answerTo(line, status)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", "req-"+line)
	if what.contentType != "" {
		w.Header().Set("Content-Type", what.contentType)
		body = []byte(what.body)
	}
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err == nil
}

// answerTo is the body that the engine answers to a line: a pure function, so that the bytes of two runs can be
// compared. The odd spacing and the long number must come through as they are.
func answerTo(line string, status int) []byte {
	if status != http.StatusOK {
		return fmt.Appendf(nil, `{"error": {"message":"no answer to %s","type":"invalid_request_error","code":null}}`, line)
	}
	sum := sha256.Sum256([]byte(line))
	return fmt.Appendf(nil, `{"id":"chatcmpl-%s", "object":"chat.completion","created":17000000000000000001,"model":"m",`+
		`"choices":[{"index":0,"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}`, line, hex.EncodeToString(sum[:]))
}

// inFlight returns how many calls are in flight.
func (e *engine) inFlight() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calling
}

// log returns a copy of all calls so far.
func (e *engine) log() []call {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]call, len(e.calls))
	for i, c := range e.calls {
		all[i] = *c
	}
	return all
}
