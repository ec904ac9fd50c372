package openai_test

import (
	"bytes"
	"flag"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"batchd/internal/batch"
	"batchd/internal/dialect/dialecttest"
	"batchd/internal/dialect/openai"
)

var update = flag.Bool("update", false, "rewrite the golden files with what the dialect renders")

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
		ID: "batch_6a1f0c2e9b7d4e51a0c3f88d21b4e907", Endpoint: chat, InputFileID: "file-1aB2cD3eF4gH5iJ6kL7mN8", Window: "24h",
		Metadata: []byte(`{"project":"é <&>"}`), ContinuedFrom: "batch_0b1f0c2e9b7d4e51a0c3f88d21b4e907",
		Status: batch.Validating, CreatedAt: at(0), ExpiresAt: at(86400),
	}
	failed := validating
	failed.Status, failed.FailedAt, failed.ErrorsTotal = batch.Failed, at(1), 2
	failed.Errors = []batch.LineError{
		{Code: "missing_required_parameter", Message: "Missing required parameter: 'url'.", Param: "url", Line: 2},
		{Code: "empty_file", Message: "The input file is empty."},
	}
	running := validating
	running.Status, running.InProgressAt, running.Model = batch.InProgress, at(2), "qwen-small"
	running.Counts, running.Usage = batch.Counts{Total: 4, Completed: 1}, batch.Usage{Input: 10, Output: 4, Total: 14}
	late := running
	late.Stop = batch.StopExpire
	finalizing := running
	finalizing.Status, finalizing.FinalizingAt = batch.Finalizing, at(50)
	finalizing.Counts = batch.Counts{Total: 4, Completed: 3, Failed: 1}
	finalizing.Usage = batch.Usage{Input: 30, Cached: 4, Output: 12, Reasoning: 5, Total: 42}
	completed := finalizing
	completed.Status, completed.CompletedAt, completed.Metadata, completed.ContinuedFrom = batch.Completed, at(51), nil, ""
	completed.OutputFileID, completed.ErrorFileID = "file-Out1", "file-Err1"
	refused := completed
	refused.Model, refused.OutputFileID, refused.Counts, refused.Usage = "", "", batch.Counts{Total: 4, Failed: 4}, batch.Usage{}
	expired := late
	expired.Status, expired.ExpiredAt, expired.OutputFileID, expired.ErrorFileID = batch.Expired, at(86401), "file-Out1", "file-Err1"
	cancelling := running
	cancelling.Status, cancelling.Stop, cancelling.CancellingAt = batch.Cancelling, batch.StopCancel, at(20)
	cancelled := cancelling
	cancelled.Status, cancelled.CancelledAt, cancelled.OutputFileID, cancelled.ErrorFileID = batch.Cancelled, at(80), "file-Out1", "file-Err1"
	return []state{
		{"validating", validating},
		{"failed", failed},
		{"in progress", running},
		{"in progress after its window", late},
		{"finalizing", finalizing},
		{"completed", completed},
		{"completed without one good result", refused},
		{"expired", expired},
		{"cancelling", cancelling},
		{"cancelled", cancelled},
	}
}

// TestBatchesInEveryState compares the renderings with testdata/states.txtar, where they are indented for reading.
func TestBatchesInEveryState(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	got := &txtar.Archive{Comment: []byte("A batch in every state, as create, get, cancel and list calls show it.\n\n")}
	for _, s := range states() {
		got.Files = append(got.Files, txtar.File{Name: s.name, Data: dialecttest.Indented(t, d.Batch(s.batch))})
		if list := d.BatchList([]batch.Batch{s.batch}, false); !bytes.Contains(list, d.Batch(s.batch)) {
			t.Errorf("%s: a list shows it otherwise: %s", s.name, list)
		}
		if !bytes.Equal(d.CancelledBatch(s.batch), d.Batch(s.batch)) {
			t.Errorf("%s: a cancel call shows it otherwise", s.name)
		}
	}
	dialecttest.Golden(t, "testdata/states.txtar", got, *update)
}
