package openai

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/badline"
	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// OpenAI's codes for faults of an input file.
const (
	codeInvalidJSON    = "invalid_json_line"
	codeInvalidRequest = "invalid_request"
)

// notJSON is OpenAI's sentence for a line that is not JSON, to which the reason may be added.
const notJSON = "This line is not parseable as valid JSON."

// shownCustomID is how many characters of a custom_id or a model an error message repeats.
const shownCustomID = 128

// shownURL is how many characters of a line's url an error message repeats.
const shownURL = 128

// unparseable is about a line that is no JSON object, or one that is nested deeper than maxDepth.
func unparseable(line []byte, maxDepth int) *dialect.LineFault {
	message := notJSON
	if f, bad := badline.Find(line, maxDepth); bad {
		message += " " + f.Sentence()
	}
	return fault(codeInvalidJSON, "", message)
}

// badURL is about a line whose url is not the batch's endpoint.
func badURL(url jsontext.Value, endpoint string) *dialect.LineFault {
	asked := string(url)
	if url.Kind() == jsontext.KindString {
		asked = string(decoded(url))
	}
	return fault("invalid_url", "url", fmt.Sprintf(
		"The URL provided for this request does not match the batch endpoint. It is '%s', and the endpoint is '%s'.",
		dialect.Clip(asked, shownURL), endpoint))
}

// DuplicateCustomID is about the second line of a custom_id; first is the number of the line that had it before.
func (d *Dialect) DuplicateCustomID(customID string, first int64) batch.LineError {
	return batch.LineError{Code: "duplicate_custom_id", Param: "custom_id", Message: fmt.Sprintf(
		"The custom_id '%s' for this request is a duplicate of another request, on line %d. The custom_id parameter must be unique for each request in a batch.",
		dialect.Clip(customID, shownCustomID), first)}
}

// MismatchedModel is about a line of another model where a batch may have only one.
func (d *Dialect) MismatchedModel(model string) batch.LineError {
	return batch.LineError{Code: "mismatched_model", Param: "body.model", Message: fmt.Sprintf(
		"The model '%s' for this request does not match the rest of the batch. Each batch must contain requests for a single model. The server's setting allow_mixed_models permits several.",
		dialect.Clip(model, shownCustomID))}
}

// ModelNotFound is about a line of a model that no upstream has.
func (d *Dialect) ModelNotFound(model string) batch.LineError {
	return batch.LineError{Code: codeModelNotFound, Param: "body.model", Message: fmt.Sprintf(
		"The provided model '%s' is not supported by the Batch API.", dialect.Clip(model, shownCustomID))}
}

// LineTooLong is about a line of more than limit bytes.
func (d *Dialect) LineTooLong(limit int64) batch.LineError {
	return batch.LineError{Code: "line_too_long", Message: fmt.Sprintf(
		"This line is too long. A line may have at most %d bytes, which is the server's setting limits.max_line_bytes.", limit)}
}

// BlankLine is about an empty line between others.
func (d *Dialect) BlankLine() batch.LineError {
	return unparseable(nil, 0).LineError
}

// TooManyLines is about a file of more than limit requests.
func (d *Dialect) TooManyLines(limit int64) batch.LineError {
	return batch.LineError{Code: "too_many_tasks", Message: fmt.Sprintf("The input file has too many requests. A batch may have at most %d.", limit)}
}

// EmptyFile is about a file without a single request.
func (d *Dialect) EmptyFile() batch.LineError {
	return batch.LineError{Code: "empty_file", Message: "The input file is empty. Please ensure that the batch contains at least one request."}
}

// TooManyModels is about a file that names more than limit different models.
func (d *Dialect) TooManyModels(limit int) batch.LineError {
	return batch.LineError{Code: "too_many_models", Param: "body.model", Message: fmt.Sprintf("The input file names too many models. A batch may name at most %d.", limit)}
}

// TokenLimit is about a batch that would take its tenant over a limit of enqueued tokens. One that is over it alone is
// not told to come back.
func (d *Dialect) TokenLimit(model string, tokens, limit int64) batch.LineError {
	reached := "Enqueued token limit reached"
	if model != "" {
		reached += " for '" + dialect.Clip(model, shownCustomID) + "'"
	}
	remedy := "Please try again once some in_progress batches have been completed."
	if tokens > limit {
		remedy = fmt.Sprintf("This batch alone has about %d; split its input file.", tokens)
	}
	return batch.LineError{Code: "token_limit_exceeded", Message: fmt.Sprintf("%s. Limit: %d enqueued tokens. %s", reached, limit, remedy)}
}

// InputMissing is about an input file that is gone before it could be read.
func (d *Dialect) InputMissing(fileID string) batch.LineError {
	return batch.LineError{Code: codeInvalidRequest, Param: "file_id", Message: fmt.Sprintf(
		"Cannot find file %s, or you do not have access to it.", dialect.Clip(fileID, shownID))}
}

// MoreErrors ends a list of errors that does not hold all of them.
func (d *Dialect) MoreErrors(total int64) batch.LineError {
	return batch.LineError{Code: "too_many_errors", Message: fmt.Sprintf("The input file has %d errors. Only the first ones are listed here.", total)}
}
