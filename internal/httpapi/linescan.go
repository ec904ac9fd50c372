package httpapi

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
)

// maxFirstLine is how much of a file's first line is kept for checking. A longer one is left to validation, which
// knows the real limit and streams.
const maxFirstLine = int(batch.MiB)

// lineScan counts the lines of a run of bytes that passes by and looks at the first one. Its memory is that line's.
type lineScan struct {
	// first holds the first line, up to its line break or to maxFirstLine bytes.
	first []byte
	// firstDone is set once first is complete, or from the beginning where it does not matter; firstLong if it was cut.
	firstDone, firstLong bool
	span                 batch.LineSpan
}

// write takes the next bytes.
func (s *lineScan) write(p []byte) {
	s.keepFirst(p)
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

func (s *lineScan) keepFirst(p []byte) {
	if s.firstDone {
		return
	}
	if end := bytes.IndexByte(p, '\n'); end >= 0 {
		p, s.firstDone = p[:end], true
	}
	if room := maxFirstLine - len(s.first); len(p) > room {
		p, s.firstDone, s.firstLong = p[:room], true, true
	}
	s.first = append(s.first, p...)
}

// count returns the number of lines that are not blank.
func (s *lineScan) count() int64 { return s.span.Lines() }

// firstIsObject reports whether the first line is a JSON object, or too long to say but starts like one.
func (s *lineScan) firstIsObject() bool {
	first := bytes.TrimPrefix(s.first, []byte("\xef\xbb\xbf"))
	value := jsontext.Value(first)
	if value.Kind() != jsontext.KindBeginObject {
		return false
	}
	return s.firstLong || value.IsValid()
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
