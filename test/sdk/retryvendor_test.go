package sdk_test

import (
	"bytes"
	"testing"

	"github.com/openai/openai-go/v3"

	"batchd/test/harness"
)

// Novita's lines have no method and url, so that only Novita's dialect can read them, whoever asks for the retry.
func TestRetryReadsLinesAsTheVendorOfTheFirstBatchDid(t *testing.T) {
	t.Parallel()
	server := harness.ServeDir(t, t.TempDir(), "--no-auth", "--upstream", harness.Simulate(t, refusingOnce))
	novita, other := newUser(server+prefixes["novita"]), newUser(server+"/v1")
	input := bytes.ReplaceAll(bareRequests(3), []byte(`"Say 1.`), []byte(`"Refuse me 1.`))
	first := novita.waitFor(t, novita.mustCreate(t, novita.mustUpload(t, "input.jsonl", input).ID, nil).ID, "COMPLETED")
	again := other.waitFor(t, other.mustRetry(t, first.ID).ID, openai.BatchStatusCompleted)
	if again.RequestCounts.Completed != 1 {
		t.Errorf("unexpected batch: %s", again.RawJSON())
	}
}
