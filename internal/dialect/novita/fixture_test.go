package novita_test

import (
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect/novita"
)

const chat = "/v1/chat/completions"

// at is a time of day with every digit of a second, some seconds after the batches of these tests were created.
func at(seconds int64) time.Time { return time.Unix(1790000000+seconds, 103948172) }

// validating is a batch as a create call answers with it.
func validating() batch.Batch {
	return batch.Batch{
		ID: "batch_d2cq0es1cas73a68lu0g", Tenant: "6d3c1f0a-5b1e-4a8e-9f57-2f1f7f0b8e11",
		KeyID: "key_00112233445566778899aabbccddeeff", Dialect: novita.Name, Endpoint: chat, Model: "qwen-small",
		InputFileID: "file_d2cor0es1cas73c0cj60", Window: "48h", Status: batch.Validating, Stop: batch.StopNone,
		CreatedAt: at(0), ExpiresAt: at(172800), Usage: batch.Usage{Input: 30, Output: 12, Total: 42},
	}
}

func running() batch.Batch {
	b := validating()
	b.Status, b.Version, b.InProgressAt, b.UpdatedAt = batch.InProgress, 1, at(2), at(2)
	b.Counts = batch.Counts{Total: 3, Completed: 1}
	b.Remark = "nightly \"évaluation\""
	b.Metadata = []byte(`{"z":"<&>","a":"é"}`)
	return b
}

func finalizing() batch.Batch {
	b := running()
	b.Status, b.Version, b.FinalizingAt, b.UpdatedAt = batch.Finalizing, 2, at(50), at(50)
	b.Counts = batch.Counts{Total: 3, Completed: 2, Failed: 1}
	return b
}

// completed is a batch of three lines, two answered well and one refused.
func completed() batch.Batch {
	b := finalizing()
	b.Status, b.Version, b.CompletedAt, b.UpdatedAt = batch.Completed, 3, at(51), at(51)
	b.OutputFileID, b.ErrorFileID = "file_d2cr1000000000000001", "file_d2cr1000000000000002"
	b.Remark, b.Metadata = "", nil
	return b
}

func failed() batch.Batch {
	b := validating()
	b.Status, b.Version, b.FailedAt, b.UpdatedAt = batch.Failed, 1, at(1), at(1)
	b.Errors = []batch.LineError{
		{Code: "invalid_json_line", Message: "This line is not parseable as valid JSON.", Line: 2},
		{Code: "duplicate_custom_id", Message: "The custom_id 'a' is used twice.", Param: "custom_id", Line: 7},
		{Code: "too_many_tasks", Message: "The input file has too many requests."},
	}
	b.ErrorsTotal = 3
	return b
}

func expired() batch.Batch {
	b := running()
	b.Status, b.Stop, b.Version, b.ExpiredAt, b.UpdatedAt = batch.Expired, batch.StopExpire, 2, at(172801), at(172801)
	b.OutputFileID, b.ErrorFileID = "file_d2cr1000000000000001", "file_d2cr1000000000000002"
	return b
}

func cancelling() batch.Batch {
	b := running()
	b.Status, b.Stop, b.Version, b.CancellingAt, b.UpdatedAt = batch.Cancelling, batch.StopCancel, 2, at(9), at(9)
	return b
}

func cancelled() batch.Batch {
	b := cancelling()
	b.Status, b.Version, b.CancelledAt, b.UpdatedAt = batch.Cancelled, 3, at(12), at(12)
	b.ErrorFileID = "file_d2cr1000000000000002"
	return b
}

// continued is a batch of what another one left over.
func continued() batch.Batch {
	b := validating()
	b.ContinuedFrom = "batch_d2cq0es1cas73a68lu00"
	return b
}

// batches are one batch in every state, by the name of the state.
func batches() map[string]batch.Batch {
	return map[string]batch.Batch{
		"validating": validating(), "running": running(), "finalizing": finalizing(), "completed": completed(),
		"failed": failed(), "expired": expired(), "cancelling": cancelling(), "cancelled": cancelled(),
	}
}

func inputFile() batch.File {
	return batch.File{
		ID: "file_d2cor0es1cas73c0cj60", Name: "a\xffb\".jsonl", Purpose: batch.PurposeBatch, Bytes: 97, Lines: 3,
		CreatedAt: at(0), ExpiresAt: at(3600),
	}
}

func resultFile() batch.File {
	return batch.File{
		ID: "file_d2cr1000000000000001", Name: "batch_d2cq0es1cas73a68lu0g_output.jsonl", Purpose: batch.PurposeBatchOutput,
		Bytes: 512, Lines: 2, CreatedAt: at(51), ExpiresAt: at(2592051),
	}
}
