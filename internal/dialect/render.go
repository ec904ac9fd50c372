package dialect

import (
	"cmp"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
)

// The renderers of all vendors are made of what follows: what they write alike.

// RequestCounts is the member request_counts of a batch object.
type RequestCounts struct {
	Total     int64 `json:"total"`
	Completed int64 `json:"completed"`
	Failed    int64 `json:"failed"`
}

// Waiting is an entry of the member waiting_for of a batch object, which is batchd's own. T is how the vendor writes times.
type Waiting[T any] struct {
	Reason   string  `json:"reason"`
	Detail   *string `json:"detail"`
	Since    *T      `json:"since"`
	Status   *int    `json:"status"`
	Code     *string `json:"code"`
	NextTry  *T      `json:"next_try"`
	Lines    int64   `json:"lines"`
	Upstream string  `json:"upstream,omitempty"`
	Model    *string `json:"model"`
	Message  string  `json:"message,omitempty"`
}

// WaitingFor returns what a batch waits for, nil for nothing; at writes a time, nil for the zero time.
func WaitingFor[T any](all []batch.Waiting, at func(time.Time) *T) []Waiting[T] {
	var shown []Waiting[T]
	for _, w := range all {
		shown = append(shown, Waiting[T]{
			Reason: w.Kind, Detail: Present(w.Detail), Since: at(w.Since), Status: PresentNumber(w.Status), Code: Present(w.Code),
			NextTry: at(w.NextTry), Lines: w.Lines, Upstream: w.Upstream, Model: Present(w.Model), Message: w.Message,
		})
	}
	return shown
}

// DamagedFile is an entry of the member damaged_files of a batch object, which is batchd's own. T is how the vendor writes
// times.
type DamagedFile[T any] struct {
	FileID  string `json:"file_id"`
	Problem string `json:"problem"`
	Since   *T     `json:"since"`
}

// DamagedFiles returns which files of a batch are damaged, nil for none; at writes a time, nil for the zero time.
func DamagedFiles[T any](all []batch.DamagedFile, at func(time.Time) *T) []DamagedFile[T] {
	var shown []DamagedFile[T]
	for _, f := range all {
		shown = append(shown, DamagedFile[T]{FileID: f.FileID, Problem: f.Problem, Since: at(f.Since)})
	}
	return shown
}

// PresentNumber returns nil for 0, which JSON shows as null.
func PresentNumber(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// Encode renders an object, or a part of one. Text that is not valid UTF-8 is shown with replacement characters rather
// than not at all. It panics on what is no JSON value: that can only be metadata of a broken store.
func Encode(v any) []byte {
	raw, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic(fmt.Sprintf("dialect: encode %T: %v", v, err))
	}
	return raw
}

// Present returns nil for "", which JSON shows as null.
func Present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Unix returns the seconds since 1970, nil for the zero time, which JSON shows as null.
func Unix(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	s := t.Unix()
	return &s
}

// Clip cuts s to n characters, saying so with an ellipsis.
func Clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	end := 0
	for range n {
		_, size := utf8.DecodeRuneInString(s[end:])
		end += size
	}
	return s[:end] + "…"
}

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become replacement characters, and characters at which
// some clients cut lines are escaped.
func AppendString[S string | []byte](dst []byte, s S) []byte {
	start := len(dst)
	dst, _ = jsontext.AppendQuote(dst, s)
	return append(dst[:start], batch.EscapeSeparators(dst[start:])...)
}

// AppendCustomID appends a line's custom_id; null stands for one that cannot be read back any more.
func AppendCustomID(dst, id []byte) []byte {
	if id == nil {
		return append(dst, "null"...)
	}
	return AppendString(dst, id)
}

// FailureMessage returns the message of a line without an answer: its own, or that of its code.
func (r Result) FailureMessage() string {
	return cmp.Or(r.Message, r.Code.Message(), "This request could not be executed: "+string(r.Code)+".")
}

// UnknownParameter is the fault of a parameter that a dialect does not have.
func UnknownParameter(name string) *batch.Error {
	return batch.Invalidf(name, "unknown_parameter", "Unknown parameter: '%s'.", name)
}
