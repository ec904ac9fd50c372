package novita_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/novita"
)

// body is a request's body that every line of these tests may have.
const body = `{"model":"deepseek/deepseek-v3-0324","messages":[]}`

func TestLinesNeedNeitherMethodNorURL(t *testing.T) {
	t.Parallel()
	d := novita.New(novita.Options{})
	for name, raw := range map[string]string{
		"of the guide":          `{"custom_id":"a","body":` + body + `}`,
		"of OpenAI":             `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":` + body + `}`,
		"url with the prefix":   `{"custom_id":"a","url":"/openai/v1/chat/completions","body":` + body + `}`,
		"method alone":          `{"custom_id":"a","method":"POST","body":` + body + `}`,
		"null is as good":       `{"custom_id":"a","method":null,"url":null,"body":` + body + `}`,
		"members of no dialect": `{"priority":1,"custom_id":"a","body":` + body + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line, err := d.ParseLine([]byte(raw), dialect.LineRules{Endpoint: chat})
			if err != nil {
				t.Fatal(err)
			}
			if string(line.CustomID) != "a" || string(line.Model) != "deepseek/deepseek-v3-0324" {
				t.Errorf("got %q of %q", line.CustomID, line.Model)
			}
			if got := raw[line.BodyStart : line.BodyStart+line.BodyLength]; got != body {
				t.Errorf("body %s", got)
			}
		})
	}
}

func TestBadLinesAreRefused(t *testing.T) {
	t.Parallel()
	d := novita.New(novita.Options{})
	for name, tc := range map[string]struct{ raw, param string }{
		"not JSON":        {`{`, ""},
		"no custom_id":    {`{"body":` + body + `}`, "custom_id"},
		"no body":         {`{"custom_id":"a"}`, "body"},
		"other method":    {`{"custom_id":"a","method":"GET","body":` + body + `}`, "method"},
		"method no text":  {`{"custom_id":"a","method":1,"body":` + body + `}`, "method"},
		"other url":       {`{"custom_id":"a","url":"/v1/completions","body":` + body + `}`, "url"},
		"url of no place": {`{"custom_id":"a","url":"/v3/openai/v1/chat/completions","body":` + body + `}`, "url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := d.ParseLine([]byte(tc.raw), dialect.LineRules{Endpoint: chat})
			var fault *dialect.LineFault
			if !errors.As(err, &fault) || fault.Param != tc.param || fault.Code == "" || fault.Message == "" {
				t.Errorf("got %#v, want a fault of %q", err, tc.param)
			}
		})
	}
}

