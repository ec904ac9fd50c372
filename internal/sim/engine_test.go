package sim_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/sim"
)

var update = flag.Bool("update", false, "write the answers under testdata again")

func newEngine(t testing.TB, opts sim.Options) *sim.Engine {
	t.Helper()
	e, err := sim.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// post sends a body straight to the engine's handler.
func post(e *sim.Engine, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
	return w
}

func get(e *sim.Engine, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func chatBody(text string) string {
	b, _ := json.Marshal(text)
	return `{"model":"m","messages":[{"role":"user","content":` + string(b) + `}]}`
}

// parse decodes an answer into a generic value and fails the test if it is not JSON.
func parse(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("status %d, answer %q: %v", w.Code, w.Body, err)
	}
	return v
}

// as returns v as a T, and fails the test if it is something else.
func as[T any](t testing.TB, v any) T {
	t.Helper()
	got, ok := v.(T)
	if !ok {
		t.Fatalf("got a %T: %v", v, v)
	}
	return got
}

// at walks an answer by member names and indexes.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			v = as[map[string]any](t, v)[step]
		case int:
			v = as[[]any](t, v)[step]
		}
	}
	return v
}

// Each file of testdata/answers is a request and its answer, in full, under seed 1.
func TestAnswersHaveTheShapeOfTheAPI(t *testing.T) {
	t.Parallel()
	e := newEngine(t, sim.Options{Seed: 1})
	for _, c := range []struct{ name, path, body string }{
		{"chat", "/v1/chat/completions", chatBody("What is the capital of Indonesia?")},
		{"chat cut at its limit", "/v1/chat/completions", `{"model":"m","max_completion_tokens":5,"messages":[{"role":"user","content":"x"}]}`},
		{"chat as a json object", "/v1/chat/completions", `{"model":"m","response_format":{"type":"json_object"},"messages":[{"role":"user","content":"say \"hi\""}]}`},
		{"chat with parts and two choices", "/v1/chat/completions", `{"model":"m","n":2,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:,"}}]}]}`},
		{"completion", "/v1/completions", `{"model":"m","prompt":"Once upon a time"}`},
		{"completion of many prompts", "/v1/completions", `{"model":"m","prompt":["a","b"],"n":2,"max_tokens":3,"echo":true}`},
		{"response", "/v1/responses", `{"model":"m","input":"Hello"}`},
		{"response of items cut at its limit", "/v1/responses", `{"model":"m","instructions":"Be brief.","max_output_tokens":4,"metadata":{"k":"v"},"temperature":0,"input":[{"role":"user","content":[{"type":"input_text","text":"Hello"}]}]}`},
		{"embedding", "/v1/embeddings", `{"model":"m","input":["one","two"],"dimensions":3}`},
		{"moderation", "/v1/moderations", `{"input":["a walk in the park","a call to violence"]}`},
		{"rerank", "/v1/rerank", `{"model":"m","query":"red fox","documents":["blue whale",{"text":"the red fox"},"red"],"top_n":2}`},
		{"score", "/v1/score", `{"model":"m","text_1":"red fox","text_2":["red fox","blue whale"]}`},
		{"models", "/v1/models", ""},
		{"no model", "/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}]}`},
		{"stream", "/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`},
		{"not json", "/v1/chat/completions", `{"model":`},
		{"wrong type", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":"many"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := get(e, c.path)
			if c.body != "" {
				w = post(e, c.path, c.body)
			}
			got := http.StatusText(w.Code) + "\n" + w.Body.String() + "\n"
			file := filepath.Join("testdata", "answers", strings.ReplaceAll(c.name, " ", "-")+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("answer (-want +got):\n%s", d)
			}
		})
	}
}

func TestAnswersDependOnSeedAndBodyOnly(t *testing.T) {
	t.Parallel()
	opts := sim.Options{Seed: 7, OutputTokens: 50, OutputSpread: 1}
	first, second := newEngine(t, opts), newEngine(t, opts)
	post(second, "/v1/chat/completions", chatBody("something else first"))

	want := post(first, "/v1/chat/completions", chatBody("a"))
	got := post(second, "/v1/chat/completions", chatBody("a"))
	if d := cmp.Diff(want.Body.String(), got.Body.String()); d != "" {
		t.Errorf("answer of a second engine (-first +second):\n%s", d)
	}
	if d := cmp.Diff(want.Result().Header, got.Result().Header); d != "" {
		t.Errorf("headers of a second engine (-first +second):\n%s", d)
	}
	opts.Seed = 8
	if other := post(newEngine(t, opts), "/v1/chat/completions", chatBody("a")); other.Body.String() == want.Body.String() {
		t.Error("another seed gave the same answer")
	}
	if other := post(first, "/v1/chat/completions", chatBody("b")); parse(t, other)["id"] == parse(t, want)["id"] {
		t.Error("another body gave the same id")
	}
}

func TestUsageAddsUpAndRespectsLimits(t *testing.T) {
	t.Parallel()
	e := newEngine(t, sim.Options{OutputTokens: 100, OutputSpread: 0.5})
	for _, c := range []struct {
		name, extra string
		min, max    float64
		finish      string
	}{
		{"drawn", ``, 1, 1000, "stop"},
		{"cut", `,"max_tokens":7`, 7, 7, "length"},
		{"the newer limit wins", `,"max_tokens":700,"max_completion_tokens":3`, 3, 3, "length"},
		{"at least", `,"min_tokens":400`, 400, 1000, "stop"},
		{"to the limit", `,"max_tokens":2000,"ignore_eos":true`, 2000, 2000, "length"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := parse(t, post(e, "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"héllo ✓"}]`+c.extra+`}`))
			prompt, out := as[float64](t, at(t, v, "usage", "prompt_tokens")), as[float64](t, at(t, v, "usage", "completion_tokens"))
			if total := at(t, v, "usage", "total_tokens"); total != prompt+out {
				t.Errorf("total %v of %v and %v", total, prompt, out)
			}
			if out < c.min || out > c.max {
				t.Errorf("completion tokens = %v, want %v to %v", out, c.min, c.max)
			}
			if got := at(t, v, "choices", 0, "finish_reason"); got != c.finish {
				t.Errorf("finish reason = %v, want %s", got, c.finish)
			}
		})
	}
}

func TestChatAnswersTheLastUserMessage(t *testing.T) {
	t.Parallel()
	e := newEngine(t, sim.Options{})
	long := strings.Repeat("word ", 1000) + "secret end"
	for _, c := range []struct{ name, messages, want string }{
		{"one", `[{"role":"user","content":"find me"}]`, "find me"},
		{"before an assistant's", `[{"role":"user","content":"old"},{"role":"user","content":"find me"},{"role":"assistant","content":"no"}]`, "find me"},
		{"nobody's", `[{"role":"system","content":"find me"}]`, "find me"},
		{"parts", `[{"role":"user","content":[{"type":"text","text":"find"},{"type":"text","text":"me"}]}]`, "find me"},
		{"null content", `[{"role":"user","content":"find me"},{"role":"assistant","content":null}]`, "find me"},
		{"shortened", `[{"role":"user","content":"` + long + `"}]`, "word word…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := parse(t, post(e, "/v1/chat/completions", `{"model":"m","messages":`+c.messages+`}`))
			got := as[string](t, at(t, v, "choices", 0, "message", "content"))
			if c.name == "shortened" {
				if len(got) > 300 || !strings.HasSuffix(got, "…") || strings.Contains(got, "secret") {
					t.Errorf("content = %q, want the prompt shortened", got)
				}
				return
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("content = %q, want %q in it", got, c.want)
			}
		})
	}
}

func TestEmbeddingsAreUnitVectorsOfTheText(t *testing.T) {
	t.Parallel()
	e := newEngine(t, sim.Options{Seed: 3})
	embed := func(t *testing.T, body string) []any {
		t.Helper()
		return as[[]any](t, at(t, parse(t, post(e, "/v1/embeddings", body)), "data"))
	}
	floats := func(v any) []float64 {
		var out []float64
		for _, x := range as[[]any](t, at(t, v, "embedding")) {
			out = append(out, as[float64](t, x))
		}
		return out
	}
	dot := func(a, b []float64) (sum float64) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	data := embed(t, `{"model":"m","input":["the red fox","the red dog","stock exchange",""]}`)
	fox, dog, stock := floats(data[0]), floats(data[1]), floats(data[2])
	if len(fox) != 64 {
		t.Errorf("%d dimensions, want 64", len(fox))
	}
	for i := range data {
		if n := dot(floats(data[i]), floats(data[i])); math.Abs(n-1) > 1e-5 {
			t.Errorf("vector %d has square length %v", i, n)
		}
	}
	if dot(fox, dog) < dot(fox, stock)+0.2 {
		t.Errorf("likeness of fox and dog %v, of fox and stock %v", dot(fox, dog), dot(fox, stock))
	}
	if d := cmp.Diff(fox, floats(embed(t, `{"model":"other","input":"the red fox"}`)[0])); d != "" {
		t.Errorf("the same text in another request (-first +second):\n%s", d)
	}
	raw := embed(t, `{"model":"m","input":"the red fox","encoding_format":"base64"}`)[0]
	if b, err := base64.StdEncoding.DecodeString(as[string](t, at(t, raw, "embedding"))); err != nil || len(b) != 4*64 {
		t.Errorf("base64 of %d bytes, %v; want 256", len(b), err)
	}
	if n := len(embed(t, `{"model":"m","input":[[1,2],[3]]}`)); n != 2 {
		t.Errorf("%d vectors for two lists of token ids", n)
	}
}

func TestBadRequestsGetOpenAIErrors(t *testing.T) {
	t.Parallel()
	e := newEngine(t, sim.Options{Models: []string{"a", "b"}, MaxBodyBytes: 10000})
	msgs := `"messages":[{"role":"user","content":"x"}]`
	for _, c := range []struct {
		name, path, body string
		status           int
		param, code      any
	}{
		{"unknown model", "/v1/chat/completions", `{"model":"c",` + msgs + `}`, 404, "model", "model_not_found"},
		{"priority of the wrong type", "/v1/chat/completions", `{"model":"a","priority":"high",` + msgs + `}`, 400, "priority", "invalid_type"},
		{"no messages", "/v1/chat/completions", `{"model":"a"}`, 400, "messages", "missing_required_parameter"},
		{"messages of the wrong type", "/v1/chat/completions", `{"model":"a","messages":"x"}`, 400, "messages", "invalid_type"},
		{"content of the wrong type", "/v1/chat/completions", `{"model":"a","messages":[{"content":5}]}`, 400, "messages.0.content", nil},
		{"limit of zero", "/v1/chat/completions", `{"model":"a","max_tokens":0,` + msgs + `}`, 400, "max_tokens", nil},
		{"too many choices", "/v1/chat/completions", `{"model":"a","n":1000,` + msgs + `}`, 400, "n", nil},
		{"stream", "/v1/completions", `{"model":"a","stream":true,"prompt":"x"}`, 400, "stream", "unsupported_value"},
		{"no prompt", "/v1/completions", `{"model":"a"}`, 400, "prompt", "missing_required_parameter"},
		{"empty list", "/v1/embeddings", `{"model":"a","input":[]}`, 400, "input", nil},
		{"mixed list", "/v1/embeddings", `{"model":"a","input":["x",1]}`, 400, "input", nil},
		{"dimensions", "/v1/embeddings", `{"model":"a","input":"x","dimensions":0}`, 400, "dimensions", nil},
		{"encoding", "/v1/embeddings", `{"model":"a","input":"x","encoding_format":"hex"}`, 400, "encoding_format", nil},
		{"no input", "/v1/responses", `{"model":"a"}`, 400, "input", "missing_required_parameter"},
		{"no query", "/v1/rerank", `{"model":"a","documents":["x"]}`, 400, "query", "missing_required_parameter"},
		{"uneven score", "/v1/score", `{"model":"a","text_1":["x","y"],"text_2":["x"]}`, 400, "text_1", nil},
		{"an array", "/v1/responses", `[]`, 400, nil, nil},
		{"nothing", "/v1/responses", ``, 400, nil, nil},
		{"too many inputs", "/v1/embeddings", `{"model":"a","input":["a"` + strings.Repeat(`,"a"`, 2048) + `]}`, 400, "input", nil},
		{"too many choices for many prompts", "/v1/completions", `{"model":"a","n":128,"prompt":["a"` + strings.Repeat(`,"a"`, 16) + `]}`, 400, "n", nil},
		{"too large", "/v1/responses", `"` + strings.Repeat("x", 10000) + `"`, 413, nil, "request_too_large"},
		{"unknown path", "/v1/audio", `{}`, 404, nil, nil},
		{"wrong method", "/v1/models", `{}`, 405, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := post(e, c.path, c.body)
			v := parse(t, w)
			if w.Code != c.status || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("status %d, type %s, want %d in JSON: %s", w.Code, w.Header().Get("Content-Type"), c.status, w.Body)
			}
			if got := at(t, v, "error", "param"); got != c.param {
				t.Errorf("param = %v, want %v: %s", got, c.param, w.Body)
			}
			if got := at(t, v, "error", "code"); got != c.code {
				t.Errorf("code = %v, want %v", got, c.code)
			}
			if at(t, v, "error", "message") == "" || at(t, v, "error", "type") != "invalid_request_error" {
				t.Errorf("error = %s", w.Body)
			}
		})
	}
	if w := get(e, "/v1/chat/completions"); w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET of an endpoint = %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestModelsAreListed(t *testing.T) {
	t.Parallel()
	e := newEngine(t, sim.Options{Models: []string{"org/a", "b"}})
	v := parse(t, get(e, "/v1/models"))
	if at(t, v, "data", 0, "id") != "org/a" || at(t, v, "data", 1, "id") != "b" {
		t.Errorf("models = %v", v)
	}
	if w := get(e, "/v1/models/org/a"); w.Code != 200 || parse(t, w)["id"] != "org/a" {
		t.Errorf("one model = %d %s", w.Code, w.Body)
	}
	if w := get(e, "/v1/models/c"); w.Code != 404 {
		t.Errorf("an unknown model = %d", w.Code)
	}
	if w := get(e, "/health"); w.Code != 200 {
		t.Errorf("health = %d", w.Code)
	}
}

