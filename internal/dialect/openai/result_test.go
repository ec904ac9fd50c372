package openai_test

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

func TestResultLines(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	for name, tc := range map[string]struct {
		result dialect.Result
		body   string
		want   string
	}{
		"answer": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Status: 200, RequestID: "up-7"},
			`{"x": 1}`,
			`{"id":"batch_req_1","custom_id":"a","response":{"status_code":200,"request_id":"up-7","body":{"x": 1}},"error":null}`,
		},
		"refusal looks like an answer": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Status: 422, RequestID: "up-7"},
			`{"error":{}}`,
			`{"id":"batch_req_1","custom_id":"a","response":{"status_code":422,"request_id":"up-7","body":{"error":{}}},"error":null}`,
		},
		"no request id": {
			dialect.Result{ID: "batch_req_1f", CustomID: []byte("a"), Status: 200},
			`""`,
			`{"id":"batch_req_1f","custom_id":"a","response":{"status_code":200,"request_id":"req_1f","body":""},"error":null}`,
		},
		"custom_id with everything": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("\"\\\x00\r\n\u2028<é😀"), Status: 200, RequestID: "a\"\xff"},
			`1`,
			`{"id":"batch_req_1","custom_id":"\"\\\u0000\r\n\u2028<é😀","response":{"status_code":200,"request_id":"a\"` + "\ufffd" + `","body":1},"error":null}`,
		},
		"expired": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Code: batch.CodeExpired},
			"",
			`{"id":"batch_req_1","custom_id":"a","response":null,"error":{"code":"batch_expired","message":"This request could not be executed before the completion window expired."}}`,
		},
		"cancelled": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Code: batch.CodeCancelled},
			"",
			`{"id":"batch_req_1","custom_id":"a","response":null,"error":{"code":"batch_cancelled","message":"This request was not executed because the batch was cancelled."}}`,
		},
		"no answer, with its reason": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Code: batch.CodeRequestTimeout, Message: "no answer in 10m\nat all"},
			"",
			`{"id":"batch_req_1","custom_id":"a","response":null,"error":{"code":"request_timeout","message":"no answer in 10m\nat all"}}`,
		},
		"no answer, without a reason": {
			dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Code: batch.CodePoisonRequest},
			"",
			`{"id":"batch_req_1","custom_id":"a","response":null,"error":{"code":"poison_request","message":"This request could not be executed: poison_request."}}`,
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

func BenchmarkResultFrame(b *testing.B) {
	d := openai.New(openai.Options{})
	r := dialect.Result{ID: "batch_req_0123456789abcdef", CustomID: []byte("request-000001"), Status: 200, RequestID: "chatcmpl-0123456789"}
	b.ReportAllocs()
	for b.Loop() {
		d.ResultFrame(r)
	}
}
