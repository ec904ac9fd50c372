package neosantara_test

import (
	"flag"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"batchd/internal/batch"
	"batchd/internal/dialect/dialecttest"
	"batchd/internal/dialect/neosantara"
)

var update = flag.Bool("update", false, "rewrite the golden files with what the dialect renders")

func at(seconds int64) time.Time { return time.Unix(1790000000+seconds, 500) }

// TestTheSampleOfTheListPageComesOutAsItIsPublished renders the two batches of the vendor's sample from their facts.
func TestTheSampleOfTheListPageComesOutAsItIsPublished(t *testing.T) {
	t.Parallel()
	second := func(s int64) time.Time { return time.Unix(s, 0) }
	batches := []batch.Batch{
		{
			ID: "batch-abc123", Endpoint: "/v1/chat/completions", InputFileID: "file-xyz789", Window: "24h",
			Status: batch.Completed, OutputFileID: "file-output-123", ErrorFileID: "file-errors-456",
			CreatedAt: second(1699564800), InProgressAt: second(1699565000), ExpiresAt: second(1699651200),
			FinalizingAt: second(1699568000), CompletedAt: second(1699568500),
			Counts: batch.Counts{Total: 100, Completed: 98, Failed: 2}, Metadata: []byte(`{"project":"data-analysis"}`),
			// Facts that this vendor does not show.
			Model: "m", Usage: batch.Usage{Input: 1, Total: 1}, Version: 3, Remark: "r",
		},
		{
			ID: "batch-def456", Endpoint: "/v1/embeddings", InputFileID: "file-abc999", Window: "24h", Status: batch.InProgress,
			CreatedAt: second(1699550000), InProgressAt: second(1699550200), ExpiresAt: second(1699636400),
			Counts: batch.Counts{Total: 50, Completed: 30},
		},
	}
	want, err := os.ReadFile("testdata/published-list.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, strict := range []bool{false, true} {
		got := neosantara.New(neosantara.Options{Strict: strict}).BatchList(batches, false)
		if diff := cmp.Diff(string(want), string(dialecttest.Indented(t, got))); diff != "" {
			t.Errorf("strict %v (-want +got):\n%s", strict, diff)
		}
	}
}

// states returns a batch in each state that clients can meet, in the order in which it can reach them.
func states() []struct {
	name  string
	batch batch.Batch
} {
	type state = struct {
		name  string
		batch batch.Batch
	}
	validating := batch.Batch{
		ID: "batch-k3v9x2", Endpoint: "/v1/chat/completions", InputFileID: "file-xyz789", Window: "24h",
		Metadata: []byte(`{"run":7,"tags":["é","<&>",null]}`), ContinuedFrom: "batch-j2u8w1",
		Status: batch.Validating, CreatedAt: at(0), ExpiresAt: at(86400),
	}
	failed := validating
	failed.Status, failed.FailedAt, failed.ErrorsTotal = batch.Failed, at(1), 1
	failed.Errors = []batch.LineError{{Code: "invalid_json_line", Message: "This line is not parseable as valid JSON.", Line: 2}}
	running := validating
	running.Status, running.InProgressAt, running.Model = batch.InProgress, at(2), "qwen-small"
	running.Counts, running.Usage = batch.Counts{Total: 100, Completed: 45, Failed: 2}, batch.Usage{Input: 10, Total: 10}
	finalizing := running
	finalizing.Status, finalizing.FinalizingAt, finalizing.Counts = batch.Finalizing, at(50), batch.Counts{Total: 100, Completed: 98, Failed: 2}
	completed := finalizing
	completed.Status, completed.CompletedAt, completed.Metadata, completed.ContinuedFrom = batch.Completed, at(51), nil, ""
	completed.OutputFileID, completed.ErrorFileID = "file-o1", "file-e1"
	expired := running
	expired.Status, expired.Stop, expired.ExpiredAt = batch.Expired, batch.StopExpire, at(86401)
	expired.OutputFileID, expired.ErrorFileID = "file-o1", "file-e1"
	cancelling := running
	cancelling.Status, cancelling.Stop, cancelling.CancellingAt = batch.Cancelling, batch.StopCancel, at(20)
	cancelled := cancelling
	cancelled.Status, cancelled.CancelledAt, cancelled.OutputFileID, cancelled.ErrorFileID = batch.Cancelled, at(80), "file-o1", "file-e1"
	return []state{
		{"validating", validating},
		{"failed", failed},
		{"in progress", running},
		{"finalizing", finalizing},
		{"completed", completed},
		{"expired", expired},
		{"cancelling", cancelling},
		{"cancelled", cancelled},
	}
}

// TestBatchesInEveryState compares the renderings with testdata/states.txtar, where they are indented for reading.
func TestBatchesInEveryState(t *testing.T) {
	t.Parallel()
	d := neosantara.New(neosantara.Options{})
	got := &txtar.Archive{Comment: []byte("A batch in every state, as create and get calls show it, and as a cancel call does where it can.\n\n")}
	for _, s := range states() {
		got.Files = append(got.Files, txtar.File{Name: s.name, Data: dialecttest.Indented(t, d.Batch(s.batch))})
		if s.batch.Stop == batch.StopCancel {
			got.Files = append(got.Files, txtar.File{Name: s.name + ", cancel call", Data: dialecttest.Indented(t, d.CancelledBatch(s.batch))})
		}
	}
	dialecttest.Golden(t, "testdata/states.txtar", got, *update)
}

func TestListedBatchesDifferInOneKey(t *testing.T) {
	t.Parallel()
	d := neosantara.New(neosantara.Options{})
	cancellingAt := regexp.MustCompile(`"cancelling_at":[^,]*,`)
	for _, s := range states() {
		whole := d.Batch(s.batch)
		if !cancellingAt.Match(whole) {
			t.Errorf("%s: no cancelling_at in %s", s.name, whole)
		}
		listed := cancellingAt.ReplaceAll(whole, nil)
		want := `{"object":"list","data":[` + string(listed) + `],"first_id":"batch-k3v9x2","last_id":"batch-k3v9x2","has_more":true}`
		if got := string(d.BatchList([]batch.Batch{s.batch}, true)); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", s.name, got, want)
		}
	}
}
