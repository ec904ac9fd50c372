//go:build !failpoint

package promise

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"batchd/internal/sim"
)

// TestUpstream puts the simulated inference engine with a script of faults behind the server. Whatever it does, each
// line has one result; which one, the case says.
func TestUpstream(t *testing.T) {
	t.Parallel()
	const crashing = `{"rules": [{"match": {"contains": "line-0000007"}, "action": {"crash": "1ms"}}]}`
	const failing = `{"rules": [{"match": {"contains": "line-0000007"}, "action": {"status": 500}}]}`
	const large = `{"rules": [
		{"match": {"contains": "line-0000003"}, "action": {"size": 1073741824}},
		{"match": {"contains": "line-0000005"}, "action": {"bomb": 10737418240}}]}`
	for name, c := range map[string]struct {
		file, script string
		lines        int
		// codes are those of the error file, "answer" for an answer that is no success.
		codes map[string]int
	}{
		"U05 resets":                {file: "resets.json", lines: 300},
		"U06 wrong lengths":         {file: "wrong-lengths.json", lines: 50},
		"U07 broken chunks":         {file: "broken-chunks.json", lines: 50},
		"U08 compressed":            {file: "gzip.json", lines: 50},
		"U09 U19 too large":         {script: large, lines: 50, codes: map[string]int{"response_too_large": 2}},
		"U10 no answers":            {file: "not-an-answer.json", lines: 30},
		"U11 odd text":              {file: "odd-text.json", lines: 30},
		"U15 one line always fails": {script: failing, lines: 50, codes: map[string]int{"answer": 1}},
		"U16 one line crashes it":   {script: crashing, lines: 50, codes: map[string]int{"poison_request": 1}},
		"U20 answers of another":    {file: "answer-of-another.json", lines: 300},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.file != "" {
				c.script = read(t, filepath.Join("..", "sim", "testdata", "scripts", c.file))
			}
			in := input{lines: c.lines, anyAnswer: true}
			n := newNode(t, nil, 8)
			n.upstream = simulated(t, c.script)
			n.start()
			a, err := n.finishedWithin(lastTry, n.run(in, "24h"), in)
			if err != nil {
				t.Fatal(err)
			}
			for code, want := range c.codes {
				if a.codes[code] != want {
					t.Errorf("got %v, want %v", a.codes, c.codes)
				}
			}
			if len(c.codes) == 0 && len(a.codes) > 0 {
				t.Errorf("got %v:\n%s", a.codes, a.errors)
			}
		})
	}
	t.Run("U01 refuses connections for a while", refusesForAWhile)
	t.Run("U12 answers with a stream", answersWithAStream)
	t.Run("U18 does not know the model", func(t *testing.T) {
		t.Parallel()
		in := input{lines: 60, anyAnswer: true}
		const gone = `{"error":{"message":"There is none of that name.","type":"invalid_request_error","code":"model_not_found"}}`
		e := newEngine(t, func(string, int) reply {
			return reply{status: http.StatusNotFound, body: gone, contentType: "application/json"}
		})
		n := newNode(t, e, 8)
		n.start()
		a, err := n.finished(n.run(in, "24h"), in)
		if err != nil || a.codes["answer"] != in.lines || e.count() != in.lines {
			t.Errorf("%v, got %v after %d calls: a 404 about the model is each line's answer", err, a.codes, e.count())
		}
	})
}

// lastTry is how long a batch may take with a line that fails for good: five tries with pauses of 1, 5, 15 and 45 s,
// half as long again for a broken connection, and the rest of the batch.
const lastTry = 3 * time.Minute

// simulated serves a simulated engine and returns its base URL.
func simulated(t *testing.T, script string) string {
	t.Helper()
	faults, err := sim.ParseScript([]byte(script))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sim.New(sim.Options{Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(engine)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL + "/v1"
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// refusesForAWhile has nobody listening at first.
func refusesForAWhile(t *testing.T) {
	t.Parallel()
	in := input{lines: 100}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	n := newNode(t, nil, 8)
	n.upstream = "http://" + address + "/0/v1"
	n.start()
	s := n.watch(n.run(in, "24h"))
	pause(3 * time.Second)
	if j := s.last(); j.Status != "in_progress" || j.RequestCounts != (counts{Total: in.lines}) {
		t.Errorf("without an upstream: %s with %+v", j.Status, j.RequestCounts)
	}
	if listener, err = net.Listen("tcp", address); err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	e := newEngine(t, steady(0))
	back := &http.Server{Handler: e}
	go func() { _ = back.Serve(listener) }() // ends with back.Close
	t.Cleanup(func() { _ = back.Close() })
	s.await(t, endWithin)
	if err := s.finish(); err != nil {
		t.Error(err)
	}
	if a, err := n.audit(s.id, in); err != nil || len(a.errors) > 0 {
		t.Errorf("%v, error file %q", err, a.errors)
	}
}

// answersWithAStream sends event streams that nobody asked for.
func answersWithAStream(t *testing.T) {
	t.Parallel()
	in := input{lines: 4}
	e := newEngine(t, func(line string, try int) reply {
		text := map[int]string{
			1: "data: {\"error\":{\"message\":\"overloaded\"}}\n\n", 2: "data: {\"choices\":[]}\n\n", 3: ": nothing yet\n\n",
		}[in.number(line)]
		if try > 1 || text == "" {
			return reply{}
		}
		return reply{body: text, contentType: "text/event-stream"}
	})
	n := newNode(t, e, 8)
	n.start()
	a, err := n.finished(n.run(in, "24h"), in)
	if err != nil || len(a.errors) > 0 {
		t.Errorf("%v, error file %q", err, a.errors)
	}
	if calls := e.count(); calls != 7 {
		t.Errorf("%d calls, want a second one for each of the three lines", calls)
	}
}
