package unit

import (
	"errors"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
)

// Unreadable reports whether an error of reading stored bytes means that they can never be read again.
func Unreadable(err error) bool {
	return errors.Is(err, blob.ErrCorrupt) || errors.Is(err, blob.ErrNotExist)
}

// dialectResult puts what is known of a line's outcome in the form that dialects write.
func dialectResult(batchID string, line uint32, customID []byte, o *batch.Outcome) dialect.Result {
	return dialect.Result{
		ID: resultID(batchID, line), CustomID: customID,
		Status: o.Status, RequestID: o.RequestID, Code: o.Code, Message: o.Message,
	}
}
