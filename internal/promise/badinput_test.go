//go:build !failpoint

package promise

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// line is one input line with the given custom id and body, both as JSON.
func line(id, body string) string {
	return `{"custom_id":` + id + `,"method":"POST","url":"/v1/chat/completions","body":` + body + "}"
}

// ask is a body that our engine answers.
const ask = `{"model":"m","messages":[{"role":"user","content":"x"}]}`

// TestBadInput sends files with faults. Nothing of a file with one bad line is sent; every bad line is named.
func TestBadInput(t *testing.T) {
	t.Parallel()
	e := newEngine(t, steady(0))
	n := newNode(t, e, 8, "BATCHD_LIMITS_MAX_LINE_BYTES=1MiB")
	n.start()
	a, b := line(`"a"`, ask), line(`"b"`, ask)
	with := func(members string) string { return strings.Replace(ask, `"model"`, members+`,"model"`, 1) }
	const refused = "refused at upload"
	cases := map[string][]struct{ file, want string }{
		"I01": {{"", refused}, {"\n\r\n\n", refused}, {"\ufeff", refused}},
		"I02": {{"\ufeff" + a, "completed"}, {a + "\n\ufeff" + b, "2 invalid_json_line"}},
		"I03": {{a + "\r\n" + b + "\r\n", "completed"}, {a + "\n" + b + "\r" + a, "2 invalid_json_line"}, {line(`"a"`, with("\"user\":\"x\u2028y\"")), "completed"}},
		"I04": {{a + "\n" + b, "completed"}, {a + "  \n" + b + " \t\n", "completed"}},
		"I05": {{a + "\n" + line(`"b"`, with("\"user\":\"\xff\"")), "2 invalid_json_line"}, {a + "\n" + line(`"b"`, with("\"user\":\"\xc0\xaf\"")), "2 invalid_json_line"}, {wideText(a), refused}},
		"I06": {{a + "\n" + strings.Replace(b, "b", "\x00", 1), "2 invalid_json_line"}, {line(`"\u0000"`, ask), "completed"}},
		"I07": {
			{a + "\n" + line(`"b"`, with(`"user":"`+strings.Repeat("x", 5<<20)+`"`)) + "\n" + line(`"c"`, ask), "2 line_too_long"},
			{a + strings.Repeat("\n{}", 5000), "2 missing_required_parameter"},
			{a + "\n" + strings.Repeat("1\n", 5000), "2 invalid_json_line"},
		},
		"I08": {{a + "\n" + many(20_000) + a, "20002 duplicate_custom_id"}},
		"I09": {
			{a + "\n" + strings.Replace(b, `"custom_id":"b",`, "", 1), "2 missing_required_parameter"},
			{line(`""`, ask), "1 invalid_request"},
			{line(`17`, ask), "1 invalid_request"},
			{line(`"`+strings.Repeat("x", 10<<10)+`"`, ask), "1 invalid_request"},
			{line(`"../../x"`, ask), "completed"},
			{line(`"a\r\nX: y"`, ask), "completed"},
			{line(`"🦊"`, ask), "completed"},
		},
		"I10": {
			{a + "\n" + strings.Replace(b, "/chat/completions", "/embeddings", 1), "2 invalid_url"},
			{a + "\n" + strings.Replace(b, "POST", "GET", 1), "2 invalid_request"},
			{a + "\n" + line(`"b"`, with(`"stream":true`)), "2 streaming_unsupported"},
			{line(`"a"`, strings.Replace(ask, `"m"`, `"m3"`, 1)), "completed"},
		},
		"I11": {
			{a + "\n" + line(`"b"`, with(`"model":"m"`)), "2 invalid_json_line"},
			{a + "\n" + line(`"b"`, with(`"x":NaN`)), "2 invalid_json_line"},
			{line(`"a"`, with(`"x":1e999`)), "completed"},
			{line(`"a"`, with(`"x":123456789012345678901234567890`)), "completed"},
			{a + "\n" + line(`"b"`, with(`"x":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000))), "2 invalid_json_line"},
		},
	}
	for id, of := range cases {
		t.Run(id, func(t *testing.T) {
			for _, c := range of {
				if got := n.verdict(t, c.file); got != c.want {
					t.Errorf("%.200q: got %q, want %q", c.file, got, c.want)
				}
			}
		})
	}
}

// verdict is what becomes of a file: how its batch ends, and the first error if it failed.
func (n *node) verdict(t *testing.T, text string) string {
	t.Helper()
	before := n.engine.count()
	uploaded, err := n.uploadText(text)
	if statusOf(err) == http.StatusBadRequest {
		return "refused at upload"
	}
	if err != nil {
		t.Fatal(err)
	}
	created, err := n.create(uploaded.ID, "24h")
	if err != nil {
		t.Fatal(err)
	}
	s := n.watch(created.ID)
	j := s.await(t, endWithin)
	if err := s.finish(); err != nil {
		t.Error(err)
	}
	if j.Status != "failed" {
		return j.Status
	}
	if calls := n.engine.count() - before; calls > 0 || j.RequestCounts.Total != 0 || j.OutputFileID != nil || j.ErrorFileID != nil {
		t.Errorf("%.200q: %d calls and counts %+v for a file that is refused", text, calls, j.RequestCounts)
	}
	if j.Errors == nil || len(j.Errors.Data) == 0 || len(j.Errors.Data) > 101 {
		t.Fatalf("%.200q: errors are %+v", text, j.Errors)
	}
	first := j.Errors.Data[0]
	if first.Line == nil || first.Message == "" {
		return first.Code
	}
	return fmt.Sprintf("%d %s", *first.Line, first.Code)
}

func many(lines int) string {
	var b strings.Builder
	for i := range lines {
		b.WriteString(line(fmt.Sprintf(`"%d"`, i), ask) + "\n")
	}
	return b.String()
}

// TestBodies checks I12: what is sent is the line's body, byte for byte.
func TestBodies(t *testing.T) {
	t.Parallel()
	bodies := []string{
		ask,
		`{ "messages" : [ {"role":"user", "content":"x"} ] , "model":"m" }`,
		`{"z":1,"a":2,"messages":[],"model":"m","big":123456789012345678901234567890,"exp":1E+2,"neg":-0.0,"tiny":1e-400}`,
		`{"model":"m","messages" :[],"escapes":"\u00e9\/\ud83e\udd8a\u0000","plain":"é🦊/","nested":{"b":[1, 2,	3],"a":{}}}`,
		"{\"model\":\"m\",\"messages\":[],\"separator\":\"x\u2028y\",\"html\":\"<&>\"}",
	}
	var mu sync.Mutex
	var got []string
	e := newEngine(t, steady(0))
	e.onBody = func(body []byte) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(body))
	}
	n := newNode(t, e, 8)
	n.start()
	var text strings.Builder
	for i, body := range bodies {
		text.WriteString(line(fmt.Sprintf(`"%d"`, i), body) + "\n")
	}
	t.Run("I12", func(t *testing.T) {
		if verdict := n.verdict(t, text.String()); verdict != "completed" {
			t.Fatal(verdict)
		}
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(got)
		slices.Sort(bodies)
		if !slices.Equal(got, bodies) {
			t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(bodies, "\n"))
		}
	})
}

func (n *node) uploadText(text string) (file, error) {
	return n.upload("input.jsonl", func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

func (in input) text() string {
	var b strings.Builder
	_ = in.write(&b) // a builder takes everything
	return b.String()
}
