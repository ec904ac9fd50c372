// Package linescan tells the lines of a run of bytes apart as they pass by: how many are not blank, and whether the first
// one can be a request. It knows nothing of requests beyond that they are JSON objects.
package linescan

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/badline"
	"batchd/internal/batch"
)

// MaxFirst is how much of a file's first line is kept for checking. A longer one is left to validation, which
// knows the real limit and streams.
const MaxFirst = int(batch.MiB)

// Scan counts the lines of a run of bytes and looks at the first one. Its memory is that line's. The zero value has seen
// nothing yet. It is for one goroutine.
type Scan struct {
	// first holds the first line, up to its line break or to MaxFirst bytes.
	first []byte
	// firstDone is set once first is complete, or from the beginning where it does not matter; firstLong if it was cut.
	firstDone, firstLong bool
	span                 batch.LineSpan
}

// SkipFirst makes the scan keep nothing of the first line. It is called before the first Write.
func (s *Scan) SkipFirst() { s.firstDone = true }

// Write takes the next bytes.
func (s *Scan) Write(p []byte) {
	s.KeepFirst(p)
	s.span = s.span.Join(spanOf(p))
}

// spanOf returns the span of p. It is the only place where lines are told apart; everything else is joining.
func spanOf(p []byte) batch.LineSpan {
	line, p, broken := bytes.Cut(p, []byte{'\n'})
	some := !blank(line)
	span := batch.LineSpan{Broken: broken, Head: some, Tail: some}
	for broken {
		line, p, broken = bytes.Cut(p, []byte{'\n'})
		if some = !blank(line); some && broken {
			span.Whole++
		}
		span.Tail = some
	}
	return span
}

// KeepFirst takes the next bytes for the first line only; they are not counted.
func (s *Scan) KeepFirst(p []byte) {
	if s.firstDone {
		return
	}
	if end := bytes.IndexByte(p, '\n'); end >= 0 {
		p, s.firstDone = p[:end], true
	}
	if room := MaxFirst - len(s.first); len(p) > room {
		p, s.firstDone, s.firstLong = p[:room], true, true
	}
	s.first = append(s.first, p...)
}

// Span returns the lines in a form that can be joined with what comes before and after.
func (s *Scan) Span() batch.LineSpan { return s.span }

// Count returns the number of lines that are not blank.
func (s *Scan) Count() int64 { return s.span.Lines() }

// FirstFault returns what is wrong with the first line if it is no JSON object, and false if it is one, or is too long to say
// but starts like one.
func (s *Scan) FirstFault() (badline.Fault, bool) {
	first := bytes.TrimPrefix(s.first, []byte("\xef\xbb\xbf"))
	value := jsontext.Value(first)
	switch {
	case value.Kind() == jsontext.KindBeginObject && (s.firstLong || value.IsValid()):
		return badline.Fault{}, false
	case len(first) == 0 && !s.firstDone:
		return badline.Fault{Reason: badline.Empty}, true
	default:
		return badline.Find(first, 0)
	}
}

// blank reports whether a line is white space only. Most lines are settled by their first byte.
func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}
