package openai_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

func TestStatusWordsMeanTheStatesTheyAreShownFor(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	for _, s := range batch.Statuses() {
		got, err := d.ParseStatus(string(s))
		if diff := cmp.Diff([]batch.Status{s}, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", s, err, diff)
		}
	}
	for _, word := range []string{"", "COMPLETED", "canceled", "done", "completed "} {
		_, err := d.ParseStatus(word)
		want := &batch.Error{Param: "status", Code: "invalid_value", Message: "Invalid value: '" + word + "'. Supported values are: " +
			"'validating', 'in_progress', 'finalizing', 'completed', 'failed', 'expired', 'cancelling', and 'cancelled'."}
		if diff := cmp.Diff(want, err); diff != "" {
			t.Errorf("%q (-want +got):\n%s", word, diff)
		}
	}
}

func TestRetryTakesTheOldWindowUnlessOneIsNamed(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{Variant: openai.Variant{DefaultWindow: "48h"}})
	for body, want := range map[string]string{
		"": "", " \r\n": "", "{}": "", `{"completion_window":null}`: "", `{"completion_window":"7d","input_file_id":1}`: "7d",
	} {
		got, err := d.ParseRetryBatch([]byte(body), rules())
		if err != nil || got != (dialect.RetryBatch{Window: want}) {
			t.Errorf("%q: %+v, %v; want window %q", body, got, err, want)
		}
	}
	for body, param := range map[string]string{
		"null": "", "[]": "", "{": "", `{"a":1,"a":2}`: "",
		`{"completion_window":7}`: "completion_window", `{"completion_window":"8d"}`: "completion_window",
	} {
		_, err := d.ParseRetryBatch([]byte(body), rules())
		var fault *batch.Error
		if !errors.As(err, &fault) || fault.Param != param {
			t.Errorf("%q: %v, want a fault about %q", body, err, param)
		}
	}
}

func TestStrictSpeaksOfNothingThatBatchdAdds(t *testing.T) {
	t.Parallel()
	strict, open := openai.New(openai.Options{Strict: true}), openai.New(openai.Options{})
	if strict.Extensions() || !open.Extensions() {
		t.Errorf("extensions: strict %v, otherwise %v", strict.Extensions(), open.Extensions())
	}
	b := finished()
	b.ContinuedFrom = "batch_0"
	if got := string(strict.Batch(b)); got != finishedJSON {
		t.Errorf("strict: %s", got)
	}
	want := finishedJSON[:len(finishedJSON)-1] + `,"continued_from":"batch_0"}`
	if got := string(open.Batch(b)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, event := range batch.Events() {
		if !strict.Announces(event) {
			t.Errorf("%s is documented", event)
		}
	}
}

func TestCallbacksAreTakenUnlessStrict(t *testing.T) {
	t.Parallel()
	body := []byte(create(`,"callback_url":"https://example.org/done"`))
	got, err := openai.New(openai.Options{}).ParseCreateBatch(body, rules())
	if err != nil || got.CallbackURL != "https://example.org/done" {
		t.Errorf("%+v, %v", got, err)
	}
	var fault *batch.Error
	if _, err = openai.New(openai.Options{Strict: true}).ParseCreateBatch(body, rules()); !errors.As(err, &fault) || fault.Param != "callback_url" {
		t.Errorf("strict: %v", err)
	}
}
