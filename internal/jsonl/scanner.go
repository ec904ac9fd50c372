// Package jsonl reads JSON Lines: it cuts a stream into lines and says where each lies in the file. It promises bounded
// memory whatever the length of a line. It does not look into lines, so whether one is JSON is its users' to find out.
package jsonl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// scanBuffer is how much a Scanner reads at a time; its buffer grows beyond it only for longer lines.
const scanBuffer = 256 << 10

// byteOrderMark is UTF-8's, which some editors put at the start of a file.
var byteOrderMark = []byte("\xef\xbb\xbf")

// Line is one line of a JSON Lines file that is not blank.
type Line struct {
	// Number counts every line from 1, the blank ones too.
	Number int64
	// Offset and Length give the line's span in the file, without its line break and without a byte order mark.
	Offset, Length int64
	// Bytes is the line, valid until the next call; nil when the line is longer than the limit.
	Bytes   []byte
	TooLong bool
	// BlanksBefore is how many blank lines stand directly before this one. Those at the end of a file stand before
	// no line and are never reported.
	BlanksBefore int64
}

// Scanner splits a stream into lines. Lines end at '\n' and nowhere else; one '\r' before it belongs to the line
// break; the last line needs no line break. A byte order mark at the start of the file is skipped. A line of nothing
// but spaces, tabs and carriage returns is blank. It holds one line of at most the limit in memory; a longer one is
// skipped to its end. A Scanner is for one goroutine.
type Scanner struct {
	r       io.Reader
	maxLine int
	// buf[start:end] is read and not yet returned; buf[start] is byte offset of the file.
	buf        []byte
	start, end int
	offset     int64
	number     int64
	blanks     int64
	// err is what ended the reading, io.EOF included.
	err error
}

// NewScanner returns a scanner over r that yields lines of up to maxLine bytes.
func NewScanner(r io.Reader, maxLine int64) *Scanner {
	return &Scanner{r: r, maxLine: int(maxLine), buf: make([]byte, scanBuffer)}
}

// Next returns the next line that is not blank, or io.EOF after the last one. An error of the reader comes after
// every line that was whole before it, and again on every later call.
func (s *Scanner) Next() (Line, error) {
	for {
		line, err := s.physical()
		if err != nil {
			return Line{}, err
		}
		if line.blank {
			s.blanks++
			continue
		}
		line.BlanksBefore, s.blanks = s.blanks, 0
		return line.Line, nil
	}
}

// physicalLine is any line, blank or not.
type physicalLine struct {
	Line
	blank bool
}

// physical returns the next line, whatever it holds.
func (s *Scanner) physical() (physicalLine, error) {
	if s.offset == 0 { // in a file without a mark it is harmless to look again
		for s.err == nil && s.end < len(byteOrderMark) {
			s.fill()
		}
		if bytes.HasPrefix(s.buf[s.start:s.end], byteOrderMark) {
			s.advance(len(byteOrderMark))
		}
	}
	for searched := 0; ; {
		if i := bytes.IndexByte(s.buf[s.start+searched:s.end], '\n'); i >= 0 {
			return s.take(searched+i, 1), nil
		}
		searched = s.end - s.start
		switch {
		case s.err != nil && (searched == 0 || !errors.Is(s.err, io.EOF)):
			return physicalLine{}, s.err
		case s.err != nil:
			return s.take(searched, 0), nil
		case searched > s.maxLine+1: // too long even if its last byte is a '\r'
			return s.skip()
		}
		s.fill()
	}
}

// take returns the next n bytes as a line and moves past them and their line break.
func (s *Scanner) take(n, lineBreak int) physicalLine {
	raw := s.buf[s.start : s.start+n : s.start+n]
	if n > 0 && raw[n-1] == '\r' {
		raw = raw[:n-1]
	}
	s.number++
	line := physicalLine{
		Line:  Line{Number: s.number, Offset: s.offset, Length: int64(len(raw)), Bytes: raw},
		blank: blank(raw),
	}
	if len(raw) > s.maxLine {
		line.Bytes, line.TooLong = nil, true
	}
	s.advance(n + lineBreak)
	return line
}

// skip moves past a line that is too long, keeping none of it.
func (s *Scanner) skip() (physicalLine, error) {
	s.number++
	line := physicalLine{Line: Line{Number: s.number, Offset: s.offset, TooLong: true}, blank: true}
	var last byte
	for ended := false; !ended; {
		chunk := s.buf[s.start:s.end]
		lineBreak := bytes.IndexByte(chunk, '\n')
		if ended = lineBreak >= 0; ended {
			chunk = chunk[:lineBreak]
		}
		line.blank = line.blank && blank(chunk)
		line.Length += int64(len(chunk))
		if len(chunk) > 0 {
			last = chunk[len(chunk)-1]
		}
		s.advance(len(chunk))
		switch {
		case ended:
			s.advance(1)
		case errors.Is(s.err, io.EOF):
			ended = true
		case s.err != nil:
			return physicalLine{}, s.err
		default:
			s.fill()
		}
	}
	if last == '\r' {
		line.Length--
	}
	return line, nil
}

// advance moves past n bytes of the buffer.
func (s *Scanner) advance(n int) {
	s.start += n
	s.offset += int64(n)
}

// fill reads more bytes behind those in the buffer. If it is full, it moves the unread ones to the front, or doubles a buffer
// that is full of them, up to what the longest allowed line and its line break need.
func (s *Scanner) fill() {
	if s.end == len(s.buf) {
		into := s.buf
		if s.start == 0 {
			into = make([]byte, min(2*len(s.buf), max(s.maxLine+2, len(s.buf)+1)))
		}
		s.end = copy(into, s.buf[s.start:s.end])
		s.buf, s.start = into, 0
	}
	for range 100 {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		if err != nil {
			if !errors.Is(err, io.EOF) {
				err = fmt.Errorf("read lines at byte %d: %w", s.offset, err)
			}
			s.err = err
			return
		}
		if n > 0 {
			return
		}
	}
	s.err = io.ErrNoProgress
}

// blank reports whether raw holds nothing but white space as JSON defines it.
func blank(raw []byte) bool {
	for _, c := range raw {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}
