package openai_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

const chat = "/v1/chat/completions"

// chatLine returns a good line with one member of the envelope replaced.
func chatLine(customID string) string {
	return `{"custom_id":` + customID + `,"method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[]}}`
}

func TestParseLineFindsTheExactSpanOfTheBody(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	for name, tc := range map[string]struct{ line, customID, model, body string }{
		"compact":            {`{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[]}}`, "a", "m", `{"model":"m","messages":[]}`},
		"body first":         {`{"body":{"model":"m","messages":[]},"custom_id":"a","method":"POST","url":"/v1/chat/completions"}`, "a", "m", `{"model":"m","messages":[]}`},
		"spaces everywhere":  {" { \"custom_id\" : \"a\" , \"method\":\"POST\",\"url\":\"/v1/chat/completions\", \"body\" :\t{ \"model\" : \"m\" , \"messages\" : [ ] } }  \r", "a", "m", `{ "model" : "m" , "messages" : [ ] }`},
		"escapes":            {`{"custom_\u0069d":"a\n\u0000é\ud83d\ude00","method":"PO\u0053T","url":"\/v1\/chat\/completions","body":{"mod\u0065l":"m\/1","messages":[]}}`, "a\n\x00é😀", "m/1", `{"mod\u0065l":"m\/1","messages":[]}`},
		"unknown members":    {`{"x":{"body":{"model":"no"}},"custom_id":"a","method":"POST","url":"/v1/chat/completions","priority":[1,2],"body":{"model":"m","messages":[]},"z":null}`, "a", "m", `{"model":"m","messages":[]}`},
		"numbers as written": {`{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[],"seed":123456789012345678901234567890,"t":1e999,"z":-0.00}}`, "a", "m", `{"model":"m","messages":[],"seed":123456789012345678901234567890,"t":1e999,"z":-0.00}`},
		"stream false":       {`{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"stream":false,"model":"m","messages":[]}}`, "a", "m", `{"stream":false,"model":"m","messages":[]}`},
		"line separator":     {"{\"custom_id\":\"a\u2028b\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"m\",\"messages\":[]}}", "a\u2028b", "m", `{"model":"m","messages":[]}`},
		"bad id as data":     {chatLine(`"../../x"`), "../../x", "m", `{"model":"m","messages":[]}`},
		"header in id":       {chatLine(`"a\r\nX: y"`), "a\r\nX: y", "m", `{"model":"m","messages":[]}`},
		"longest id":         {chatLine(`"` + strings.Repeat("é", 512) + `"`), strings.Repeat("é", 512), "m", `{"model":"m","messages":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := []byte(tc.line)
			got, err := d.ParseLine(raw, dialect.LineRules{Endpoint: chat})
			if err != nil {
				t.Fatalf("ParseLine: %v", err)
			}
			if string(got.CustomID) != tc.customID || string(got.Model) != tc.model {
				t.Errorf("custom_id %q, model %q; want %q, %q", got.CustomID, got.Model, tc.customID, tc.model)
			}
			if body := string(raw[got.BodyStart : got.BodyStart+got.BodyLength]); body != tc.body {
				t.Errorf("body %s, want %s", body, tc.body)
			}
			if string(raw) != tc.line {
				t.Errorf("the line was changed to %q", raw)
			}
		})
	}
}

// lineFaults are lines for the chat endpoint with the one fault that is reported for each.
func lineFaults() map[string]struct {
	line string
	want batch.LineError
} {
	type row = struct {
		line string
		want batch.LineError
	}
	fault := func(code, param, message string) batch.LineError {
		return batch.LineError{Code: code, Param: param, Message: message}
	}
	const notJSON = "This line is not parseable as valid JSON."
	invalid := func(why string) batch.LineError { return fault("invalid_json_line", "", notJSON+" "+why) }
	badURL := func(shown string) batch.LineError {
		return fault("invalid_url", "url", "The URL provided for this request does not match the batch endpoint. It is '"+shown+"', and the endpoint is '/v1/chat/completions'.")
	}
	badMethod := fault("invalid_request", "method", "The method of a request in a batch must be 'POST'.")
	wantString := func(param, got string) batch.LineError {
		return fault("invalid_request", param, "Invalid type for '"+param+"': expected a string, but got "+got+" instead.")
	}
	missing := func(key string) batch.LineError {
		return fault("missing_required_parameter", key, "Missing required parameter: '"+key+"'.")
	}
	noModel := fault("invalid_request", "body.model", "Model parameter is required.")
	line := func(method, url, body string) string {
		return `{"custom_id":"a","method":` + method + `,"url":` + url + `,"body":` + body + `}`
	}
	post, url := `"POST"`, `"/v1/chat/completions"`
	return map[string]row{
		"empty line":              {"", invalid(`It is blank.`)},
		"not json":                {"{]", invalid(`In it, the JSON is malformed, at byte 2, near '{]'.`)},
		"cut short":               {`{"custom_id":"a","method":"POST"`, invalid(`In it, the object does not end`)},
		"not an object":           {`["custom_id"]`, invalid(`It must be a JSON object, and is an array.`)},
		"a string":                {`"x"`, invalid(`It must be a JSON object, and is a string.`)},
		"two objects":             {chatLine(`"a"`) + chatLine(`"b"`), invalid(`In it, a second value follows the object, at byte 98`)},
		"lone carriage return":    {chatLine(`"a"`) + "\r" + chatLine(`"b"`), invalid(`In it, a second value follows behind a lone carriage return, at byte 99`)},
		"byte order mark inside":  {"\ufeff" + chatLine(`"a"`), invalid(`In it, a byte order mark stands where none may`)},
		"raw NUL":                 {chatLine("\"a\x00b\""), invalid(`In it, there are NULs, at byte 16 in custom_id`)},
		"invalid UTF-8":           {chatLine("\"\xff\""), invalid(`In it, 0xFF is not UTF-8, at byte 15 in custom_id`)},
		"overlong UTF-8":          {chatLine("\"\xc0\xaf\""), invalid(`In it, 0xC0 is not UTF-8, at byte 15 in custom_id`)},
		"lone surrogate":          {chatLine(`"\ud800"`), invalid(`In it, \ud800 is a lone surrogate`)},
		"NaN":                     {line(post, url, `{"model":"m","messages":[],"x":NaN}`), invalid(`In it, NaN is no JSON value (null is one), at byte 101 in body.x`)},
		"duplicate in envelope":   {`{"custom_id":"a","custom_id":"b"}`, invalid(`In it, the key 'custom_id' appears twice, at byte `)},
		"duplicate model":         {line(post, url, `{"model":"m","model":"n","messages":[]}`), invalid(`In it, the key 'model' appears twice, at byte `)},
		"duplicate by an escape":  {line(post, url, `{"model":"m","mode\u006c":"n","messages":[]}`), invalid(`In it, the key 'model' appears twice, at byte `)},
		"duplicate far inside":    {line(post, url, `{"model":"m","messages":[{"a":{"b":1,"b":2}}]}`), invalid(`In it, the key 'b' appears twice, at byte `)},
		"depth of 10,000":         {line(post, url, `{"model":"m","messages":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)+`}`), invalid(`It is nested too deeply, at byte `)},
		"custom_id missing":       {`{"method":"POST","url":"/v1/chat/completions","body":{}}`, missing("custom_id")},
		"everything missing":      {`{}`, missing("custom_id")},
		"method missing":          {`{"custom_id":"a","url":"/v1/chat/completions","body":{}}`, missing("method")},
		"url missing":             {`{"custom_id":"a","method":"POST","body":{}}`, missing("url")},
		"body missing":            {`{"custom_id":"a","method":"POST","url":"/v1/chat/completions"}`, missing("body")},
		"body null":               {line(post, url, "null"), missing("body")},
		"missing before wrong":    {`{"custom_id":7,"method":"GET","body":{}}`, missing("url")},
		"custom_id empty":         {chatLine(`""`), fault("invalid_request", "custom_id", "Invalid 'custom_id': the string is empty.")},
		"custom_id a number":      {chatLine(`17`), wantString("custom_id", "an integer")},
		"custom_id a decimal":     {chatLine(`1.5`), wantString("custom_id", "a decimal")},
		"custom_id null":          {chatLine(`null`), wantString("custom_id", "null")},
		"custom_id of 513":        {chatLine(`"` + strings.Repeat("é", 513) + `"`), fault("invalid_request", "custom_id", "Invalid 'custom_id': string too long. It may have at most 512 characters.")},
		"method GET":              {line(`"GET"`, url, `{}`), badMethod},
		"method in lower case":    {line(`"post"`, url, `{}`), badMethod},
		"method not a string":     {line(`true`, url, `{}`), badMethod},
		"url of another endpoint": {line(post, `"/v1/embeddings"`, `{}`), badURL("/v1/embeddings")},
		"url with a host":         {line(post, `"http://x/v1/chat/completions"`, `{}`), badURL("http://x/v1/chat/completions")},
		"url not a string":        {line(post, `[]`, `{}`), badURL("[]")},
		"body a string":           {line(post, url, `"{}"`), fault("invalid_request", "body", "The body of a request in a batch must be a JSON object.")},
		"body an array":           {line(post, url, `[]`), fault("invalid_request", "body", "The body of a request in a batch must be a JSON object.")},
		"stream":                  {line(post, url, `{"stream":true,"model":"m","messages":[]}`), fault("streaming_unsupported", "body.stream", "Chat Completions: Streaming is not supported in the Batch API.")},
		"model missing":           {line(post, url, `{"messages":[]}`), noModel},
		"model null":              {line(post, url, `{"model":null,"messages":[]}`), noModel},
		"model empty":             {line(post, url, `{"model":"","messages":[]}`), fault("invalid_request", "body.model", "Invalid 'body.model': the string is empty.")},
		"model an object":         {line(post, url, `{"model":{},"messages":[]}`), wantString("body.model", "an object")},
		"messages missing":        {line(post, url, `{"model":"m"}`), fault("invalid_request", "body.messages", "Messages parameter is required.")},
	}
}

