package sim_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/sim"
)

func TestScriptsAreRead(t *testing.T) {
	t.Parallel()
	got, err := sim.ParseScript([]byte(`{"rules": [
		{"match": {"contains": "poison", "path": "/v1/embeddings", "model": "m", "from": 2, "to": 9}, "action": {"status": 500, "delay": "1m30s"}},
		{"match": {"rate": 0.25, "attempts": 1}, "times": 3, "action": {"headers": {"Retry-After": "1"}, "drip": {"bytes": 1, "every": "10s"}}},
		{"action": {"body": "", "status": 204}},
		{"match": {"nth": 1}, "action": {"json": {"a": [1]}, "reset": "mid_body"}}
	]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := sim.Script{Rules: []sim.Rule{
		{
			Match:  sim.Match{Contains: "poison", Path: "/v1/embeddings", Model: "m", From: 2, To: 9},
			Action: sim.Action{Status: 500, Delay: 90 * time.Second},
		},
		{
			Match: sim.Match{Rate: 0.25, Attempts: 1}, Times: 3,
			Action: sim.Action{Headers: map[string]string{"Retry-After": "1"}, Drip: sim.Drip{Bytes: 1, Every: 10 * time.Second}},
		},
		{Action: sim.Action{Body: text(""), Status: 204}},
		{Match: sim.Match{Nth: 1}, Action: sim.Action{JSON: []byte(`{"a": [1]}`), Reset: sim.ResetMidBody}},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("script (-want +got):\n%s", d)
	}
}

// testdata/scripts has a script for each way in which an upstream is known to fail.
func TestKnownFailuresCanBeScripted(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/scripts/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if s, err := sim.ParseScript(raw); err != nil || len(s.Rules) == 0 {
				t.Errorf("%d rules, %v", len(s.Rules), err)
			}
		})
	}
}

func TestBadScriptsNameTheRuleAndTheField(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, rule, want string }{
		{"unknown action", `{"action":{"explode":true}}`, `rule 1: action.explode`},
		{"unknown condition", `{"match":{"phase":"moon"},"action":{"pass":true}}`, `rule 1: match.phase`},
		{"wrong type", `{"action":{"status":"500"}}`, `rule 1: action.status`},
		{"duration without a unit", `{"action":{"delay":"5"}}`, `rule 1: action.delay: time: missing unit`},
		{"duration as a number", `{"action":{"delay":5}}`, `rule 1: action.delay: want a duration in quotes`},
		{"nested duration", `{"action":{"drip":{"bytes":1,"every":"x"}}}`, `rule 1: action.drip.every`},
		{"no action", `{"match":{"nth":3}}`, `rule 1: action.pass`},
		{"negative times", `{"times":-1,"action":{"hang":true}}`, `rule 1: times`},
		{"rate", `{"match":{"rate":1.5},"action":{"hang":true}}`, `rule 1: match.rate`},
		{"attempts", `{"match":{"attempts":-1},"action":{"hang":true}}`, `rule 1: match.attempts`},
		{"nth", `{"match":{"nth":-1},"action":{"hang":true}}`, `rule 1: match.nth`},
		{"range", `{"match":{"from":5,"to":4},"action":{"hang":true}}`, `rule 1: match.to`},
		{"path", `{"match":{"path":"v1"},"action":{"hang":true}}`, `rule 1: match.path`},
		{"unknown reset", `{"action":{"reset":"later"}}`, `rule 1: action.reset: "later" is not one of before_headers`},
		{"unknown garbage", `{"action":{"garbage":"xml"}}`, `rule 1: action.garbage`},
		{"unknown gzip", `{"action":{"gzip":"zstd"}}`, `rule 1: action.gzip`},
		{"unknown length", `{"action":{"length":"odd"}}`, `rule 1: action.length`},
		{"unknown chunked", `{"action":{"chunked":"odd"}}`, `rule 1: action.chunked`},
		{"status", `{"action":{"status":42}}`, `rule 1: action.status`},
		{"small size", `{"action":{"size":3}}`, `rule 1: action.size`},
		{"half a drip", `{"action":{"drip":{"bytes":3}}}`, `rule 1: action.drip`},
		{"header with a line break", `{"action":{"headers":{"A":"b\r\nc"}}}`, `rule 1: action.headers`},
		{"two contents", `{"action":{"body":"x","nest":3}}`, `rule 1: action.nest: cannot be combined with body`},
		{"ending and content", `{"action":{"hang":true,"body":"x"}}`, `rule 1: action.body: cannot be combined with hang`},
		{"ending and status", `{"action":{"crash":"1s","status":500}}`, `rule 1: action.status: cannot be combined with crash`},
		{"two transports", `{"action":{"reset":"mid_body","length":"long"}}`, `rule 1: action.length: cannot be combined with reset`},
		{"a stream cut", `{"action":{"size":100,"reset":"mid_body"}}`, `rule 1: action.reset: cannot be combined with size`},
		{"a bomb in gzip", `{"action":{"bomb":100,"gzip":"valid"}}`, `rule 1: action.gzip: cannot be combined with bomb`},
		{"a stall after reading", `{"match":{"contains":"x"},"action":{"stall":"1s"}}`, `rule 1: action.stall`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := sim.ParseScript([]byte(`{"rules":[{"action":{"pass":true}},` + c.rule + `]}`))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ParseScript = %v, want %q in it", err, c.want)
			}
		})
	}
	for _, bad := range []string{``, `[]`, `{"rules":`, `{"rulez":[]}`, `{"rules":[]} x`} {
		if _, err := sim.ParseScript([]byte(bad)); err == nil {
			t.Errorf("ParseScript(%q) succeeded", bad)
		}
	}
}

// strikes sends bodies in order and returns which were struck, as a string of 1 and 0.
func strikes(t *testing.T, seed uint64, m sim.Match, times int, bodies ...string) string {
	t.Helper()
	e := newEngine(t, sim.Options{Seed: seed, Faults: sim.Script{Rules: []sim.Rule{{Match: m, Times: times, Action: sim.Action{Status: 500}}}}})
	var out strings.Builder
	for _, b := range bodies {
		hit := "0"
		if post(e, "/v1/chat/completions", b).Code == 500 {
			hit = "1"
		}
		out.WriteString(hit)
	}
	return out.String()
}

func TestRulesStrikeWhatTheyMatch(t *testing.T) {
	t.Parallel()
	a, b := chatBody("alpha"), chatBody("beta")
	for _, c := range []struct {
		name   string
		match  sim.Match
		times  int
		bodies []string
		want   string
	}{
		{"everything", sim.Match{}, 0, []string{a, b}, "11"},
		{"a marker", sim.Match{Contains: "bet"}, 0, []string{a, b, a, b}, "0101"},
		{"the nth request", sim.Match{Nth: 3}, 0, []string{a, a, a, a}, "0010"},
		{"a range", sim.Match{From: 2, To: 3}, 0, []string{a, a, a, a}, "0110"},
		{"from", sim.Match{From: 3}, 0, []string{a, a, a, a}, "0011"},
		{"the first attempts of each body", sim.Match{Attempts: 2}, 0, []string{a, b, a, a, b, b}, "111010"},
		{"the first attempts of a marked body", sim.Match{Contains: "beta", Attempts: 1}, 0, []string{a, b, a, b}, "0100"},
		{"another path", sim.Match{Path: "/v1/embeddings"}, 0, []string{a}, "0"},
		{"this path", sim.Match{Path: "/v1/chat/completions"}, 0, []string{a}, "1"},
		{"a model", sim.Match{Model: "m"}, 0, []string{a, `{"model":"n"}`, `{`}, "100"},
		{"so many times", sim.Match{Contains: "beta"}, 2, []string{a, b, b, b}, "0110"},
		{"all conditions at once", sim.Match{Contains: "beta", From: 3, Model: "m"}, 0, []string{b, a, a, b}, "0001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := strikes(t, 1, c.match, c.times, c.bodies...); got != c.want {
				t.Errorf("struck %s, want %s", got, c.want)
			}
		})
	}
}

func TestARateStrikesTheSameBodiesInAnyOrder(t *testing.T) {
	t.Parallel()
	var bodies, reversed []string
	for i := range 1000 {
		bodies = append(bodies, chatBody(fmt.Sprint("line ", i)))
		reversed = append([]string{bodies[i]}, reversed...)
	}
	forward := strikes(t, 5, sim.Match{Rate: 0.1}, 0, bodies...)
	backward := strikes(t, 5, sim.Match{Rate: 0.1}, 0, reversed...)
	for i := range forward {
		if forward[i] != backward[len(backward)-1-i] {
			t.Fatalf("body %d was struck in one order only", i)
		}
	}
	if n := strings.Count(forward, "1"); n < 70 || n > 130 {
		t.Errorf("%d of 1000 struck at a rate of 0.1", n)
	}
	if forward == strikes(t, 6, sim.Match{Rate: 0.1}, 0, bodies...) {
		t.Error("another seed struck the same bodies")
	}
	if n := strings.Count(strikes(t, 5, sim.Match{Rate: 1}, 0, bodies...), "1"); n != 1000 {
		t.Errorf("%d of 1000 struck at a rate of 1", n)
	}
}

func TestTheFirstRuleThatMatchesWins(t *testing.T) {
	t.Parallel()
	e := newEngine(t, sim.Options{Faults: sim.Script{Rules: []sim.Rule{
		{Match: sim.Match{Contains: "exempt"}, Action: sim.Action{Pass: true}},
		{Times: 1, Action: sim.Action{Status: 503}},
		{Action: sim.Action{Status: 500}},
	}}})
	for i, c := range []struct {
		body string
		want int
	}{{"exempt", 200}, {"x", 503}, {"x", 500}, {"exempt", 200}} {
		if got := post(e, "/v1/chat/completions", chatBody(c.body)).Code; got != c.want {
			t.Errorf("call %d = %d, want %d", i, got, c.want)
		}
	}
}

func TestMetricsAreVLLMs(t *testing.T) {
	t.Parallel()
	e := newEngine(t, sim.Options{Models: []string{`a"b\`}, PrefixCache: 8})
	chat := `{"model":"a\"b\\","messages":[{"role":"system","content":"12345678"},{"role":"user","content":"1234"}],"max_tokens":2}`
	post(e, "/v1/chat/completions", chat)
	post(e, "/v1/chat/completions", chat)
	post(e, "/v1/embeddings", `{"model":"a\"b\\","input":"1234"}`)
	post(e, "/v1/embeddings", `{}`)
	w := get(e, "/metrics")
	want, err := os.ReadFile("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), w.Body.String()); d != "" {
		t.Errorf("metrics (-want +got):\n%s", d)
	}
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("content type = %q", got)
	}
}

// A script that is accepted can be run, whatever it says; one that is not is refused with an error, never a panic.
func FuzzScripts(f *testing.F) {
	for _, seed := range []string{
		`{"rules":[{"match":{"contains":"x","nth":1},"times":2,"action":{"status":429,"headers":{"Retry-After":"1"}}}]}`,
		`{"rules":[{"action":{"gzip":"double","reset":"mid_body"}}]}`, `{"rules":[{"action":{"delay":"1s"}}]}`, `{"rules":7}`, `{`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script string) {
		s, err := sim.ParseScript([]byte(script))
		if err != nil {
			return
		}
		if _, err := sim.New(sim.Options{Faults: s}); err != nil {
			t.Errorf("New refused a script that ParseScript took: %v", err)
		}
	})
}
