package upstream

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
)

// scan writes text in pieces of the given size.
func scan(text string, piece int) (*scanner, bool) {
	s := new(scanner)
	for p := []byte(text); len(p) > 0; {
		n := min(piece, len(p))
		if !s.write(p[:n]) {
			return s, false
		}
		p = p[n:]
	}
	return s, s.close()
}

func TestScannerAcceptsExactlyJSON(t *testing.T) {
	t.Parallel()
	texts := []string{
		``, ` `, `null`, `nul`, `nulll`, `true`, `tru e`, `false`, `"a"`, `"a`, `"a"b`, `"\u00e9\n\/\\"`, `"\u00g9"`, `"\x"`, "\"\x01\"", "\"\x7f\"",
		`0`, `-0`, `01`, `-`, `+1`, `1.`, `.5`, `1.5`, `1e`, `1e+`, `1e+5`, `1E-05`, `1.5e3.`, `12 `, `1 2`, `--1`, `1e5e5`,
		`[]`, `[ ]`, `[1]`, `[1,]`, `[,1]`, `[1 2]`, `[1,2]`, `[[]`, `[]]`, `[}`, `{]`, `{}`, `{ }`, `{"a"}`, `{"a":}`, `{"a":1}`, `{"a":1,}`, `{,}`,
		`{"a":1 "b":2}`, `{"a":1,"b":[{"c":null}]}`, `{a:1}`, `{"a"::1}`, `{"a":1}}`, `{} {}`, "\ufeff{}", "[1]\x00", "\t\r\n[\t\r\n1\t\r\n]\t\r\n",
		`["` + "\xff" + `"]`, `["\ud800"]`, `[tru]`, `[1.e5]`, `[-]`, `[0e0]`, `{"a":tr}`, `]`, `:`, `,`,
		strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
		strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
		strings.Repeat(`{"":`, 10_000) + "1" + strings.Repeat("}", 10_000),
		strings.Repeat("[", 1_000_000),
	}
	for _, text := range texts {
		want := json.Valid([]byte(text))
		for _, piece := range []int{1, 3, len(text) + 1} {
			if _, got := scan(text, piece); got != want {
				t.Errorf("%.60q in pieces of %d: got %v, want %v", text, piece, got, want)
			}
		}
	}
}