func TestParseLineReportsOneFault(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	for name, tc := range lineFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := d.ParseLine([]byte(tc.line), dialect.LineRules{Endpoint: chat})
			var fault *dialect.LineFault
			if !errors.As(err, &fault) {
				t.Fatalf("ParseLine: %v, want a fault", err)
			}
			if got := &fault.LineError; got.Code == "invalid_json_line" {
				// The place and what stands there are the words of another package, which has tests of them.
				got.Message = got.Message[:min(len(got.Message), len(tc.want.Message))]
			}
			if diff := cmp.Diff(tc.want, fault.LineError); diff != "" {
				t.Errorf("fault (-want +got):\n%s", diff)
			}
		})
	}
}

// The cases of hostile custom ids (I09), refused requests (I10) and odd JSON (I11).
func TestI09I10I11BadLines(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	parse := func(line string) string {
		_, err := d.ParseLine([]byte(line), dialect.LineRules{Endpoint: chat})
		var fault *dialect.LineFault
		if errors.As(err, &fault) {
			return fault.Code + " " + fault.Param
		}
		return "ok"
	}
	body := func(members string) string {
		return `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{` + members + `}}`
	}
	good := `"model":"m","messages":[]`
	for id, cases := range map[string]map[string]string{
		"I09": {
			`{"method":"POST"}`: "missing_required_parameter custom_id",
			chatLine(`""`):      "invalid_request custom_id", chatLine(`1`): "invalid_request custom_id",
			chatLine(`"` + strings.Repeat("x", 10<<10) + `"`): "invalid_request custom_id",
			chatLine(`"../../x"`):                             "ok", chatLine(`"a\r\nX: y"`): "ok", chatLine(`"😀"`): "ok",
		},
		"I10": {
			strings.Replace(chatLine(`"a"`), chat, "/v1/embeddings", 1): "invalid_url url",
			strings.Replace(chatLine(`"a"`), "POST", "GET", 1):          "invalid_request method",
			body(`"stream":true,` + good):                               "streaming_unsupported body.stream",
		},
		"I11": {
			body(`"model":"x",` + good):          "invalid_json_line ",
			body(good + `,"x":NaN`):              "invalid_json_line ",
			body(good + `,"x":1e999`):            "ok",
			body(good + `,"x":9007199254740993`): "ok",
			body(good + `,"x":` + strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)): "invalid_json_line ",
		},
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			for line, want := range cases {
				if got := parse(line); got != want {
					t.Errorf("%.120s: %s, want %s", line, got, want)
				}
			}
		})
	}
}

