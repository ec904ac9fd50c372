package openai_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

func rules() dialect.CreateRules {
	return dialect.CreateRules{Endpoints: []string{"/v1/a", "/v1/b"}, Windows: []string{"24h", "7d"}}
}

// create returns a good create body with more members.
func create(more string) string {
	return `{"input_file_id":"file-1","endpoint":"/v1/a","completion_window":"24h"` + more + `}`
}

func TestParseCreateBatchTakesWhatIsDocumentedAndWhatMeansNothing(t *testing.T) {
	t.Parallel()
	good := dialect.CreateBatch{InputFileID: "file-1", Endpoint: "/v1/a", Window: "24h"}
	with := func(change func(*dialect.CreateBatch)) dialect.CreateBatch {
		c := good
		change(&c)
		return c
	}
	for name, tc := range map[string]struct {
		body   string
		strict bool
		want   dialect.CreateBatch
	}{
		"least":        {create(""), false, good},
		"nulls":        {create(`,"metadata":null,"output_expires_after":null`), false, good},
		"null unknown": {create(`,"priority":null`), false, good},
		"meaningless":  {create(`,"custom_llm_provider":"openai"`), false, good},
		"key":          {create(`,"idempotency_key":""`), false, with(func(c *dialect.CreateBatch) { c.HasIdempotencyKey = true })},
		"escaped":      {`{"input_file_\u0069d":"file\u002d1","endpoint":"\/v1\/a","completion_window":"24h"}`, false, good},
		"metadata":     {create(`,"metadata": { "b" : "2", "a":"\u0041" }`), false, with(func(c *dialect.CreateBatch) { c.Metadata = []byte(`{"b":"2","a":"\u0041"}`) })},
		"control":      {create(`,"metadata":{"a\tb":"c\u0000\r\nd"}`), false, with(func(c *dialect.CreateBatch) { c.Metadata = []byte(`{"a\tb":"c\u0000\r\nd"}`) })},
		"shortest TTL": {create(`,"output_expires_after":{"anchor":"created_at","seconds":3600}`), false, with(func(c *dialect.CreateBatch) { c.OutputTTLSeconds = 3600 })},
		"longest TTL":  {create(`,"output_expires_after":{"anchor":"created_at","seconds":2592000}`), true, with(func(c *dialect.CreateBatch) { c.OutputTTLSeconds = 2592000 })},
		"strict TTL":   {create(""), true, with(func(c *dialect.CreateBatch) { c.OutputTTLSeconds = 2592000 })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := openai.New(openai.Options{Strict: tc.strict}).ParseCreateBatch([]byte(tc.body), rules())
			if err != nil {
				t.Fatalf("ParseCreateBatch: %v", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("call (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseCreateBatchWordsFaultsAsOpenAIDoes(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	type want = batch.Error
	expiry := func(v string) string { return create(`,"output_expires_after":` + v) }
	for name, tc := range map[string]struct {
		body string
		want want
	}{
		"empty":        {"", want{Message: "The request body is not valid JSON: an object is expected."}},
		"null":         {"null", want{Message: "The request body is not valid JSON: an object is expected."}},
		"trailing":     {create("") + "x", want{Message: "The request body is not valid JSON: an object is expected."}},
		"bad UTF-8":    {create(",\"x\":\"\xff\""), want{Message: "The request body is not valid JSON: an object is expected."}},
		"key twice":    {create(`,"endpoint":"/v1/b"`), want{Message: "The request body is not valid JSON: the key 'endpoint' appears twice."}},
		"no file":      {`{"endpoint":"/v1/a","completion_window":"24h"}`, want{Code: "missing_required_parameter", Param: "input_file_id", Message: "Missing required parameter: 'input_file_id'."}},
		"null window":  {`{"input_file_id":"f","endpoint":"/v1/a","completion_window":null}`, want{Code: "missing_required_parameter", Param: "completion_window", Message: "Missing required parameter: 'completion_window'."}},
		"file a list":  {`{"input_file_id":["f"],"endpoint":"/v1/a","completion_window":"24h"}`, want{Code: "invalid_type", Param: "input_file_id", Message: "Invalid type for 'input_file_id': expected a string, but got an array instead."}},
		"endpoint":     {strings.Replace(create(""), "/v1/a", "/v1/x", 1), want{Code: "invalid_value", Param: "endpoint", Message: "Invalid value: '/v1/x'. Supported values are: '/v1/a' and '/v1/b'."}},
		"window":       {strings.Replace(create(""), "24h", "3h", 1), want{Code: "invalid_value", Param: "completion_window", Message: "Invalid value: '3h'. Supported values are: '24h' and '7d'."}},
		"long window":  {strings.Replace(create(""), "24h", strings.Repeat("é", 5000), 1), want{Code: "invalid_value", Param: "completion_window", Message: "Invalid value: '" + strings.Repeat("é", 100) + "…'. Supported values are: '24h' and '7d'."}},
		"tags":         {create(`,"metadata":{"tags":["a"]}`), want{Code: "invalid_type", Param: "metadata.tags", Message: "Invalid type for 'metadata.tags': expected a string, but got an array instead."}},
		"metadata":     {create(`,"metadata":true`), want{Code: "invalid_type", Param: "metadata", Message: "Invalid type for 'metadata': expected an object, but got a boolean instead."}},
		"value":        {create(`,"metadata":{"k":"` + strings.Repeat("x", 513) + `"}`), want{Code: "string_above_max_length", Param: "metadata.k", Message: "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but got a string with length 513 instead."}},
		"unknown":      {create(`,"priority":{"x":[1,2]},"override_settings":{}`), want{Code: "unknown_parameter", Param: "override_settings", Message: "Unknown parameter: 'override_settings'."}},
		"model":        {create(`,"model":"m"`), want{Code: "unknown_parameter", Param: "model", Message: "Unknown parameter: 'model'. The model of a batch is the one that its lines name; nothing replaces it."}},
		"replace":      {create(`,"replace":{"model":"m"}`), want{Code: "unknown_parameter", Param: "replace", Message: "Unknown parameter: 'replace'. The model of a batch is the one that its lines name; nothing replaces it."}},
		"key a number": {create(`,"idempotency_key":7`), want{Code: "invalid_type", Param: "idempotency_key", Message: "Invalid type for 'idempotency_key': expected a string, but got an integer instead."}},
		"long key":     {create(`,"metadata":{"` + strings.Repeat("é", 65) + `":"a"}`), want{Code: "string_above_max_length", Param: "metadata", Message: "Invalid property name in 'metadata': too long. Expected at most 64 characters, but got 65 instead."}},
		"17 pairs":     {create(`,"metadata":{"a":"","b":"","c":"","d":"","e":"","f":"","g":"","h":"","i":"","j":"","k":"","l":"","m":"","n":"","o":"","p":"","q":""}`), want{Code: "object_above_max_properties", Param: "metadata", Message: "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object with 17 properties instead."}},
		"TTL a word":   {expiry(`"1h"`), want{Code: "invalid_type", Param: "output_expires_after", Message: "Invalid type for 'output_expires_after': expected an object, but got a string instead."}},
		"no anchor":    {expiry(`{"seconds":3600}`), want{Code: "missing_required_parameter", Param: "output_expires_after.anchor", Message: "Missing required parameter: 'output_expires_after.anchor'."}},
		"other anchor": {expiry(`{"anchor":"completed_at","seconds":3600}`), want{Code: "invalid_value", Param: "output_expires_after.anchor", Message: "Invalid value: 'completed_at'. Supported values are: 'created_at'."}},
		"no seconds":   {expiry(`{"anchor":"created_at"}`), want{Code: "missing_required_parameter", Param: "output_expires_after.seconds", Message: "Missing required parameter: 'output_expires_after.seconds'."}},
		"decimal":      {expiry(`{"anchor":"created_at","seconds":3600.5}`), want{Code: "invalid_type", Param: "output_expires_after.seconds", Message: "Invalid type for 'output_expires_after.seconds': expected an integer, but got a decimal instead."}},
		"too short":    {expiry(`{"anchor":"created_at","seconds":3599}`), want{Code: "integer_below_min_value", Param: "output_expires_after.seconds", Message: "Invalid 'output_expires_after.seconds': integer below minimum value. Expected a value >= 3600, but got 3599 instead."}},
		"negative":     {expiry(`{"anchor":"created_at","seconds":-99999999999999999999}`), want{Code: "integer_below_min_value", Param: "output_expires_after.seconds", Message: "Invalid 'output_expires_after.seconds': integer below minimum value. Expected a value >= 3600, but got -99999999999999999999 instead."}},
		"too long":     {expiry(`{"anchor":"created_at","seconds":99999999999999999999}`), want{Code: "integer_above_max_value", Param: "output_expires_after.seconds", Message: "Invalid 'output_expires_after.seconds': integer above maximum value. Expected a value <= 2592000, but got 99999999999999999999 instead."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := d.ParseCreateBatch([]byte(tc.body), rules())
			var got *batch.Error
			if !errors.As(err, &got) {
				t.Fatalf("ParseCreateBatch: %v, want a fault", err)
			}
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Errorf("fault (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzCreateBatch(f *testing.F) {
	f.Add([]byte(create("")))
	f.Add([]byte(create(`,"metadata":{"a":"\ud83d\ude00"},"output_expires_after":{"anchor":"created_at","seconds":86400}`)))
	f.Add([]byte(`[{"a":1e999}]`))
	f.Add([]byte(create(`,"x":{"a":1,"a":2}`)))
	d := openai.New(openai.Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := rules()
		r.AnyWindow = true
		got, err := d.ParseCreateBatch(body, r)
		if err != nil {
			var fault *batch.Error
			if !errors.As(err, &fault) || fault.Class != batch.Invalid || fault.Message == "" {
				t.Fatalf("not a fault of the client: %v", err)
			}
			return
		}
		if _, err := batch.ParseWindow(got.Window); err != nil || got.InputFileID == "" && got.Endpoint == "" {
			t.Fatalf("accepted %+v", got)
		}
		if got.Metadata != nil && (!jsontext.Value(got.Metadata).IsValid() || got.Metadata[0] != '{') {
			t.Fatalf("metadata %q", got.Metadata)
		}
		if raw := d.Batch(batch.Batch{ID: "b", Endpoint: got.Endpoint, InputFileID: got.InputFileID, Metadata: got.Metadata}); !jsontext.Value(raw).IsValid() {
			t.Fatalf("object %q", raw)
		}
	})
}