func TestScannerFindsWhatClassificationNeeds(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want answer
	}{
		"chat": {
			`{"object":"chat.completion","choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30,` +
				`"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":6}}}`,
			answer{kind: '{', usage: batch.Usage{Input: 10, Cached: 4, Output: 20, Reasoning: 6, Total: 30}},
		},
		"embeddings": {
			`{"object":"list","data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8}}`,
			answer{kind: '{', usage: batch.Usage{Input: 8, Total: 8}},
		},
		"responses": {
			`{"object":"response","error":null,"usage":{"input_tokens":1,"input_tokens_details":{"cached_tokens":2},"output_tokens":3,` +
				`"output_tokens_details":{"reasoning_tokens":4},"total_tokens":5}}`,
			answer{kind: '{', isResponse: true, usage: batch.Usage{Input: 1, Cached: 2, Output: 3, Reasoning: 4, Total: 5}},
		},
		"usage that is no usage": {
			`{"usage":{"prompt_tokens":-1,"completion_tokens":12.0,"total_tokens":"9","prompt_tokens_details":null,"x":{"y":{"cached_tokens":3}}}}`,
			answer{kind: '{', usage: batch.Usage{Output: 12}},
		},
		"usage beyond reason":   {`{"usage":{"prompt_tokens":1e9,"total_tokens":12345678901234567890}}`, answer{kind: '{'}},
		"usage null":            {`{"usage":null}`, answer{kind: '{'}},
		"usage of someone else": {`{"choices":[{"usage":{"prompt_tokens":1}}],"x":{"usage":{"prompt_tokens":1}}}`, answer{kind: '{'}},
		"error object": {
			`{"error":{"message":"a\u00e9\"b","type":"t","param":null,"code":"c","deep":{"code":"no"}},"x":1}`,
			answer{kind: '{', isError: true, errorMessage: "aé\"b", errorType: "t", errorCode: "c"},
		},
		"error with a number":      {`{"error":{"code":429}}`, answer{kind: '{', isError: true, errorCode: "429"}},
		"error text":               {`{"error":"overloaded"}`, answer{kind: '{', isError: true, errorMessage: "overloaded"}},
		"error true":               {`{"error":true}`, answer{kind: '{', isError: true}},
		"error list":               {`{"error":["a",{"code":1}]}`, answer{kind: '{', isError: true}},
		"error empty":              {`{"id":1,"error":""}`, answer{kind: '{'}},
		"error false":              {`{"error":false,"id":1}`, answer{kind: '{'}},
		"error null":               {`{"id":1,"error":null}`, answer{kind: '{'}},
		"error zero":               {`{"id":1,"error":-0.0}`, answer{kind: '{'}},
		"error not zero":           {`{"id":1,"error":0.1}`, answer{kind: '{', isError: true}},
		"error of nothing":         {`{"id":1,"error":{}}`, answer{kind: '{'}},
		"error of an empty list":   {`{"error":[ ],"id":1}`, answer{kind: '{'}},
		"error of an empty one":    {`{"id":1,"error":[{}]}`, answer{kind: '{', isError: true}},
		"nothing but no error":     {`{"error":{}}`, answer{kind: '{', isError: true}},
		"nothing but error null":   {`{"error":null}`, answer{kind: '{', isError: true}},
		"error below":              {`{"data":{"error":{"code":1}},"list":[{"error":"x"}]}`, answer{kind: '{'}},
		"older error object":       {`{"object":"error","message":"m","type":"t","code":400}`, answer{kind: '{', isError: true, errorMessage: "m", errorType: "t", errorCode: "400"}},
		"error text beside a code": {`{"code":"c","error":"m"}`, answer{kind: '{', isError: true, errorMessage: "m", errorCode: "c"}},
		"error text of TGI":        {`{"error":"m","error_type":"t"}`, answer{kind: '{', isError: true, errorMessage: "m", errorType: "t"}},
		"error of Google":          {`{"error":{"code":400,"message":"m","status":"S"}}`, answer{kind: '{', isError: true, errorMessage: "m", errorType: "S", errorCode: "400"}},
		"error of Anthropic":       {`{"type":"error","error":{"type":"t","message":"m"}}`, answer{kind: '{', isError: true, errorMessage: "m", errorType: "t"}},
		"the same, turned round":   {`{"error":{"type":"t","message":"m"},"type":"error","message":"n","code":1}`, answer{kind: '{', isError: true, errorMessage: "m", errorType: "t", errorCode: "1"}},
		"detail":                   {`{"detail":"m"}`, answer{kind: '{', errorMessage: "m"}},
		"detail in a list":         {`{"detail":[{"msg":"m"}]}`, answer{kind: '{'}},
		"finish_reason error":      {`{"choices":[{},{"finish_reason":"error"}]}`, answer{kind: '{', failure: "error"}},
		"finish_reason abort":      {`{"choices":[{"finish_reason":"abort"}]}`, answer{kind: '{', failure: "abort"}},
		"finish_reason null":       {`{"choices":[{"finish_reason":null,"x":"error"}]}`, answer{kind: '{'}},
		"finish_reason elsewhere":  {`{"choices":[{"a":{"finish_reason":"error"}}],"finish_reason":"error"}`, answer{kind: '{'}},
		"a name with escapes":      {`{"\u0065rror":1}`, answer{kind: '{'}},
		"a name cut short":         {`{"erro":1,"errors":2,"":3}`, answer{kind: '{'}},
		"an array":                 {`[{"error":1}]`, answer{kind: '['}},
		"an empty array":           {`[]`, answer{kind: '[', empty: true}},
		"an empty object":          {`{}`, answer{kind: '{', empty: true}},
		"a string":                 {`"error"`, answer{kind: '"', empty: true}},
		"a string in a wanted one": {`{"object":["response"],"object2":"error"}`, answer{kind: '{'}},
	}
	for name, tc := range cases {
		for _, piece := range []int{1, 2, 5, len(tc.text)} {
			s, ok := scan(tc.text, piece)
			if !ok {
				t.Fatalf("%s: not JSON", name)
			}
			if d := cmp.Diff(tc.want, s.found, cmp.AllowUnexported(answer{})); d != "" {
				t.Errorf("%s in pieces of %d (-want +got):\n%s", name, piece, d)
			}
		}
	}
}

func TestScannerCutsLongMessagesAtACharacter(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"a", "é", "€", `\n`, `\u20ac`, `\ud83d\ude00`} {
		s, ok := scan(`{"error":{"message":"`+strings.Repeat(unit, 2000)+`"}}`, 7)
		if !ok {
			t.Fatalf("%s: not JSON", unit)
		}
		var one string
		if err := json.Unmarshal([]byte(`"`+unit+`"`), &one); err != nil {
			t.Fatal(err)
		}
		got := s.found.errorMessage
		if want := strings.Repeat(one, maxText/len(unit)); got != want {
			t.Errorf("%s: got %d bytes ending in %q, want %d", unit, len(got), got[max(0, len(got)-8):], len(want))
		}
	}
}

func TestScannerIsCleanAfterReset(t *testing.T) {
	t.Parallel()
	s, _ := scan(`{"error":{"code":"`, 100)
	s.reset()
	if ok := s.write([]byte(`{"a":1}`)) && s.close(); !ok || s.found != (answer{kind: '{'}) {
		t.Errorf("ok %v, found %+v", ok, s.found)
	}
}

func BenchmarkScanner(b *testing.B) {
	text := []byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1770000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat(`The quick brown fox jumps over the lazy dog.\n`, 14) + `"},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30,"prompt_tokens_details":{"cached_tokens":4}}}`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	s := new(scanner)
	for b.Loop() {
		s.reset()
		if !s.write(text) || !s.close() {
			b.Fatal("not JSON")
		}
	}
}