func TestParseLineByEndpoint(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	for endpoint, tc := range map[string]struct{ body, want string }{
		"/v1/embeddings":         {`{"input":"x"}`, "Model parameter is required."},
		"/v1/responses":          {`{"model":"m","stream":true}`, "Streaming is not supported in the Batch API."},
		"/v1/completions":        {`{"model":"m"}`, ""},
		"/v1/moderations":        {`{"input":"x"}`, ""},
		"/v1/images/generations": {`{"prompt":"x"}`, ""},
		"/v1/images/edits":       {`{"model":null}`, ""},
		"/v1/videos":             {`{}`, ""},
		"/v1/rerank":             {`{}`, "Model parameter is required."},
	} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			line := fmt.Sprintf(`{"custom_id":"a","method":"POST","url":%q,"body":%s}`, endpoint, tc.body)
			got, err := d.ParseLine([]byte(line), dialect.LineRules{Endpoint: endpoint})
			if tc.want != "" {
				if err == nil || err.Error() != tc.want {
					t.Fatalf("ParseLine: %v, want %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatalf("ParseLine: %v", err)
			}
			if want := strings.Contains(tc.body, `"m"`); want != (len(got.Model) > 0) {
				t.Errorf("model %q", got.Model)
			}
		})
	}
}

func TestParseLineBoundsDepth(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	line := `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"[[[[\"[[","messages":[[]]}}`
	for depth, ok := range map[int]bool{0: true, 3: false, 4: true, 5: true} {
		_, err := d.ParseLine([]byte(line), dialect.LineRules{Endpoint: chat, MaxDepth: depth})
		if (err == nil) != ok {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
}

func TestParseLineKeepsDecodersApart(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	for i := range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for j := range 200 {
				id := fmt.Sprintf("%d-%d", i, j)
				if j%3 == 0 {
					_, _ = d.ParseLine([]byte(`{"custom_id":[[[`), dialect.LineRules{Endpoint: chat})
				}
				got, err := d.ParseLine([]byte(chatLine(`"`+id+`"`)), dialect.LineRules{Endpoint: chat})
				if err != nil || string(got.CustomID) != id {
					t.Errorf("line %s: %q, %v", id, got.CustomID, err)
				}
			}
		})
	}
}