func TestFaultsBetweenLinesAreThoseOfOpenAI(t *testing.T) {
	t.Parallel()
	d := novita.New(novita.Options{})
	for want, got := range map[string]batch.LineError{
		"duplicate_custom_id":  d.DuplicateCustomID("a", 1),
		"mismatched_model":     d.MismatchedModel("m"),
		"model_not_found":      d.ModelNotFound("m"),
		"line_too_long":        d.LineTooLong(1),
		"invalid_json_line":    d.BlankLine(),
		"too_many_tasks":       d.TooManyLines(50000),
		"empty_file":           d.EmptyFile(),
		"too_many_models":      d.TooManyModels(1),
		"token_limit_exceeded": d.TokenLimit("m", 1, 1),
		"invalid_request":      d.InputMissing("file_1"),
		"too_many_errors":      d.MoreErrors(200),
	} {
		if got.Code != want || got.Message == "" {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
}

func TestResultLines(t *testing.T) {
	t.Parallel()
	d := novita.New(novita.Options{})
	for name, tc := range map[string]struct {
		result dialect.Result
		body   string
		want   string
	}{
		"answer": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Status: 200, RequestID: "up-7"},
			`{"x": 1}`,
			`{"custom_id":"a","error":null,"id":"batch_req_task_1","response":{"body":{"x": 1},"request_id":"a","status_code":200}}`,
		},
		"refusal looks like an answer": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Status: 422},
			`"nonsense"`,
			`{"custom_id":"a","error":null,"id":"batch_req_task_1","response":{"body":"nonsense","request_id":"a","status_code":422}}`,
		},
		"custom_id with everything": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("\"\\\x00\r\n\u2028<é😀"), Status: 200},
			`1`,
			`{"custom_id":"\"\\\u0000\r\n\u2028<é😀","error":null,"id":"batch_req_task_1","response":{"body":1,"request_id":"\"\\\u0000\r\n\u2028<é😀","status_code":200}}`,
		},
		"custom_id lost": {
			dialect.Result{ID: "batch_req_1", Status: 200},
			`{}`,
			`{"custom_id":null,"error":null,"id":"batch_req_task_1","response":{"body":{},"request_id":"","status_code":200}}`,
		},
		"id of another style": {
			dialect.Result{ID: "x", CustomID: []byte("a"), Status: 200},
			`{}`,
			`{"custom_id":"a","error":null,"id":"batch_req_task_x","response":{"body":{},"request_id":"a","status_code":200}}`,
		},
		"expired": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Code: batch.CodeExpired},
			"",
			`{"custom_id":"a","error":{"code":"batch_expired","message":"This request could not be executed before the completion window expired."},"id":"batch_req_task_1","response":null}`,
		},
		"cancelled": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Code: batch.CodeCancelled},
			"",
			`{"custom_id":"a","error":{"code":"batch_cancelled","message":"This request was not executed because the batch was cancelled."},"id":"batch_req_task_1","response":null}`,
		},
		"no answer, with its reason": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Code: batch.CodeRequestTimeout, Message: "no answer in 10m\nat all"},
			"",
			`{"custom_id":"a","error":{"code":"request_timeout","message":"no answer in 10m\nat all"},"id":"batch_req_task_1","response":null}`,
		},
		"no answer, without a reason": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Code: batch.CodePoisonRequest},
			"",
			`{"custom_id":"a","error":{"code":"poison_request","message":"This request could not be executed: poison_request."},"id":"batch_req_task_1","response":null}`,
		},
		"line unreadable": {
			dialect.Result{ID: "batch_req_1", Code: batch.CodeInputUnreadable, Message: "m"},
			"",
			`{"custom_id":null,"error":{"code":"input_unreadable","message":"m"},"id":"batch_req_task_1","response":null}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := d.ResultFrame(tc.result)
			got := string(before) + tc.body + string(after)
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if !jsontext.Value(got).IsValid() {
				t.Error("not JSON")
			}
		})
	}
}

// FuzzResultFrame puts any JSON into the frame of any custom_id: the line is one JSON object on one line with Novita's
// members in order, the custom_id reads back as it was, and the body stands in it byte for byte.
func FuzzResultFrame(f *testing.F) {
	f.Add([]byte("request-1"), []byte(`{"choices": [1.0, "\u0000"]}`), "0123", 200, "", "")
	f.Add([]byte("\"\\\r\n\x00\u2028"), []byte(`"</script>"`), "", 429, "", "")
	f.Add([]byte(""), []byte(`null`), "ff", 500, "batch_expired", "")
	f.Add([]byte("a"), []byte(`[]`), "ff", 0, "request_timeout", "a\xff\n")
	d := novita.New(novita.Options{})
	f.Fuzz(func(t *testing.T, customID, body []byte, id string, status int, code, reason string) {
		// What a frame is made of: a custom_id that was decoded from JSON, and a body that is JSON on one line.
		if !utf8.Valid(customID) || !jsontext.Value(body).IsValid() || bytes.ContainsAny(body, "\r\n") {
			t.Skip()
		}
		r := dialect.Result{ID: "batch_req_" + id, CustomID: customID, Status: status, Code: batch.Code(code), Message: reason}
		before, after := d.ResultFrame(r)
		answered := code == ""
		if !answered {
			body = nil
			if after != nil {
				t.Fatalf("a line without an answer has %q after it", after)
			}
		}
		line := bytes.Join([][]byte{before, body, after}, nil)
		if bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("several lines: %q", line)
		}
		checkResultLine(t, line, body, r)
	})
}

// checkResultLine fails the test unless line is r's, with the body if it has an answer.
func checkResultLine(t *testing.T, line, body []byte, r dialect.Result) {
	t.Helper()
	object := members(t, line)
	answered := r.Code == ""
	if answered {
		wantFields(t, object, []field{{"custom_id", `"`}, {"error", "n"}, {"id", `"`}, {"response", "{"}})
		response := members(t, object[3].value)
		wantFields(t, response, []field{{"body", `"0{[ntfb`}, {"request_id", `"`}, {"status_code", "0"}})
		if trimmed := bytes.Trim(body, " \t"); !bytes.Equal(response[0].value, trimmed) {
			t.Fatalf("body %q has become %q", trimmed, response[0].value)
		}
		if got := unquoted(t, response[1].value); got != string(r.CustomID) {
			t.Fatalf("request_id %q, want %q", got, r.CustomID)
		}
	} else {
		wantFields(t, object, []field{{"custom_id", `"`}, {"error", "{"}, {"id", `"`}, {"response", "n"}})
		fault := members(t, object[1].value)
		wantFields(t, fault, []field{{"code", `"`}, {"message", `"`}})
		if unquoted(t, fault[1].value) == "" {
			t.Fatal("an error without a message")
		}
	}
	if got := unquoted(t, object[0].value); got != string(r.CustomID) {
		t.Fatalf("custom_id %q, want %q", got, r.CustomID)
	}
	if got := unquoted(t, object[2].value); !strings.HasPrefix(got, "batch_req_task_") {
		t.Fatalf("id %q", got)
	}
}

func unquoted(t *testing.T, v jsontext.Value) string {
	t.Helper()
	raw, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		t.Fatalf("unquote %s: %v", v, err)
	}
	return string(raw)
}

func BenchmarkResultFrame(b *testing.B) {
	d := novita.New(novita.Options{})
	r := dialect.Result{ID: "batch_req_0123456789abcdef", CustomID: []byte("request-000001"), Status: 200}
	b.ReportAllocs()
	for b.Loop() {
		d.ResultFrame(r)
	}
}
