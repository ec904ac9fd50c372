package novita

import (
	"cmp"
	"fmt"
	"unicode/utf8"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// maxErrorText is how long the errors of a batch may be as one string, in characters.
const maxErrorText = 1000

// errorText writes the validation errors of a batch as one string, "" for none. Where not all of them fit, it ends
// with how many there are.
func errorText(errs []batch.LineError, total int64) string {
	ending := fmt.Sprintf("; … %d errors in all", max(total, int64(len(errs))))
	room := maxErrorText - utf8.RuneCountInString(ending)
	var text, whole string // whole is as much of text as leaves room for the ending and ends with an entry
	for i, e := range errs {
		if i > 0 {
			text += "; "
		}
		if e.Line > 0 {
			text += fmt.Sprintf("line %d: ", e.Line)
		}
		text += e.Code + ": " + e.Message
		length := utf8.RuneCountInString(text)
		if length > maxErrorText {
			// If not even the first entry fits, a part of it is better than nothing.
			return cmp.Or(whole, dialect.Clip(text, room-1)) + ending
		}
		if length <= room {
			whole = text
		}
	}
	return text
}
