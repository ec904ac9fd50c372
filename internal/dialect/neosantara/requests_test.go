package neosantara_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/neosantara"
)

func rules() dialect.CreateRules {
	return dialect.CreateRules{Endpoints: []string{"/v1/chat/completions", "/v1/embeddings", "/v1/responses"}, Windows: []string{"24h", "7d"}}
}

// create returns a create body with more members.
func create(more string) []byte {
	return []byte(`{"input_file_id":"file-1","endpoint":"/v1/embeddings"` + more + `}`)
}

// paramOf returns the parameter that a fault is about, "none" for no error.
func paramOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return "none"
	}
	var fault *batch.Error
	if !errors.As(err, &fault) {
		t.Fatalf("%v is not a fault of the client", err)
	}
	return fault.Param
}

func TestCreateCallsNeedNoWindowAndTakeAnyMetadata(t *testing.T) {
	t.Parallel()
	good := dialect.CreateBatch{InputFileID: "file-1", Endpoint: "/v1/embeddings", Window: "24h"}
	with := func(change func(*dialect.CreateBatch)) dialect.CreateBatch {
		c := good
		change(&c)
		return c
	}
	// fill returns metadata of n bytes.
	fill := func(n int) string { return `{"k":"` + strings.Repeat("x", n-len(`{"k":""}`)) + `"}` }
	for name, tc := range map[string]struct {
		more   string
		strict bool
		want   dialect.CreateBatch
		param  string
	}{
		"least":            {"", false, good, "none"},
		"strict":           {"", true, good, "none"},
		"window":           {`,"completion_window":"7d"`, false, with(func(c *dialect.CreateBatch) { c.Window = "7d" }), "none"},
		"unknown window":   {`,"completion_window":"8d"`, false, good, "completion_window"},
		"metadata":         {`,"metadata": { "a" : [1, null], "b":{"c":true}}`, true, with(func(c *dialect.CreateBatch) { c.Metadata = []byte(`{"a":[1,null],"b":{"c":true}}`) }), "none"},
		"most metadata":    {`,"metadata":` + fill(16<<10), false, with(func(c *dialect.CreateBatch) { c.Metadata = []byte(fill(16 << 10)) }), "none"},
		"too much":         {`,"metadata":` + fill(16<<10+1), false, good, "metadata"},
		"TTL":              {`,"output_expires_after":{"anchor":"created_at","seconds":3600}`, false, with(func(c *dialect.CreateBatch) { c.OutputTTLSeconds = 3600 }), "none"},
		"TTL, strict":      {`,"output_expires_after":{"anchor":"created_at","seconds":3600}`, true, good, "output_expires_after"},
		"callback":         {`,"callback_url":"https://example.org/"`, false, with(func(c *dialect.CreateBatch) { c.CallbackURL = "https://example.org/" }), "none"},
		"callback, strict": {`,"callback_url":"https://example.org/"`, true, good, "callback_url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := neosantara.New(neosantara.Options{Strict: tc.strict}).ParseCreateBatch(create(tc.more), rules())
			if param := paramOf(t, err); param != tc.param {
				t.Fatalf("%v, want a fault about %s", err, tc.param)
			}
			if diff := cmp.Diff(tc.want, got); tc.param == "none" && diff != "" {
				t.Errorf("call (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUploadsAreCheckedForTheVendorsPurposes(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		d := neosantara.New(neosantara.Options{Strict: strict})
		for purpose, want := range map[string]string{
			"batch": "none", "assistants": "none", "fine-tune": "none", "vision": "purpose", "batch_output": "purpose", "": "purpose",
		} {
			got, err := d.CheckUpload(map[string]string{"purpose": purpose}, "in.jsonl")
			if param := paramOf(t, err); param != want {
				t.Errorf("%q: %v", purpose, err)
			}
			if err == nil && got != (dialect.Upload{Purpose: batch.Purpose(purpose), Filename: "in.jsonl"}) {
				t.Errorf("%q: %+v", purpose, got)
			}
		}
		_, err := d.CheckUpload(map[string]string{"purpose": "batch"}, "")
		want := &batch.Error{Param: "file", Code: "missing_file", Message: "Missing required file parameter"}
		if diff := cmp.Diff(want, err); diff != "" {
			t.Errorf("no file (-want +got):\n%s", diff)
		}
	}
}

func TestUploadsMayHaveALifeUnlessStrict(t *testing.T) {
	t.Parallel()
	fields := map[string]string{"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
	got, err := neosantara.New(neosantara.Options{}).CheckUpload(fields, "in.jsonl")
	if err != nil || got.TTLSeconds != 3600 {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = neosantara.New(neosantara.Options{Strict: true}).CheckUpload(fields, "in.jsonl")
	if param := paramOf(t, err); param != "expires_after" {
		t.Errorf("strict: %v", err)
	}
}

func TestStatusWordsMeanTheStatesTheyAreShownFor(t *testing.T) {
	t.Parallel()
	both := []batch.Status{batch.Cancelling, batch.Cancelled}
	for _, spelling := range []string{"cancelled", "canceled"} {
		d := neosantara.New(neosantara.Options{CancelledSpelling: spelling})
		for word, want := range map[string][]batch.Status{
			"validating": {batch.Validating}, "in_progress": {batch.InProgress}, "finalizing": {batch.Finalizing},
			"completed": {batch.Completed}, "failed": {batch.Failed}, "expired": {batch.Expired},
			"cancelled": both, "canceled": both,
		} {
			got, err := d.ParseStatus(word)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", word, err, diff)
			}
		}
		for _, word := range []string{"cancelling", "", "Completed"} {
			_, err := d.ParseStatus(word)
			want := &batch.Error{Param: "status", Code: "invalid_value", Message: "Invalid value: '" + word + "'. Supported values are: " +
				"'validating', 'in_progress', 'finalizing', 'completed', 'failed', 'expired', and '" + spelling + "'."}
			if diff := cmp.Diff(want, err); diff != "" {
				t.Errorf("%q (-want +got):\n%s", word, diff)
			}
		}
	}
}

func TestLinesAreReadAndWrittenAsOpenAIs(t *testing.T) {
	t.Parallel()
	d := neosantara.New(neosantara.Options{})
	line := []byte(`{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"x"}}`)
	got, err := d.ParseLine(line, dialect.LineRules{Endpoint: "/v1/embeddings"})
	if err != nil || string(got.CustomID) != "a" || string(got.Model) != "m" {
		t.Errorf("%+v, %v", got, err)
	}
	bare := []byte(`{"custom_id":"a","body":{"model":"m","input":"x"}}`)
	var fault *dialect.LineFault
	if _, err = d.ParseLine(bare, dialect.LineRules{Endpoint: "/v1/embeddings"}); !errors.As(err, &fault) || fault.Param != "method" {
		t.Errorf("a line without a method: %v", err)
	}
	const want = `{"id":"batch_req_1","custom_id":"a","response":{"status_code":200,"request_id":"r","body":{}},"error":null}`
	before, after := d.ResultFrame(dialect.Result{ID: "batch_req_1", CustomID: []byte("a"), Status: 200, RequestID: "r"})
	if line := string(before) + "{}" + string(after); line != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
}