func FuzzParseLine(f *testing.F) {
	for _, tc := range lineFaults() {
		if len(tc.line) < 2000 {
			f.Add([]byte(tc.line))
		}
	}
	f.Add([]byte(chatLine(`"a\u0000\ud83d\ude00"`)))
	f.Add([]byte(` {"body" : {"messages":[] , "model":"m\/"} ,"url":"\/v1/chat/completions","method":"POST","custom_id":"x"} `))
	d := openai.New(openai.Options{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		line, err := d.ParseLine(raw, dialect.LineRules{Endpoint: chat})
		if !bytes.Equal(raw, before) {
			t.Fatalf("the line was changed")
		}
		if err != nil {
			var fault *dialect.LineFault
			if !errors.As(err, &fault) || fault.Code == "" || fault.Message == "" || fault.Line != 0 {
				t.Fatalf("not a proper fault: %#v", err)
			}
			return
		}
		body := jsontext.Value(raw[line.BodyStart : line.BodyStart+line.BodyLength])
		if body[0] != '{' || body[len(body)-1] != '}' || !body.IsValid() {
			t.Fatalf("the span is no object: %q", body)
		}
		if len(line.CustomID) == 0 || len(line.Model) == 0 {
			t.Fatalf("custom_id %q, model %q", line.CustomID, line.Model)
		}
		before2, after := d.ResultFrame(dialect.Result{ID: "batch_req_1", CustomID: line.CustomID, Status: 200})
		if framed := jsontext.Value(string(before2) + string(body) + string(after)); !framed.IsValid() || bytes.ContainsAny(before2, "\r\n") {
			t.Fatalf("the framed line is not one line of JSON: %q", framed)
		}
	})
}

func BenchmarkParseLine(b *testing.B) {
	d := openai.New(openai.Options{})
	for _, size := range []int{100, 1000, 100_000} {
		line := []byte(`{"custom_id":"request-000001","method":"POST","url":"/v1/chat/completions","body":{"model":"qwen-small","messages":[{"role":"system","content":"You are terse."},{"role":"user","content":"` +
			strings.Repeat("lorem ipsum ", size/12) + `"}],"temperature":0.7,"max_tokens":100}}`)
		b.Run(fmt.Sprintf("content=%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.ParseLine(line, dialect.LineRules{Endpoint: chat}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
