package unit

import (
	"errors"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
)

// Message returns the text that stands beside an error code which is decided on this side of the wire.
func Message(code batch.Code) string {
	switch code {
	case batch.CodeExpired:
		return "This request could not be executed before the completion window expired."
	case batch.CodeCancelled:
		return "This request was not executed because the batch was cancelled."
	case batch.CodeInputUnreadable:
		return "The input line could not be read back from storage: its bytes have changed since the upload. Upload the file again."
	default:
		return ""
	}
}

// Unreadable reports whether an error of Load means that the line can never be read again.
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
