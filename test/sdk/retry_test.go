package sdk_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"batchd/test/harness"
)

// refusingOnce makes the simulated engine refuse what asks for it the first time, and only then.
const refusingOnce = `{"rules": [{"match": {"contains": "Refuse me", "attempts": 1}, "action": {"status": 400}}]}`

func TestRetryOfFailedLinesAtEachPrefix(t *testing.T) {
	t.Parallel()
	server := harness.ServeDir(t, t.TempDir(), "--no-auth", "--upstream", harness.Simulate(t, refusingOnce))
	for vendor, tc := range map[string]struct {
		prefix    string
		input     []byte
		completed openai.BatchStatus
	}{
		"openai":     {"/v1", requests(lineCount), openai.BatchStatusCompleted},
		"novita":     {prefixes["novita"], bareRequests(lineCount), "COMPLETED"},
		"neosantara": {prefixes["neosantara"], requests(lineCount), openai.BatchStatusCompleted},
	} {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			u := newUser(server + tc.prefix)
			// The engine knows a request again by its body, so that each vendor has bodies of its own.
			input := bytes.ReplaceAll(tc.input, []byte(`"Say 3.`), []byte(`"Refuse me, `+vendor+` 3.`))
			input = bytes.ReplaceAll(input, []byte(`"Say 7.`), []byte(`"Refuse me, `+vendor+` 7.`))
			first := u.waitFor(t, u.mustCreate(t, u.mustUpload(t, "input.jsonl", input).ID, nil).ID, tc.completed)
			if first.RequestCounts.Failed != 2 || first.ErrorFileID == "" || strings.Contains(first.RawJSON(), "continued_from") {
				t.Fatalf("unexpected batch: %s", first.RawJSON())
			}
			again := u.mustRetry(t, first.ID)
			if continuedFrom(t, again) != first.ID {
				t.Errorf("unexpected batch: %s", again.RawJSON())
			}
			again = u.waitFor(t, again.ID, tc.completed)
			counts := again.RequestCounts
			if counts.Total != 2 || counts.Completed != 2 || again.ErrorFileID != "" || continuedFrom(t, again) != first.ID {
				t.Errorf("unexpected batch: %s", again.RawJSON())
			}
			results := resultsIn(t, u.mustRead(t, again.OutputFileID))
			if len(results) != 2 || results[0].CustomID != "request-3" || results[1].CustomID != "request-7" {
				t.Errorf("unexpected results: %+v", results)
			}
			sent := 0
			err := u.client.Post(t.Context(), "batches/"+again.ID+"/retry", nil, nil, counting(&sent))
			wantError(t, err, fault{status: http.StatusConflict, code: "nothing_to_retry"})
			if sent != 1 {
				t.Errorf("a refusal that stays was asked for %d times", sent)
			}
		})
	}
}

// mustRetry makes a batch of the lines of an ended one that have no good result. No SDK knows that call, which is ours.
func (u user) mustRetry(t *testing.T, id string) *openai.Batch {
	t.Helper()
	var again openai.Batch
	if err := u.client.Post(t.Context(), "batches/"+id+"/retry", nil, &again); err != nil {
		t.Fatal(err)
	}
	return &again
}

// continuedFrom is the batch whose lines a batch runs again.
func continuedFrom(t *testing.T, batch *openai.Batch) string {
	t.Helper()
	var members struct {
		ContinuedFrom string `json:"continued_from"`
	}
	if err := json.Unmarshal([]byte(batch.RawJSON()), &members); err != nil {
		t.Fatal(err)
	}
	return members.ContinuedFrom
}
