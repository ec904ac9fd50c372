package httpapi

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
)

// maxFirstLine is how much of a file's first line is kept for checking. A longer one is left to validation, which
// knows the real limit and streams.
const maxFirstLine = int(batch.MiB)

// lineScan counts the lines of a file that passes by and looks at the first one. Its memory is that line's.
type lineScan struct {
	// first holds the first line, up to its line break or to maxFirstLine bytes.
	first []byte
	// firstDone is set once first is complete; firstLong if it was cut.
	firstDone, firstLong bool
	// inLine is set once the current line has something other than white space.
	inLine bool
	lines  int64
}

// write takes the next bytes of the file.
func (s *lineScan) write(p []byte) {
	s.keepFirst(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		line := p
		if end >= 0 {
			line = p[:end]
		}
		s.inLine = s.inLine || !blank(line)
		if end < 0 {
			return
		}
		s.endLine()
		p = p[end+1:]
	}
}

// end is called after the last byte.
func (s *lineScan) end() { s.endLine() }

func (s *lineScan) endLine() {
	if s.inLine {
		s.lines++
	}
	s.inLine = false
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
func (s *lineScan) count() int64 { return s.lines }

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