func TestAGivenRequestIDIsEchoed(t *testing.T) {
	t.Parallel()
	e := newEngine(t, sim.Options{})
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(chatBody("x")))
	r.Header.Set("X-Request-Id", "mine")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	if got := w.Header().Get("X-Request-Id"); got != "mine" {
		t.Errorf("request id = %q, want mine", got)
	}
	if got := post(e, "/v1/chat/completions", chatBody("x")).Header().Get("X-Request-Id"); !strings.HasPrefix(got, "req_") {
		t.Errorf("request id = %q, want one of the engine's", got)
	}
}

func TestHooksSeeEveryCallOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var calls, answers []sim.Call
	e := newEngine(t, sim.Options{
		Faults:   sim.Script{Rules: []sim.Rule{{Match: sim.Match{Contains: "broken"}, Action: sim.Action{Status: 503}}}},
		OnCall:   func(c sim.Call) { mu.Lock(); defer mu.Unlock(); calls = append(calls, c) },
		OnAnswer: func(c sim.Call) { mu.Lock(); defer mu.Unlock(); answers = append(answers, c) },
	})
	bodies := []string{chatBody("fine"), chatBody("broken"), `{`}
	for _, b := range bodies {
		post(e, "/v1/chat/completions", b)
	}
	get(e, "/v1/models")
	if len(calls) != 3 || len(answers) != 3 {
		t.Fatalf("%d calls and %d answers seen, want 3 each", len(calls), len(answers))
	}
	for i, want := range []int{200, 503, 400} {
		if c := calls[i]; c.Number != int64(i+1) || string(c.Body) != bodies[i] || c.Path != "/v1/chat/completions" || c.Status != 0 || c.Start.IsZero() {
			t.Errorf("call %d = %+v", i, c)
		}
		if answers[i].Status != want {
			t.Errorf("answer %d has status %d, want %d", i, answers[i].Status, want)
		}
	}
	if got, want := e.Stats(), (sim.Stats{Served: 1, Faulted: 1}); got != want {
		t.Errorf("stats = %+v, want %+v", got, want)
	}
}

