//go:build !failpoint

package promise

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"batchd/internal/sim"
)

// fieldEngine serves a simulated engine whose answers are picked by the lines' text, and counts its calls.
func fieldEngine(t *testing.T, took time.Duration) (url string, calls *atomic.Int64) {
	t.Helper()
	calls = new(atomic.Int64)
	engine, err := sim.New(sim.Options{ContentModes: true, Base: took, OnCall: func(sim.Call) { calls.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(engine)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL + "/v1", calls
}

// bad returns a mode for the lines of a set, and ok for all others.
func bad(mode string, of func(n int) bool) func(int) string {
	return func(n int) string {
		if of(n) {
			return mode
		}
		return "ok"
	}
}

func only(line int) func(int) bool { return func(n int) bool { return n == line } }

func all(int) bool { return true }

// fieldNode starts a server before such an engine.
func fieldNode(t *testing.T, concurrency int, settings ...string) (*node, *atomic.Int64) {
	t.Helper()
	n := newNode(t, nil, concurrency, settings...)
	var calls *atomic.Int64
	n.upstream, calls = fieldEngine(t, time.Millisecond)
	n.start()
	return n, calls
}

// TestField runs what people who run batch jobs have reported: lines that an upstream refuses among others that it serves.
func TestField(t *testing.T) {
	t.Parallel()
	first30 := func(n int) bool { return n <= 30 }
	every10th := func(n int) bool { return n%10 == 1 }
	for name, c := range map[string]struct {
		mode            string
		bad             func(n int) bool
		lines, inFlight int
		// good is how long the good lines may take, all how long the batch; within is 0 for one that is not waited for.
		good, within time.Duration
		// told stands in each error line.
		told string
	}{
		"F2-01 B01 one 403":                {"mod403", only(50), 200, 4, 12 * time.Second, 30 * time.Second, `"status_code":403`},
		"F2-05 one 429 with Retry-After":   {"big429", only(50), 200, 16, 12 * time.Second, 0, ""},
		"F2-07 B10 one 429":                {"big429nh", only(50), 200, 16, 12 * time.Second, 0, ""},
		"F2-09 the first 30 fail":          {"ctx500", first30, 3000, 16, 30 * time.Second, 100 * time.Second, `"status_code":500`},
		"F2-10 every tenth fails":          {"ctx500", every10th, 300, 16, 30 * time.Second, 3 * time.Minute, `"status_code":500`},
		"F2-16 one generation fault":       {"tgi424once", only(50), 200, 16, 12 * time.Second, 12 * time.Second, ""},
		"F2-18 an error object inside 200": {"err200_type", only(50), 200, 16, 12 * time.Second, 12 * time.Second, `prompt is too long`},
		"F2-20 no choices":                 {"emptychoices", only(50), 200, 16, 12 * time.Second, 12 * time.Second, ""},
		"F2-21 a byte order mark":          {"bom", only(50), 200, 16, 12 * time.Second, 12 * time.Second, ""},
		"F2-24 NaN in logprobs":            {"nan", only(50), 200, 16, 12 * time.Second, 12 * time.Second, ""},
		"F2-26 line separators":            {"u2028", only(50), 200, 16, 12 * time.Second, 12 * time.Second, ""},
		"U10 an empty error":               {"errempty", only(50), 200, 16, 12 * time.Second, 12 * time.Second, ""},
		"U10 an aborted choice":            {"abort", only(50), 200, 16, 12 * time.Second, 12 * time.Second, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input{lines: c.lines, anyAnswer: true, mode: bad(c.mode, c.bad)}
			want := 0
			for line := 1; line <= c.lines; line++ {
				if !c.bad(line) || c.told == "" && c.within > 0 {
					want++
				}
			}
			n, calls := fieldNode(t, c.inFlight)
			id := n.run(in, "24h")
			s := n.watch(id)
			until(t, c.good, "good lines", func() bool { return s.last().RequestCounts.Completed == want })
			if c.within == 0 {
				_ = s.finish()
				return
			}
			if err := s.ended(c.within); err != nil {
				t.Fatal(err)
			}
			a, err := n.audit(id, in)
			if err != nil || a.job.RequestCounts != (counts{Total: c.lines, Completed: want, Failed: c.lines - want}) {
				t.Errorf("%v, got %+v, want %d completed", err, a.job.RequestCounts, want)
			}
			for _, line := range bytes.Split(bytes.TrimSpace(a.errors), []byte("\n")) {
				if !bytes.Contains(line, []byte(c.told)) {
					t.Errorf("error line does not tell %s: %s", c.told, line)
				}
			}
			if bytes.ContainsAny(a.output, "\u0085\u2028\u2029") {
				t.Error("a separator stands raw in the output, where clients cut lines")
			}
			if strings.HasPrefix(name, "F2-2") && calls.Load() != int64(c.lines) {
				t.Errorf("%d calls for %d lines: a good answer is taken at once", calls.Load(), c.lines)
			}
			if name == "F2-18 an error object inside 200" && calls.Load() != int64(c.lines) {
				t.Errorf("%d calls for %d lines: what the upstream says of a line is final", calls.Load(), c.lines)
			}
		})
	}
	t.Run("F2-04 D13 one tenant's 403 beside another's good lines", twoTenants)
	t.Run("F2-08 what expires says what it was answered", expiresWithItsAnswer)
	t.Run("F2-13 no balance for any line", burnsNothing("pay402"))
	t.Run("F2-14 a wrong key told as 400", burnsNothing("badkey400"))
	t.Run("F2-15 no /v1 in the URL", withoutV1)
	t.Run("F2-50 a retry after the input was deleted", retryAfterDeletion)
}

// twoTenants has one whose every line is refused, and one whose lines are good.
func twoTenants(t *testing.T) {
	t.Parallel()
	n := newNode(t, nil, 4)
	n.keys = true
	n.upstream, _ = fieldEngine(t, time.Millisecond)
	refused, served := n.mintKey("refused"), n.mintKey("served")
	n.start()
	n.key = refused
	n.run(input{lines: 1, anyAnswer: true, mode: bad("mod403", all)}, "24h")
	n.run(input{lines: 2000, anyAnswer: true, mode: bad("mod403", all)}, "24h")
	n.key = served
	in := input{lines: 300, anyAnswer: true, mode: bad("mod403", only(0))}
	s := n.watch(n.run(in, "24h"))
	if err := s.ended(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.finish(); err != nil {
		t.Error(err)
	}
}

func expiresWithItsAnswer(t *testing.T) {
	t.Parallel()
	in := input{lines: 200, anyAnswer: true, mode: bad("big429", only(50))}
	n, _ := fieldNode(t, 16, "BATCHD_WINDOWS=12s")
	a, err := n.finished(n.run(in, "12s"), in)
	if err != nil || a.job.Status != "expired" || a.job.RequestCounts != (counts{Total: 200, Completed: 199}) {
		t.Fatalf("%v, got %s with %+v", err, a.job.Status, a.job.RequestCounts)
	}
	for _, want := range []string{`"code":"batch_expired"`, `"response":null`, "completion window expired. The upstream last answered 429: Request too large"} {
		if !strings.Contains(string(a.errors), want) {
			t.Errorf("want %s in %s", want, a.errors)
		}
	}
}

// burnsNothing has an upstream that refuses every line for what no line can help.
func burnsNothing(mode string) func(*testing.T) {
	return func(t *testing.T) {
		t.Parallel()
		in := input{lines: 2000, anyAnswer: true, mode: bad(mode, all)}
		n, calls := fieldNode(t, 16)
		id := n.run(in, "24h")
		pause(8 * time.Second)
		j, err := n.batch(id)
		if err != nil || j.Status != "in_progress" || j.RequestCounts != (counts{Total: 2000}) {
			t.Errorf("%v: %s with %+v, want nothing recorded", err, j.Status, j.RequestCounts)
		}
		if calls.Load() > 60 {
			t.Errorf("%d calls in 8 s, want some in flight and then few probes", calls.Load())
		}
	}
}

// withoutV1 has a URL whose /v1 was forgotten.
func withoutV1(t *testing.T) {
	t.Parallel()
	var lost atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"object":"list","data":[{"id":"m","object":"model"}]}`))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		lost.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"detail":"Not Found"}`))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	n := newNode(t, nil, 16)
	n.upstream = server.URL
	n.start()
	until(t, endWithin, "warning at the start", func() bool { return strings.Contains(n.running().text(), "add /v1 to its url") })
	in := input{lines: 500, anyAnswer: true}
	id := n.run(in, "24h")
	until(t, endWithin, "reason in the log", func() bool { return strings.Contains(n.running().text(), "reason=misconfigured") })
	if j, err := n.batch(id); err != nil || j.RequestCounts != (counts{Total: 500}) {
		t.Errorf("%v: %+v, want nothing recorded", err, j.RequestCounts)
	}
}

// retryAfterDeletion is F2-50: the lines of an input that was deleted while its batch ran are not brought back in a new file.
func retryAfterDeletion(t *testing.T) {
	t.Parallel()
	n, _ := fieldNode(t, 8)
	in := input{lines: 20, anyAnswer: true, mode: bad("mod403", only(3))}
	uploaded, err := n.upload("input.jsonl", in.write)
	if err != nil {
		t.Fatal(err)
	}
	created, err := n.create(uploaded.ID, "24h")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.do(http.MethodDelete, "/v1/files/"+uploaded.ID, "", nil); err != nil {
		t.Fatal(err)
	}
	if err := n.watch(created.ID).ended(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	_, err = n.post("/v1/batches/"+created.ID+"/retry", struct{}{})
	if err == nil || !strings.Contains(err.Error(), "409") || !strings.Contains(err.Error(), "file_deleted") {
		t.Errorf("retry: %v, want 409 file_deleted", err)
	}
}