func TestBadOptionsAreNamed(t *testing.T) {
	t.Parallel()
	for want, opts := range map[string]sim.Options{
		"Seats":        {Seats: -1},
		"Jitter":       {Jitter: -0.1},
		"RefuseStatus": {RefuseStatus: 200},
		"Models[1]":    {Models: []string{"a", ""}},
		"rule 0":       {Faults: sim.Script{Rules: []sim.Rule{{}}}},
	} {
		if _, err := sim.New(opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want %s named", err, want)
		}
	}
}

// No body, however odd, makes an endpoint panic, stop being a function of the body, or answer with something that is
// not JSON.
func FuzzAnyBodyGetsAJSONAnswer(f *testing.F) {
	paths := []string{"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/moderations", "/v1/rerank", "/v1/score"}
	for _, seed := range []string{
		chatBody("hello"), `{"model":"m","prompt":[1,2]}`, `{"model":"m","input":[{"role":"user","content":"x"}]}`,
		`{"model":"m","input":["a"],"dimensions":2}`, `{"model":"m","query":"a","documents":["b",{"text":"c"}]}`,
		`{"model":"m","text_1":["a"],"text_2":["b"]}`,
		`{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"schema":{"properties":{"a":{"$ref":"#/x"},"b":{"items":{"enum":[1]}}}}}}}`, "{\"model\":\"\xff\",\"input\":\"\\ud800\"}", `[[[`, ``,
	} {
		for i := range paths {
			f.Add(uint8(i), seed)
		}
	}
	e, err := sim.New(sim.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, endpoint uint8, body string) {
		path := paths[int(endpoint)%len(paths)]
		w, again := post(e, path, body), post(e, path, body)
		if w.Code != 200 && w.Code != 400 {
			t.Errorf("status %d", w.Code)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("answer is not JSON: %q", w.Body)
		}
		if w.Body.String() != again.Body.String() {
			t.Errorf("two answers to one body:\n%s\n%s", w.Body, again.Body)
		}
	})
}
